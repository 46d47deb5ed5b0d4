import { describe, expect, it } from "vitest";
import { classColour, readBoxes } from "./classes";

describe("classColour", () => {
  it("keeps the first classes far apart", () => {
    const colours = Array.from({ length: 8 }, (_, id) => classColour(id));
    for (const [at, one] of colours.entries()) {
      for (const other of colours.slice(at + 1)) {
        const distance = one.reduce((sum, part, index) => sum + Math.abs(part - (other[index] ?? 0)), 0);
        expect(distance).toBeGreaterThan(60);
      }
    }
  });

  it("is a byte each, for every class of a mask", () => {
    const parts = Array.from({ length: 256 }, (_, id) => classColour(id)).flat();
    expect(parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)).toBe(true);
  });
});

describe("readBoxes", () => {
  const file = (box: object) => JSON.stringify({ box_data: [box], class_labels: { 1: "cat" } });

  it("reads corners, centres and pixels as fractions of the image", () => {
    const corners = { position: { minX: 0.25, maxX: 0.75, minY: 0, maxY: 0.5 }, class_id: 1 };
    const centre = { position: { middle: [0.5, 0.25], width: 0.5, height: 0.5 }, class_id: 1 };
    const pixels = { position: { minX: 50, maxX: 150, minY: 0, maxY: 50 }, class_id: 1, domain: "pixel" };
    for (const box of [corners, centre, pixels]) {
      const [read] = readBoxes(file(box), 200, 100).boxes;
      expect(read).toMatchObject({ x: 0.25, y: 0, width: 0.5, height: 0.5, classId: 1 });
    }
  });

  it("keeps names of classes, captions and scores", () => {
    const box = {
      position: { minX: 0, maxX: 1, minY: 0, maxY: 1 },
      class_id: 1,
      box_caption: "<b>",
      scores: { conf: 0.5, odd: "x" },
    };
    const read = readBoxes(file(box), 1, 1);
    expect(read.labels.get("1")).toBe("cat");
    expect(read.boxes[0]).toMatchObject({ caption: "<b>", scores: [["conf", 0.5]] });
  });

  it("says what is wrong with a broken file", () => {
    expect(() => readBoxes("{", 1, 1)).toThrow("not JSON");
    expect(() => readBoxes(file({ class_id: 1 }), 1, 1)).toThrow("box_data[0].position");
  });
});
