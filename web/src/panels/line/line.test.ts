import { describe, expect, it } from "vitest";
import type { Series } from "../../api/series";
import { PLAIN } from "../../model/measure";
import { lineFrame } from "./draw";
import { runSources } from "./fetch";
import { lineSchema } from "./schema";

const read = (texts: Record<string, string>) => lineSchema.read((name) => texts[name]);

describe("lineSchema", () => {
  it("reads what it writes", () => {
    const settings = {
      xAxis: "_runtime",
      zoom: [1.5, 20],
      logY: true,
      smoothing: 0.6,
      band: "never",
    } as const;
    const written = lineSchema.write(settings);
    expect(lineSchema.read((name) => written[name])).toEqual(settings);
  });

  it("writes nothing for the defaults", () => {
    expect(Object.values(lineSchema.write(read({}))).every((text) => text === undefined)).toBe(true);
  });

  it.each([
    { zoom: "5" },
    { zoom: "9,1" },
    { zoom: "a,b" },
    { zoom: "1,2,3" },
    { zoom: "," },
    { smooth: "x" },
    { smooth: "-1" },
    { x: "loss" },
    { band: "?" },
  ])("falls back to the default for $0", (texts) => {
    expect(read(texts)).toEqual(read({}));
  });

  it("limits smoothing to a weight that still moves", () => {
    expect(read({ smooth: "7" }).smoothing).toBe(0.99);
  });
});

describe("lineFrame", () => {
  const series = (mean: number[]): Series => {
    const column = Float64Array.from(mean);
    return {
      raw: false,
      unknown: false,
      totalPoints: mean.length,
      xMin: 0,
      xMax: 1,
      x: Float64Array.from(mean, (_, index) => index),
      min: column,
      max: column,
      mean: column,
      count: Uint32Array.from(mean, () => 1),
    };
  };
  const run = { id: "a", name: "A", createdAt: "" };
  const sources = runSources({ entity: "e", project: "p" }, [run, { ...run, id: "b" }], "m", "light");
  const [source] = sources;
  if (source === undefined) throw new Error("no source");
  const theme = { text: "", grid: "", surface: "", accent: "" };

  it("keeps the data behind a smoothed line and leaves out runs without points", () => {
    const loaded = sources.map((each, at) => ({ source: each, series: series(at === 0 ? [1, 9] : []) }));
    const frame = lineFrame(loaded, read({ smooth: "0.9" }), PLAIN, "lines", theme);
    expect(frame.lines.map((line) => line.id)).toEqual(["a"]);
    expect(frame.lines[0]?.faint).toEqual(Float64Array.of(1, 9));
    expect(frame.lines[0]?.y[1]).toBeLessThan(9);
  });

  it("draws the mean itself without smoothing", () => {
    const frame = lineFrame([{ source, series: series([1, 9]) }], read({}), PLAIN, "lines", theme);
    expect(frame.lines[0]?.faint).toBeNull();
    expect(frame.lines[0]?.y).toEqual(Float64Array.of(1, 9));
  });
});
