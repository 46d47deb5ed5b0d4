import { expect, it } from "vitest";
import {
  formatAgo,
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  parseTime,
  plural,
} from "./format";

it.each([
  [0, "0"],
  [0.1 + 0.2, "0.3"],
  [1234567, "1,234,567"],
  [-12, "−12"],
  [0.00012345678, "0.00012346"],
  [0.00001, "1e−5"],
  [12345678.9, "1.2346e7"],
  [1e100, "1e100"],
  [-1.5e-9, "−1.5e−9"],
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "∞"],
  [Number.NEGATIVE_INFINITY, "−∞"],
])("formatNumber(%d) is %s", (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

it.each([
  [0, "0s"],
  [0.25, "250ms"],
  [4.25, "4.3s"],
  [59, "59s"],
  [60, "1m"],
  [3599.7, "1h"],
  [7500, "2h 5m"],
  [400_000, "4d 15h"],
  [-90, "−1m 30s"],
  [Number.NaN, "–"],
])("formatDuration(%d) is %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

it("formats counts, bytes and plurals", () => {
  expect([950, 9999, 12_345, 4_560_000, 2e9].map(formatCount)).toEqual([
    "950",
    "9,999",
    "12.3k",
    "4.56M",
    "2B",
  ]);
  expect([0, 999, 1000, 1_500_000, 12_345_678_901].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1 kB",
    "1.5 MB",
    "12.3 GB",
  ]);
  expect([plural(1, "run"), plural(0, "run")]).toEqual(["1 run", "0 runs"]);
});

it("takes server times without a zone as UTC", () => {
  expect(parseTime("2026-11-22T02:20:10")).toBe(Date.UTC(2026, 10, 22, 2, 20, 10));
  expect(parseTime("2026-11-22T02:20:10Z")).toBe(Date.UTC(2026, 10, 22, 2, 20, 10));
  expect(parseTime("2026-11-22T02:20:10+02:00")).toBe(Date.UTC(2026, 10, 22, 0, 20, 10));
});

it("says how long ago", () => {
  const now = Date.UTC(2026, 10, 22, 12);
  const ago = (seconds: number) => formatAgo(new Date(now - seconds * 1000).toISOString(), now);
  expect([10, 50, 240, 7200, 3 * 86_400].map(ago)).toEqual([
    "just now",
    "1m ago",
    "4m ago",
    "2h ago",
    "3d ago",
  ]);
  expect(ago(40 * 86_400)).toBe("13 Oct 2026");
  expect([formatAgo(null, now), formatAgo("soon", now)]).toEqual(["–", "–"]);
});
