import { expect, it } from "vitest";
import { chunksOf, columnsIn, heightOf } from "./layout";

it("counts columns as the grid's template does", () => {
  expect([100, 300 + 32, 608 + 31, 608 + 32, 992, 1920].map(columnsIn)).toEqual([1, 1, 1, 2, 3, 6]);
});

it("knows the height of rows with their gaps", () => {
  expect([heightOf(1, 3), heightOf(3, 3), heightOf(4, 3), heightOf(60, 5)]).toEqual([256, 256, 520, 3160]);
});

it("cuts a list into consecutive parts", () => {
  expect(chunksOf([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunksOf([], 2)).toEqual([]);
});
