/**
 * Run colours: a stable hash of the run id picks one of eight hues that stay apart under the common colour vision
 * deficiencies; runs of one view that share a hue differ by dash.
 */

/**
 * Hues for each theme, in the same order, so that a run keeps its hue when the theme changes. Found by hill climbing over
 * the smallest distance of any two under normal vision, protanopia and deuteranopia; the test beside this file checks it.
 */
export const PALETTE = {
  light: ["#293280", "#c46308", "#2f9263", "#9e366d", "#6b571c", "#0099d0", "#750b0c", "#5f59b7"],
  dark: ["#677adc", "#cd6d16", "#279c6e", "#e476ac", "#b6b227", "#57e9fe", "#fac1af", "#aaadff"],
} as const;

export type Theme = keyof typeof PALETTE;

const HUES = PALETTE.light.length;
/** Dash patterns in CSS pixels; the first is a solid line. */
const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** FNV-1a over UTF-16 units with a final avalanche; the same on every machine and for ever. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export function hueOf(runId: string): number {
  return hashText(runId) % HUES;
}

export function runColour(runId: string, theme: Theme): string {
  return PALETTE[theme][hueOf(runId)] ?? PALETTE[theme][0];
}

/** The colour at a place of the palette, and how many times the palette was gone through before it. */
export function paletteColour(
  place: number,
  theme: Theme,
): { readonly colour: string; readonly round: number } {
  const colour = PALETTE[theme][place % HUES] ?? PALETTE[theme][0];
  return { colour, round: Math.floor(place / HUES) };
}

/** Dash pattern of every run of one view: the first run of a hue is solid, the next ones dashed. */
export function dashesOf(runIds: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const used = new Map<number, number>();
  const dashes = new Map<string, readonly number[]>();
  for (const id of runIds) {
    const hue = hueOf(id);
    const rank = used.get(hue) ?? 0;
    used.set(hue, rank + 1);
    dashes.set(id, DASHES[rank % DASHES.length] ?? []);
  }
  return dashes;
}
