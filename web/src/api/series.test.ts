import { describe, expect, it } from "vitest";
import { packSeries } from "../../dev/mock/series";
import { createWorld } from "../../dev/mock/world";
import { decodeSeries, SeriesFormatError } from "./series";

/** One series with an odd number of points, then one with an even number, written by hand from the layout. */
function handWritten(): ArrayBuffer {
  const buffer = new ArrayBuffer(8 + 72 + 112);
  const view = new DataView(buffer);
  new Uint8Array(buffer).set([0x52, 0x4c, 0x53, 0x31]); // "RLS1"
  view.setUint32(4, 2, true);
  const series = (at: number, flags: number, total: bigint, points: readonly number[][]) => {
    const n = points.length;
    view.setUint32(at, flags, true);
    view.setBigUint64(at + 4, total, true);
    view.setFloat64(at + 12, -1, true);
    view.setFloat64(at + 20, 9, true);
    view.setUint32(at + 28, n, true);
    points.forEach((point, index) => {
      for (let column = 0; column < 4; column += 1) {
        view.setFloat64(at + 36 + (column * n + index) * 8, point[column] ?? 0, true);
      }
      view.setUint32(at + 36 + 32 * n + 4 * index, point[4] ?? 0, true);
    });
  };
  series(8, 1, 1n, [[5, 0.25, 0.25, 0.25, 1]]);
  series(80, 0, 5_000_000_000n, [
    [0, -1, 1, 0.5, 10],
    [10, Number.NaN, Number.NaN, Number.NaN, 3],
  ]);
  return buffer;
}

describe("decodeSeries", () => {
  it("reads flags, totals and columns, and skips the padding between series", () => {
    const [first, second, ...rest] = decodeSeries(handWritten());
    expect(rest).toEqual([]);
    expect(first).toMatchObject({ raw: true, unknown: false, totalPoints: 1, xMin: -1, xMax: 9 });
    expect(first?.x).toEqual(Float64Array.of(5));
    expect(second).toMatchObject({ raw: false, totalPoints: 5_000_000_000 });
    expect(second?.x).toEqual(Float64Array.of(0, 10));
    expect(second?.min).toEqual(Float64Array.of(-1, Number.NaN));
    expect(second?.max).toEqual(Float64Array.of(1, Number.NaN));
    expect(second?.mean).toEqual(Float64Array.of(0.5, Number.NaN));
    expect(second?.count).toEqual(Uint32Array.of(10, 3));
  });

  it("refuses a wrong magic and every cut", () => {
    const whole = handWritten();
    expect(() => decodeSeries(new ArrayBuffer(64))).toThrow("wrong magic");
    // the last 4 bytes are padding of the last series: a cut there loses nothing
    for (let size = 0; size < whole.byteLength - 4; size += 1) {
      expect(() => decodeSeries(whole.slice(0, size))).toThrow(SeriesFormatError);
    }
  });

  it("reads what the mock server packs, unknown keys included", () => {
    const world = createWorld();
    const run = world[0]?.runs[0];
    const body = {
      x: "_step",
      range: [10, 19] as const,
      buckets: 1000,
      series: [
        { run: "ada/digits/lr-high", key: "loss" },
        { run: "ada/digits/lr-high", key: "__proto__" },
      ],
    };
    const bytes = packSeries(body, () => run);
    const [loss, unknown] = decodeSeries(bytes.slice().buffer);
    expect(loss?.x).toEqual(Float64Array.from([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]));
    expect(unknown).toMatchObject({ unknown: true, totalPoints: 0 });
  });
});
