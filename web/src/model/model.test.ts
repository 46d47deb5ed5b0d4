import { describe, expect, it } from "vitest";
import { parseExtendedObject } from "../api/extended-json";
import type { MetricInfo, RunRow } from "../api/runs";
import { activityByDay } from "./activity";
import { commonKeys, compareCells } from "./columns";
import { fileRows, previewOf } from "./file-tree";
import { atTail, elapsed, labelsOf, logView, pagesOf } from "./log";
import { matcherOf } from "./search";
import { sectionsOf } from "./sections";
import { AUTO_RUNS, drawnRuns, listedRuns, toggled } from "./selection";
import { smoothExponential } from "./smooth";
import { treeRows } from "./tree";

describe("smoothExponential", () => {
  it("starts at the first value and stays within the values", () => {
    const smooth = smoothExponential(Float64Array.of(4, 0, 0), 0.9);
    expect(smooth[0]).toBeCloseTo(4);
    expect(smooth[1]).toBeCloseTo((0.9 * 0.1 * 4) / 0.19);
    for (const value of smoothExponential(Float64Array.of(3, 3, 3), 0.99)) expect(value).toBeCloseTo(3, 12);
  });

  it("returns the values without weight, and skips what is not finite", () => {
    expect(smoothExponential(Float64Array.of(1, 5), 0)).toEqual(Float64Array.of(1, 5));
    const smooth = smoothExponential(Float64Array.of(2, Number.NaN, 2), 0.5);
    expect([...smooth]).toEqual([2, Number.NaN, 2]);
  });
});

describe("sectionsOf", () => {
  const metrics = (...keys: string[]) =>
    new Map(keys.map((key) => [key, { numeric: true, media: null, count: 1 }]));

  it("groups by the part before the first slash, plain keys first, layers in natural order", () => {
    const sections = sectionsOf([metrics("val/loss", "loss", "l/10", "l/2"), metrics("val/acc")], () => true);
    expect(sections).toEqual([
      { name: "Charts", keys: ["loss"], media: [] },
      { name: "l", keys: ["l/2", "l/10"], media: [] },
      { name: "val", keys: ["val/acc", "val/loss"], media: [] },
    ]);
  });

  it("puts media into the sections of their keys where they are wanted", () => {
    const picture: MetricInfo = { numeric: false, media: "images", count: 2 };
    const map = new Map<string, MetricInfo>(metrics("val/loss"));
    for (const key of ["val/sample", "_wandb.x"]) map.set(key, picture);
    const [section, ...rest] = sectionsOf([map], () => true, true);
    expect(rest).toEqual([]);
    expect(section).toEqual({
      name: "val",
      keys: ["val/loss"],
      media: [{ key: "val/sample", kind: "images" }],
    });
    expect(sectionsOf([map], () => true)[0]?.media).toEqual([]);
  });

  it("takes names of object prototypes as names and leaves out internal and other keys", () => {
    const text = ["notes", { numeric: false, media: null, count: 3 }] as const;
    const map = new Map([...metrics("__proto__", "constructor", "_step", "_rank", "_wandb.x", "/odd"), text]);
    const [section, ...rest] = sectionsOf([map], () => true);
    expect(rest).toEqual([]);
    expect(new Set(section?.keys)).toEqual(new Set(["__proto__", "constructor", "/odd"]));
  });
});

function row(name: string, patch: Partial<RunRow> = {}): RunRow {
  return {
    name,
    displayName: name,
    state: "finished",
    createdAt: "2026-01-01T00:00:00",
    heartbeatAt: null,
    runtimeSeconds: null,
    historyLineCount: 0,
    group: null,
    jobType: null,
    tags: [],
    username: "",
    ...patch,
  };
}

describe("selection", () => {
  const rows = Array.from({ length: 20 }, (_, index) => row(`run-${index}`));

  it("lists what matches name or id, sorted", () => {
    const found = listedRuns(
      [row("b", { displayName: "Alpha" }), row("a", { displayName: "Beta" }), row("zz")],
      "^(a|b)$",
      "name",
    );
    expect(found.map((item) => item.name)).toEqual(["b", "a"]);
  });

  it("draws the first listed runs until somebody chooses, then exactly the chosen ones", () => {
    expect(drawnRuns(rows, rows, null)).toHaveLength(AUTO_RUNS);
    expect(drawnRuns(rows, [], ["run-3", "gone"]).map((item) => item.name)).toEqual(["run-3"]);
    expect(drawnRuns(rows, rows, [])).toEqual([]);
  });

  it("toggles one run", () => {
    expect(toggled(["a", "b"], "a")).toEqual(["b"]);
    expect(toggled(["a"], "b")).toEqual(["a", "b"]);
  });
});

it("matcherOf falls back to plain text when the expression is not valid", () => {
  expect(matcherOf("lr=(").test("LR=(0.1)")).toBe(true);
  expect(matcherOf("lr=(").invalid).toBe(true);
  expect(matcherOf("a.c").test("xABCx")).toBe(true);
  expect(matcherOf("  ").test("anything")).toBe(true);
});

