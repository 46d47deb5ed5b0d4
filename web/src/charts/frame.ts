/** What a line plot draws, independent of the drawing library, and the arithmetic on it. */

import type { Range, XAxis } from "../api/series";
import { beginsAtZero, type Measure } from "../model/measure";

export interface PlotLine {
  /** Unique in the plot. */
  readonly id: string;
  /** What it belongs to, a run or a device: pointed at, all of its lines stand out, in this plot and in others. */
  readonly group: string;
  readonly name: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly x: Float64Array;
  /** The line: mean of each bucket, smoothed if asked. */
  readonly y: Float64Array;
  /** Unsmoothed means, drawn faint behind; null without smoothing. */
  readonly faint: Float64Array | null;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly count: Uint32Array;
  /** Whether min and max differ from the mean, that is, whether there is a band to draw. */
  readonly bucketed: boolean;
}

/** Which lines show the span of their buckets: all, the one pointed at, none. */
export type Band = "always" | "hover" | "never";

export interface PlotTheme {
  readonly text: string;
  readonly grid: string;
  readonly surface: string;
  readonly accent: string;
}

export interface PlotFrame {
  readonly lines: readonly PlotLine[];
  /** Lines over values, or a row of cells for each line. */
  readonly look: "lines" | "heat";
  readonly xAxis: XAxis;
  /** Bounds of the x axis: the zoom, else everything. */
  readonly range: Range | null;
  readonly logY: boolean;
  /** Unit of the values. */
  readonly measure: Measure;
  readonly band: Band;
  readonly theme: PlotTheme;
}

export interface HoverRow {
  readonly id: string;
  readonly group: string;
  readonly name: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly x: number;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Index of the value nearest to `wanted` in ascending `values`; -1 when empty. */
export function nearestIndex(values: Float64Array, wanted: number): number {
  let low = 0;
  let high = values.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  const before = values[low - 1];
  const here = values[low] ?? 0;
  return before !== undefined && wanted - before <= here - wanted ? low - 1 : low;
}

/** First index whose value is at least `wanted`. */
export function lowerBound(values: Float64Array, wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Indices of a line that touch the range, one point beyond each edge included so that lines leave the plot. */
export function visibleSlice(x: Float64Array, range: Range): readonly [number, number] {
  const from = Math.max(0, lowerBound(x, range[0]) - 1);
  let to = lowerBound(x, range[1]);
  while (to < x.length && x[to] === range[1]) to += 1;
  return [from, Math.min(x.length, to + 1)];
}

/** Extent of the data on x; a single point gets some room. */
export function xExtent(lines: readonly PlotLine[]): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { x } of lines) {
    const first = x[0];
    const last = x[x.length - 1];
    if (first !== undefined && first < low) low = first;
    if (last !== undefined && last > high) high = last;
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Extent on y of what is visible in `range`, padded; with a log axis only positive values count. */
export function yExtent(frame: PlotFrame, range: Range): Range {
  if (frame.look === "heat") return [0, Math.max(1, frame.lines.length)];
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  const take = (value: number | undefined) => {
    if (value === undefined || !Number.isFinite(value) || (frame.logY && value <= 0)) return;
    if (value < low) low = value;
    if (value > high) high = value;
  };
  for (const line of frame.lines) {
    const columns =
      frame.band === "always" && line.bucketed
        ? [line.min, line.max, line.y]
        : [line.faint ?? line.y, line.y];
    const start = lowerBound(line.x, range[0]);
    for (let at = start; at < line.x.length && (line.x[at] ?? 0) <= range[1]; at += 1) {
      for (const column of columns) take(column[at]);
    }
  }
  const whole = frame.measure.unit === "percent" ? 100 / frame.measure.factor : 0;
  if (frame.logY) {
    if (low > high) return [0.1, 1];
    return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
  }
  if (low > high) return [0, whole === 0 ? 1 : whole];
  if (beginsAtZero(frame.measure) && low >= 0) {
    return [0, high <= whole ? whole : high === 0 ? 1 : high * 1.06];
  }
  const room = low === high ? Math.abs(low) * 0.1 || 0.5 : (high - low) * 0.06;
  // a number that cannot be negative needs no room below zero
  const floor = low >= 0 && frame.measure.unit !== "number" ? 0 : Number.NEGATIVE_INFINITY;
  return [Math.max(floor, low - room), high + room];
}

/** Ticks of a log axis: 1, 2, 5 of each decade, powers of ten only when there are many, even steps within less than a decade. */
export function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  if (!(low > 0) || !Number.isFinite(decades)) return [];
  if (decades < 1) return evenTicks(low, high, 5);
  const every = Math.ceil(decades / 7);
  const factors = decades <= 3 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent += every) {
    for (const factor of factors) {
      const tick = Number(`${factor}e${exponent}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function evenTicks(low: number, high: number, most: number): number[] {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const count = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length: count }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

/** Values of all lines at `x`, largest first; lines that end more than `reach` away are left out. */
export function valuesAt(lines: readonly PlotLine[], x: number, reach: number): HoverRow[] {
  const rows: HoverRow[] = [];
  for (const line of lines) {
    const at = nearestIndex(line.x, x);
    const found = line.x[at];
    const value = line.y[at];
    if (found === undefined || value === undefined) continue;
    const last = line.x[line.x.length - 1] ?? found;
    if (x > last + reach || x < (line.x[0] ?? found) - reach) continue;
    rows.push({
      id: line.id,
      group: line.group,
      name: line.name,
      colour: line.colour,
      dash: line.dash,
      x: found,
      value,
      min: line.min[at] ?? value,
      max: line.max[at] ?? value,
      count: line.count[at] ?? 1,
    });
  }
  return rows.sort((a, b) => sortable(b.value) - sortable(a.value));
}

function sortable(value: number): number {
  return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
}
