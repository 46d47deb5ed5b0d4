import { describe, expect, it } from "vitest";
import { dashesOf, hueOf, PALETTE, runColour } from "./colour";

type Rgb = readonly [number, number, number];

function linear(colour: string): Rgb {
  const channel = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

function contrast(a: string, b: string): number {
  const light = (colour: string) => {
    const [red, green, blue] = linear(colour);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

/** Simulation of full protanopia and deuteranopia on linear RGB: Machado et al. 2009. */
const VISION: Record<string, readonly Rgb[]> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
};

/** Distance in Oklab (Ottosson 2020), where 0.02 is about a just noticeable difference. */
function distance(a: string, b: string, vision: readonly Rgb[]): number {
  const lab = (colour: string) => {
    const seen = vision.map((row) =>
      row.reduce((sum, part, at) => sum + part * (linear(colour)[at] ?? 0), 0),
    );
    const [red = 0, green = 0, blue = 0] = seen.map((value) => Math.max(0, value));
    const l = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
    const m = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
    const s = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
    return [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
  };
  const [first, second] = [lab(a), lab(b)];
  return Math.hypot(...first.map((value, at) => value - (second[at] ?? 0)));
}

const SURFACES = { light: "#ffffff", dark: "#151920" };

describe.each(["light", "dark"] as const)("the %s palette", (theme) => {
  it("stands out from the surface as WCAG asks of graphics", () => {
    for (const colour of PALETTE[theme]) expect(contrast(colour, SURFACES[theme])).toBeGreaterThanOrEqual(3);
  });

  it.each(Object.entries(VISION))("keeps every two hues apart for %s vision", (_, vision) => {
    for (const [index, first] of PALETTE[theme].entries()) {
      for (const second of PALETTE[theme].slice(index + 1)) {
        expect(distance(first, second, vision), `${first} and ${second}`).toBeGreaterThan(0.09);
      }
    }
  });
});

describe("runColour", () => {
  it("never changes for a run id", () => {
    expect(["lr-high", "a1b2c3d4", "", "x"].map(hueOf)).toMatchInlineSnapshot(`
      [
        7,
        6,
        5,
        4,
      ]
    `);
  });

  it("spreads ids over all hues", () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 8000; index += 1) {
      const hue = hueOf(`run${index}`);
      counts.set(hue, (counts.get(hue) ?? 0) + 1);
    }
    expect(counts.size).toBe(8);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it("keeps the hue when the theme changes", () => {
    const at = hueOf("lr-high");
    expect(runColour("lr-high", "light")).toBe(PALETTE.light[at]);
    expect(runColour("lr-high", "dark")).toBe(PALETTE.dark[at]);
  });
});

describe("dashesOf", () => {
  it("tells runs of one hue apart", () => {
    const ids = Array.from({ length: 100 }, (_, index) => `r${index}`)
      .filter((id) => hueOf(id) === 3)
      .slice(0, 3);
    const dashes = [...dashesOf(ids).values()];
    expect(dashes[0]).toEqual([]);
    expect(new Set(dashes.map((dash) => dash.join(" "))).size).toBe(3);
  });
});
