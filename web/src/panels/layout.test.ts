import { expect, it } from "vitest";
import { chunksOf, columnsIn, heightOf } from "./layout";

it("counts columns as the grid's template does", () => {
  const small = [100, 300 + 32, 608 + 31, 608 + 32, 992, 1920].map((width) => columnsIn(width, "small"));
  expect(small).toEqual([1, 1, 1, 2, 3, 6]);
  expect([839, 840].map((width) => columnsIn(width, "medium"))).toEqual([1, 2]);
  expect([300, 4000].map((width) => columnsIn(width, "wide"))).toEqual([1, 1]);
});

it("knows the height of rows with their gaps", () => {
  const three = 992;
  expect([1, 3, 4].map((panels) => heightOf(panels, three, "small"))).toEqual([256, 256, 520]);
  expect(heightOf(60, 1600, "small")).toBe(3160);
  expect(heightOf(3, three, "wide")).toBe(3 * 416 + 2 * 8);
});

it("cuts a list into consecutive parts", () => {
  expect(chunksOf([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunksOf([], 2)).toEqual([]);
});
