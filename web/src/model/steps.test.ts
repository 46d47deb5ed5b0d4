import { expect, it } from "vitest";
import { placeOf, readStep } from "./steps";

it("shows the last logged step that is not behind the chosen one", () => {
  const steps = [10, 20, 30];
  expect([5, 10, 19, 20, 29, 30, 99].map((chosen) => placeOf(steps, chosen))).toEqual([0, 0, 0, 1, 1, 2, 2]);
});

it("follows the end without a choice", () => {
  expect(placeOf([1, 2, 3], null)).toBe(2);
  expect(placeOf([], null)).toBe(-1);
  expect([undefined, "", "x", "7", "0"].map(readStep)).toEqual([null, null, null, 7, 0]);
});
