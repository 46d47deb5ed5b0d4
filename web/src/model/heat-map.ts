/** Histograms over steps as a heat map: steps to the right, values upwards, the share of a histogram's values as shade. */

export interface HeatColumn {
  readonly step: number;
  /** Where its cells begin and end on the axis of steps: half-way to its neighbours. */
  readonly from: number;
  readonly until: number;
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  /** Sum of the counts. */
  readonly total: number;
}

export interface HeatMap {
  readonly columns: readonly HeatColumn[];
  readonly steps: readonly [number, number];
  readonly values: readonly [number, number];
  /** The largest share of values per unit of the value axis; drawn in full colour. */
  readonly densest: number;
}

interface StepHistogram {
  readonly step: number;
  readonly counts: readonly number[];
  readonly edges: readonly number[];
}

/** Null when there is nothing to draw. */
export function heatMapOf(histograms: readonly StepHistogram[]): HeatMap | null {
  const usable = histograms.filter(({ edges, counts }) => counts.length > 0 && edges.every(Number.isFinite));
  const [first, last] = [usable[0], usable.at(-1)];
  if (first === undefined || last === undefined) return null;
  const columns = usable.map((each, at) => {
    const [before, after] = [usable[at - 1]?.step, usable[at + 1]?.step];
    const left = before === undefined ? null : (each.step - before) / 2;
    const right = after === undefined ? null : (after - each.step) / 2;
    return {
      ...each,
      from: each.step - (left ?? right ?? 0.5),
      until: each.step + (right ?? left ?? 0.5),
      total: each.counts.reduce((sum, count) => sum + count, 0),
    };
  });
  let [low, high, densest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const column of columns) {
    low = Math.min(low, column.edges[0] ?? low);
    high = Math.max(high, column.edges.at(-1) ?? high);
    column.counts.forEach((_, bin) => {
      densest = Math.max(densest, densityOf(column, bin));
    });
  }
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const [start, end] = [columns[0]?.from ?? 0, columns.at(-1)?.until ?? 1];
  return { columns, steps: [start, end], values: [low, high], densest: densest === 0 ? 1 : densest };
}

/** Share of the histogram's values in a bin per unit of the value axis, so that bins of any width compare. */
export function densityOf(column: HeatColumn, bin: number): number {
  const width = (column.edges[bin + 1] ?? 0) - (column.edges[bin] ?? 0);
  if (width <= 0 || column.total === 0) return 0;
  return (column.counts[bin] ?? 0) / column.total / width;
}

/** The value below which a share of a histogram's values lies, spread evenly within each bin; NaN when it has none. */
export function quantileOf({ counts, edges, total }: HeatColumn, share: number): number {
  if (total <= 0) return Number.NaN;
  const wanted = share * total;
  let below = 0;
  for (const [bin, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const [low = 0, high = 0] = [edges[bin], edges[bin + 1]];
      return low + ((wanted - below) / count) * (high - low);
    }
    below += count;
  }
  return edges.at(-1) ?? Number.NaN;
}

export interface HeatHit {
  readonly column: HeatColumn;
  readonly bin: number;
}

/** The cell at a step and a value; null between and outside of the cells. */
export function heatAt(map: HeatMap, step: number, value: number): HeatHit | null {
  const column = map.columns.find(({ from, until }) => step >= from && step <= until);
  if (column === undefined) return null;
  const bin = column.counts.findIndex(
    (_, at) => value >= (column.edges[at] ?? 0) && value <= (column.edges[at + 1] ?? 0),
  );
  return bin < 0 ? null : { column, bin };
}

/** About `count` round numbers from `low` to `high`, for an axis. */
export function ticksOf(low: number, high: number, count: number): number[] {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const gap = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const ticks: number[] = [];
  for (let at = Math.ceil(low / gap); at * gap <= high; at += 1)
    ticks.push(Number((at * gap).toPrecision(12)));
  return ticks;
}
