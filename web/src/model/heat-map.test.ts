import { expect, it } from "vitest";
import { densityOf, heatAt, heatMapOf, quantileOf, ticksOf } from "./heat-map";

const MAP = heatMapOf([
  { step: 0, counts: [1, 3], edges: [0, 1, 2] },
  { step: 10, counts: [2], edges: [-1, 3] },
  { step: 14, counts: [], edges: [0] },
  { step: 30, counts: [0], edges: [5, 5] },
]);

it("spans all steps and values, cells half-way to their neighbours", () => {
  expect(MAP?.columns.map(({ from, until }) => [from, until])).toEqual([
    [-5, 5],
    [5, 20],
    [20, 40],
  ]);
  expect([MAP?.steps, MAP?.values]).toEqual([
    [-5, 40],
    [-1, 5],
  ]);
});

it("compares bins of any width", () => {
  const [first, second, third] = MAP?.columns ?? [];
  if (first === undefined || second === undefined || third === undefined) throw new Error("no columns");
  expect([densityOf(first, 1), densityOf(second, 0), densityOf(third, 0)]).toEqual([0.75, 0.25, 0]);
  expect(MAP?.densest).toBe(0.75);
});

it("finds quantiles, values spread evenly within their bins", () => {
  const [first, second, third] = MAP?.columns ?? [];
  if (first === undefined || second === undefined || third === undefined) throw new Error("no columns");
  expect([0, 0.25, 0.5, 1].map((share) => quantileOf(first, share))).toEqual([0, 1, 1 + 1 / 3, 2]);
  expect(quantileOf(second, 0.5)).toBe(1);
  expect(quantileOf(third, 0.5)).toBeNaN();
});

it("finds the cell under the pointer", () => {
  if (MAP === null) throw new Error("no map");
  expect(heatAt(MAP, 2, 1.5)).toMatchObject({ column: { step: 0 }, bin: 1 });
  expect(heatAt(MAP, 2, 2.5)).toBeNull();
  expect(heatAt(MAP, 99, 0)).toBeNull();
});

it("draws nothing of histograms without bins, and one histogram as a column", () => {
  expect(heatMapOf([{ step: 1, counts: [], edges: [0] }])).toBeNull();
  expect(heatMapOf([{ step: 3, counts: [1], edges: [2, 2] }])).toMatchObject({
    steps: [2.5, 3.5],
    values: [1.5, 2.5],
  });
});

it("puts round numbers on an axis", () => {
  expect(ticksOf(0, 1, 4)).toEqual([0, 0.5, 1]);
  expect(ticksOf(-3, 7, 5)).toEqual([-2, 0, 2, 4, 6]);
  expect(ticksOf(1, 1, 5)).toEqual([1]);
});