describe("treeRows", () => {
  const root = parseExtendedObject('{"b":{"x":1,"y":{"z":"deep"}},"a":[1,2],"empty":{}}');

  it("puts parents before children and counts leaves", () => {
    const rows = treeRows(root, () => true).map(({ path, depth, value, leaves }) => [
      path,
      depth,
      value,
      leaves,
    ]);
    expect(rows).toEqual([
      ["a", 0, "[1, 2]", 1],
      ["b", 0, null, 2],
      ["b.x", 1, "1", 1],
      ["b.y", 1, null, 1],
      ["b.y.z", 2, "deep", 1],
      ["empty", 0, "{}", 1],
    ]);
  });

  it("keeps the parents of what is found", () => {
    expect(treeRows(root, (text) => text.includes("deep")).map((item) => item.path)).toEqual([
      "b",
      "b.y",
      "b.y.z",
    ]);
  });
});

describe("log", () => {
  const line = (number: number, text = `${number}`) => ({
    number,
    text,
    timestamp: null,
    level: null,
    label: null,
  });
  const page = (total: number, until: number, numbers: number[], gaps: [number, number][] = []) => ({
    total,
    until,
    gaps,
    writers: [],
    next: null,
    lines: numbers.map((number) => line(number)),
  });

  it("asks for the pages that hold the lines", () => {
    expect(pagesOf(0, 10, 25, 10)).toEqual([0, 1]);
    expect(pagesOf(15, 99, 25, 10)).toEqual([1, 2]);
    expect(pagesOf(500, 600, 25, 10)).toEqual([2]);
    expect(pagesOf(0, 10, 0, 10)).toEqual([0]);
  });

  it("knows the longest length and which lines are not here yet", () => {
    const view = logView(new Map([[1, page(13, 20, [10, 11, 12])]]), 12, 10);
    expect([view.total, view.count]).toEqual([13, 13]);
    expect(view.line(11)?.text).toBe("11");
    expect(view.line(3)).toBeNull();
  });

  it("shows lines that are not kept as one place", () => {
    const pages = new Map([
      [0, page(100, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [[15, 85]])],
      [8, page(100, 90, [85, 86, 87, 88, 89], [[15, 85]])],
    ]);
    const view = logView(pages, 100, 10);
    expect([view.total, view.count]).toEqual([100, 31]);
    expect(view.place(14)).toEqual({ kind: "line", number: 14 });
    expect(view.place(15)).toEqual({ kind: "gap", gap: [15, 85] });
    expect(view.place(16)).toEqual({ kind: "line", number: 85 });
    expect(view.place(30)).toEqual({ kind: "line", number: 99 });
    expect(view.line(86)?.text).toBe("86");
  });

  it("tells times since the start and the names of processes", () => {
    const start = Date.parse("2026-01-02T03:04:05Z");
    const at = (seconds: number) => new Date(start + seconds * 1000).toISOString();
    const times = [0.25, 59.9, 61, 3725, -2].map((seconds) => elapsed(at(seconds), start));
    expect(times).toEqual(["+0.3s", "+59.9s", "+1:01", "+1:02:05", "-2.0s"]);
    expect(elapsed(null, start)).toBe("");
    const labelled = ["b", null, "a", "b", ""].map((label, number) => ({ ...line(number), label }));
    expect(labelsOf([...labelled, null])).toEqual(["b", "a"]);
  });

  it("follows only at the end", () => {
    expect(atTail(900, 100, 1000)).toBe(true);
    expect(atTail(800, 100, 1000)).toBe(false);
  });
});

describe("files", () => {
  const file = (name: string, sizeBytes = 1) => ({ name, sizeBytes });

  it("makes folders, sums their bytes and hides what is closed", () => {
    const files = [file("b.txt"), file("media/x/1.png", 3), file("media/x/10.png", 4), file("a.txt")];
    const open = fileRows(files, new Set()).map(({ path, depth, bytes }) => [path, depth, bytes]);
    expect(open).toEqual([
      ["media", 0, 7],
      ["media/x", 1, 7],
      ["media/x/1.png", 2, 3],
      ["media/x/10.png", 2, 4],
      ["a.txt", 0, 1],
      ["b.txt", 0, 1],
    ]);
    expect(fileRows(files, new Set(["media"])).map((item) => item.path)).toEqual(["media", "a.txt", "b.txt"]);
  });

  it("copes with a folder called __proto__", () => {
    expect(fileRows([file("__proto__/x")], new Set()).map((item) => item.path)).toEqual([
      "__proto__",
      "__proto__/x",
    ]);
  });

  it("chooses the preview by name", () => {
    expect(["a/b.PNG", "train.py", "model.pt", "LICENSE"].map(previewOf)).toEqual([
      "image",
      "text",
      "none",
      "text",
    ]);
  });
});

it("activityByDay counts the last days, oldest first", () => {
  const now = Date.UTC(2026, 0, 10, 12);
  const runs = ["2026-01-10T11:00:00", "2026-01-10T01:00:00", "2026-01-08T13:00:00", "2025-01-01T00:00:00"];
  expect(
    activityByDay(
      runs.map((createdAt) => ({ createdAt })),
      3,
      now,
    ),
  ).toEqual([0, 1, 2]);
});

describe("columns", () => {
  it("puts common keys first and leaves out internal ones", () => {
    const objects = ['{"lr":1,"net":{"width":2}}', '{"lr":2,"_step":3,"b":1}'].map(parseExtendedObject);
    expect(commonKeys(objects)).toEqual(["lr", "b", "net.width"]);
  });

  it("orders numbers before NaN before text", () => {
    expect([Number.NaN, "x", 10, 9, 3n, true].sort(compareCells)).toEqual([true, 3n, 9, 10, Number.NaN, "x"]);
  });
});
