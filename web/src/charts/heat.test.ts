import { expect, it } from "vitest";
import { PLAIN } from "../model/measure";
import type { PlotFrame, PlotLine } from "./frame";
import { cellsOf, fullValue, heatRowAt, labelledRows } from "./heat";

function line(id: string, x: number[], y: number[]): PlotLine {
  const values = Float64Array.from(y);
  const look = { group: id, name: id, colour: "", dash: [], faint: null, bucketed: false };
  const count = Uint32Array.from(y, () => 1);
  return { id, ...look, x: Float64Array.from(x), y: values, min: values, max: values, count };
}

function frame(lines: PlotLine[], patch: Partial<PlotFrame> = {}): PlotFrame {
  const theme = { text: "", grid: "", surface: "", accent: "" };
  const look = { look: "heat", band: "never", logY: false } as const;
  return { lines, xAxis: "_runtime", range: null, measure: PLAIN, ...look, theme, ...patch };
}

it("ends a cell at the next value, but not beyond a time without samples", () => {
  const sampled = line("a", [0, 10, 20, 200, 210], [1, 2, 3, 4, 5]);
  expect(cellsOf(sampled, [5, 205])).toEqual([
    [0, 10],
    [1, 20],
    [2, 177.5],
    [3, 210],
  ]);
  expect(cellsOf(line("a", [7], [1]), [0, 10])).toEqual([[0, 8]]);
  expect(cellsOf(line("a", [], []), [0, 10])).toEqual([]);
});

it("takes 100 % or the largest value as full colour", () => {
  const lines = [line("a", [0, 1], [3, Number.NaN]), line("b", [0], [8])];
  expect(fullValue(frame(lines))).toBe(8);
  expect(fullValue(frame(lines, { measure: { unit: "percent", factor: 1 } }))).toBe(100);
  expect(fullValue(frame([]))).toBe(1);
});

it("finds the row under the pointer", () => {
  const rows = frame([line("a", [0, 10], [1, 2]), line("b", [0, 10], [3, 4])]);
  expect(heatRowAt(rows, 9, 1.5, 1).map(({ id, value }) => [id, value])).toEqual([["b", 4]]);
  expect(heatRowAt(rows, 9, 2, 1)).toEqual([]);
});

it("labels as many rows as there is room for", () => {
  expect(labelledRows(4, 100, 14)).toEqual([0.5, 1.5, 2.5, 3.5]);
  expect(labelledRows(64, 180, 14)).toEqual([0.5, 8.5, 16.5, 24.5, 32.5, 40.5, 48.5, 56.5]);
});
