/** Many series of one unit as rows of cells: dark where the value is high. */

import type { Range } from "../api/series";
import { type HoverRow, lowerBound, type PlotFrame, type PlotLine, valuesAt } from "./frame";

/** A value that is there is told from one that is not, even at zero. */
const LEAST_ALPHA = 0.06;
/** Height of a row from which rows are kept apart by a gap, in CSS pixels. */
const GAP_FROM = 5;

export interface HeatArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Value that is drawn in full colour. */
export function fullValue(frame: PlotFrame): number {
  if (frame.measure.unit === "percent") return 100 / frame.measure.factor;
  let largest = 0;
  for (const line of frame.lines) {
    for (const value of line.y) if (Number.isFinite(value) && value > largest) largest = value;
  }
  return largest === 0 ? 1 : largest;
}

/** Draws all rows, the first on top. */
export function drawHeat(
  context: CanvasRenderingContext2D,
  frame: PlotFrame,
  range: Range,
  area: HeatArea,
): void {
  const full = fullValue(frame);
  const height = area.height / frame.lines.length;
  const gap = height >= GAP_FROM * devicePixelRatio ? devicePixelRatio : 0;
  const scale = area.width / (range[1] - range[0]);
  context.fillStyle = frame.theme.accent;
  frame.lines.forEach((line, row) => {
    const top = area.top + row * height;
    for (const [at, until] of cellsOf(line, range)) {
      const value = line.y[at] ?? Number.NaN;
      if (!Number.isFinite(value)) continue;
      const from = line.x[at] ?? 0;
      context.globalAlpha = LEAST_ALPHA + (1 - LEAST_ALPHA) * Math.min(1, Math.max(0, value / full));
      // half a pixel more, else the seams between cells shine through
      context.fillRect(
        area.left + (from - range[0]) * scale,
        top,
        (until - from) * scale + 0.5,
        height - gap,
      );
    }
  });
  context.globalAlpha = 1;
}

/** Places of the visible values and where each one's cell ends: at the next value, or as long as the one before it. */
export function cellsOf({ x }: PlotLine, range: Range): (readonly [at: number, until: number])[] {
  const cells: (readonly [number, number])[] = [];
  const usual = usualGap(x);
  for (let at = Math.max(0, lowerBound(x, range[0]) - 1); at < x.length; at += 1) {
    const from = x[at] ?? 0;
    if (from > range[1]) break;
    const next = x[at + 1] ?? from + usual;
    // a cell does not tell of a time that was not sampled
    cells.push([at, Math.min(next, from + 3 * usual)]);
  }
  return cells;
}

function usualGap(x: Float64Array): number {
  const [first, last] = [x[0], x[x.length - 1]];
  if (first === undefined || last === undefined || x.length < 2) return 1;
  return (last - first) / (x.length - 1);
}

/** The row under the pointer: `y` counts rows from the top. */
export function heatRowAt(frame: PlotFrame, x: number, y: number, reach: number): readonly HoverRow[] {
  const line = frame.lines[Math.floor(y)];
  if (line === undefined) return [];
  const { accent } = frame.theme;
  return valuesAt([line], x, reach).map((found) => ({ ...found, colour: accent, dash: [] }));
}

/** Rows that get a label, so that labels stay `space` pixels apart: in the middle of the row. */
export function labelledRows(rows: number, pixels: number, space: number): number[] {
  const fits = Math.max(1, Math.floor(pixels / space));
  const every = [1, 2, 4, 8, 16, 32, 64].find((step) => Math.ceil(rows / step) <= fits) ?? 128;
  return Array.from({ length: Math.ceil(rows / every) }, (_, at) => at * every + 0.5);
}
