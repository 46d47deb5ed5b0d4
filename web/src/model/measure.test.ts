import { describe, expect, it } from "vitest";
import { formatMeasure, type Measure, ratePerSecond, tickLabels, type Unit } from "./measure";

const of = (unit: Unit, factor = 1): Measure => ({ unit, factor });
const MIB = of("bytes", 2 ** 20);

describe("formatMeasure", () => {
  it.each([
    [0, of("bytes"), "0 B"],
    [512, of("bytes"), "512 B"],
    [1023, of("bytes"), "1,023 B"],
    [1024, of("bytes"), "1 KiB"],
    [71.95, MIB, "71.95 MiB"],
    [24_000, MIB, "23.44 GiB"],
    [0.5, MIB, "512 KiB"],
    [-2, MIB, "−2 MiB"],
    [87.256, of("percent"), "87.26%"],
    [1_500_000, of("bytesPerSecond"), "1.431 MiB/s"],
    [1980, of("megahertz"), "1,980 MHz"],
    [64, of("celsius"), "64 °C"],
    [350, of("watts"), "350 W"],
    [1200, of("watts"), "1.2 kW"],
    [1234, of("count"), "1.234k"],
    [3, of("count"), "3"],
    [0.25, of("perSecond"), "0.25/s"],
    [850, of("seconds", 1e-6), "850 µs"],
    [2_500_000, of("seconds", 1e-6), "2.5 s"],
    [7200, of("seconds"), "7,200 s"],
    [930, of("bitsPerSecond", 1e6), "930 Mbit/s"],
    [5_000, of("joules", 1e-3), "5 J"],
    [3.25, of("number"), "3.25"],
    [Number.NaN, MIB, "NaN"],
    [Number.POSITIVE_INFINITY, MIB, "∞"],
  ])("%d of %o is %s", (value, measure, text) => {
    expect(formatMeasure(value, measure)).toBe(text);
  });
});

describe("tickLabels", () => {
  it("keeps one prefix on an axis", () => {
    expect(tickLabels([0, 512, 1024, 1536], MIB)).toEqual(["0", "0.5 GiB", "1 GiB", "1.5 GiB"]);
    expect(tickLabels([0, 25, null, 100], of("percent"))).toEqual(["0", "25%", "", "100%"]);
  });

  it("says enough digits to tell ticks apart", () => {
    const labels = tickLabels([388_480, 388_512, 388_544], MIB);
    expect(labels).toEqual(["379.38 GiB", "379.41 GiB", "379.44 GiB"]);
  });

  it("shows plain numbers as other charts do", () => {
    expect(tickLabels([0, 0.5, 20_000], of("number"))).toEqual(["0", "0.5", "20,000"]);
  });
});

it("knows what counters become", () => {
  expect(ratePerSecond(MIB)).toEqual(of("bytesPerSecond", 2 ** 20));
  expect(ratePerSecond(of("count"))).toEqual(of("perSecond"));
  expect(ratePerSecond(of("joules", 1e-3))).toEqual(of("watts", 1e-3));
});
