import { describe, expect, it } from "vitest";
import { PLAIN } from "../model/measure";
import {
  logTicks,
  nearestIndex,
  type PlotFrame,
  type PlotLine,
  valuesAt,
  visibleSlice,
  xExtent,
  yExtent,
} from "./frame";

function line(id: string, x: number[], y: number[], patch: Partial<PlotLine> = {}): PlotLine {
  const values = Float64Array.from(y);
  return {
    id,
    group: id,
    name: id,
    colour: "#000000",
    dash: [],
    x: Float64Array.from(x),
    y: values,
    faint: null,
    min: values,
    max: values,
    count: Uint32Array.from(y, () => 1),
    bucketed: false,
    ...patch,
  };
}

function frame(lines: PlotLine[], patch: Partial<PlotFrame> = {}): PlotFrame {
  const theme = { text: "", grid: "", surface: "", accent: "" };
  return {
    lines,
    look: "lines",
    xAxis: "_step",
    range: null,
    logY: false,
    measure: PLAIN,
    band: "always",
    theme,
    ...patch,
  };
}

describe("nearestIndex", () => {
  it("finds the nearer neighbour, the left one at equal distance", () => {
    const x = Float64Array.of(0, 10, 20);
    expect([-5, 4, 5, 6, 19, 99].map((wanted) => nearestIndex(x, wanted))).toEqual([0, 0, 0, 1, 2, 2]);
    expect(nearestIndex(Float64Array.of(), 1)).toBe(-1);
  });
});

describe("visibleSlice", () => {
  it("keeps one point beyond each edge", () => {
    const x = Float64Array.of(0, 1, 2, 3, 4, 5);
    expect(visibleSlice(x, [2, 3])).toEqual([1, 5]);
    expect(visibleSlice(x, [0, 9])).toEqual([0, 6]);
    expect(visibleSlice(x, [2.2, 2.4])).toEqual([2, 4]);
  });
});

describe("extents", () => {
  it("spans all lines on x and gives a single point room", () => {
    expect(xExtent([line("a", [3, 9], [0, 0]), line("b", [1], [0])])).toEqual([1, 9]);
    expect(xExtent([line("a", [3], [0])])).toEqual([2.5, 3.5]);
    expect(xExtent([])).toEqual([0, 1]);
  });

  it("shows a spike that only the band holds", () => {
    const spiky = line("a", [0, 1], [1, 1], { max: Float64Array.of(1, 101), bucketed: true });
    expect(yExtent(frame([spiky]), [0, 1])[1]).toBeGreaterThan(101);
    expect(yExtent(frame([spiky], { band: "hover" }), [0, 1])[1]).toBeLessThan(2);
  });

  it("looks at the visible range only and skips what is not finite", () => {
    const wide = line("a", [0, 1, 2, 3], [1000, 1, 2, Number.NaN]);
    const [low, high] = yExtent(frame([wide]), [1, 3]);
    expect(low).toBeCloseTo(0.94);
    expect(high).toBeCloseTo(2.06);
  });

  it("shows all of a share, more of it where there is more, and begins rates at zero", () => {
    const share = { measure: { unit: "percent", factor: 1 } } as const;
    const rate = { measure: { unit: "bytesPerSecond", factor: 1 } } as const;
    const values = line("a", [0, 1], [20, 40]);
    expect(yExtent(frame([values], share), [0, 1])).toEqual([0, 100]);
    expect(yExtent(frame([], share), [0, 1])).toEqual([0, 100]);
    expect(yExtent(frame([line("a", [0], [200])], share), [0, 1])).toEqual([0, 212]);
    expect(yExtent(frame([values], rate), [0, 1])).toEqual([0, expect.closeTo(42.4)]);
    const memory = { measure: { unit: "bytes", factor: 1 } } as const;
    expect(yExtent(frame([values], memory), [0, 1])[0]).toBeCloseTo(18.8);
    expect(yExtent(frame([line("a", [0, 1], [0.1, 40])], memory), [0, 1])[0]).toBe(0);
  });

  it("takes positive values only on a log axis", () => {
    const [low] = yExtent(frame([line("a", [0, 1, 2], [-5, 0, 0.01])], { logY: true }), [0, 2]);
    expect(low).toBeGreaterThan(0);
  });
});

describe("logTicks", () => {
  it.each([
    [0.03, 4, [0.05, 0.1, 0.2, 0.5, 1, 2]],
    [0.9, 2.1, [1, 1.5, 2]],
    [1e-6, 1e3, [1e-6, 1e-4, 1e-2, 1, 100]],
    [0, 1, []],
    [-1, 1, []],
  ])("%d … %d", (low, high, ticks) => {
    expect(logTicks(low, high)).toEqual(ticks);
  });
});

describe("valuesAt", () => {
  it("gives each line's nearest point, largest first, and leaves out lines that ended", () => {
    const lines = [
      line("low", [0, 10], [1, 2]),
      line("high", [0, 10], [5, 6]),
      line("ended", [0, 2], [9, 9]),
    ];
    expect(valuesAt(lines, 9, 1).map((row) => [row.id, row.x, row.value])).toEqual([
      ["high", 10, 6],
      ["low", 10, 2],
    ]);
  });
});
