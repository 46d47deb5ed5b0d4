import { describe, expect, it } from "vitest";
import { LostRows, lostText } from "./lost-rows";

const PATH = { entity: "me", project: "p", run: "r" };

describe("LostRows", () => {
  it("is nothing for a run that is whole", () => {
    expect(LostRows({ path: PATH, count: 0 })).toBeNull();
    expect(LostRows({ path: PATH, count: 1 })).not.toBeNull();
  });

  it("counts what is missing", () => {
    expect(lostText(1)).toMatch(/^1 row or console line is missing/);
    expect(lostText(12_345)).toMatch(/^12,345 rows or console lines are missing/);
  });
});
