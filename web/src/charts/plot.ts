/**
 * The one module that touches uPlot. uPlot gives axes, scales, cursor, selection and cursor sync; lines and bands are
 * drawn here, because runs have their own x values and uPlot's own series would have to be joined into one table.
 */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Range, XAxis } from "../api/series";
import { formatDuration, formatNumber } from "../model/format";
import { isBinary, tickLabels } from "../model/measure";
import { type HoverRow, logTicks, type PlotFrame, type PlotLine, valuesAt, xExtent, yExtent } from "./frame";
import { drawHeat, heatRowAt, labelledRows } from "./heat";
import { Pen } from "./pen";

export interface Hover {
  /** Pointer in CSS pixels from the plot's top left corner. */
  readonly left: number;
  readonly top: number;
  /** Height of the whole plot. */
  readonly height: number;
  readonly x: number;
  readonly rows: readonly HoverRow[];
  /** The line pointed at. */
  readonly nearest: HoverRow | null;
}

export interface PlotHandlers {
  readonly onHover: (hover: Hover | null) => void;
  readonly onZoom: (range: Range) => void;
  readonly onReset: () => void;
}

const FONT = '11px "Inter Variable", system-ui, sans-serif';
/** How near the pointer must be to a line for the line to count as pointed at, in pixels. */
const NEAR_PIXELS = 32;

/** Steps between ticks of durations, in seconds: whole minutes, hours and days beyond a minute. */
const DURATION_AXIS: uPlot.Axis = {
  incrs: [
    ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
    ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
    ...[1, 2, 4, 6, 12].map((hours) => hours * 3600),
    ...[1, 2, 5, 10, 20, 50, 100].map((days) => days * 86_400),
  ],
};

/** Steps between ticks of bytes, in any power of 1024. */
const BINARY_AXIS: uPlot.Axis = { incrs: Array.from({ length: 90 }, (_, power) => 2 ** (power - 30)) };

/** Steps between ticks of things that are counted. */
const WHOLE_AXIS: uPlot.Axis = {
  incrs: Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((first) => first * 10 ** power)).flat(),
};

/** uPlot's own log ticks need bounds that are powers of ten; these plots fit their data instead. */
const LOG_AXIS: uPlot.Axis = {
  splits: (_plot, _axis, low, high) => logTicks(low, high),
  filter: (_plot, splits) => splits,
};

export class Plot {
  readonly #root: HTMLElement;
  readonly #handlers: PlotHandlers;
  readonly #syncKey: string;
  readonly #marks = document.createElement("canvas");
  #frame: PlotFrame;
  #plot: uPlot;
  #range: Range = [0, 1];
  #highlight: string | null = null;
  #pointerInside = false;

  constructor(root: HTMLElement, frame: PlotFrame, handlers: PlotHandlers, syncKey: string) {
    this.#root = root;
    this.#frame = frame;
    this.#handlers = handlers;
    this.#syncKey = syncKey;
    this.#plot = this.#build();
  }

  update(frame: PlotFrame): void {
    const { xAxis, logY, measure } = this.#frame;
    const rebuild = frame.xAxis !== xAxis || frame.logY !== logY || frame.measure.unit !== measure.unit;
    const recolour = frame.theme !== this.#frame.theme;
    this.#frame = frame;
    if (rebuild || recolour) {
      this.#plot.destroy();
      this.#plot = this.#build();
    } else {
      this.#plot.setData(this.#extents());
    }
  }

  /** Makes the lines of one group stand out; null puts all back. */
  highlight(group: string | null): void {
    if (group === this.#highlight) return;
    this.#highlight = group;
    this.#plot.redraw(false);
  }

  resize(width: number, height: number): void {
    if (width === this.#plot.width && height === this.#plot.height) return;
    this.#plot.setSize({ width, height });
  }

  destroy(): void {
    this.#plot.destroy();
  }

  #build(): uPlot {
    const { xAxis, logY, look, theme } = this.#frame;
    const axis = {
      stroke: theme.text,
      font: FONT,
      ticks: { show: false },
      grid: { stroke: theme.grid, width: 1 },
    };
    const options: uPlot.Options = {
      width: Math.max(1, this.#root.clientWidth),
      height: Math.max(1, this.#root.clientHeight),
      padding: [8, 18, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: xAxis === "_timestamp", range: () => [this.#range[0], this.#range[1]] },
        y: {
          distr: logY ? 3 : 1,
          dir: look === "heat" ? -1 : 1,
          range: () => [...yExtent(this.#frame, this.#range)],
        },
      },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        {
          ...axis,
          ...(xAxis === "_runtime" ? DURATION_AXIS : {}),
          size: 26,
          gap: 6,
          space: 64,
          values: (_, splits) => xLabels(splits, xAxis),
        },
        {
          ...axis,
          ...(look === "heat" ? this.#rowAxis() : this.#valueAxis()),
          size: (_, labels) => axisWidth(labels),
          gap: 6,
        },
      ],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 4 },
        sync: { key: this.#syncKey, setSeries: false, scales: ["x", null] },
        bind: {
          dblclick: () => () => {
            this.#handlers.onReset();
            return null;
          },
        },
      },
      hooks: {
        ready: [(plot) => this.#attach(plot)],
        draw: [(plot) => this.#draw(plot)],
        setCursor: [(plot) => this.#moveCursor(plot)],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
    return new uPlot(options, this.#extents(), this.#root);
  }

  #valueAxis(): uPlot.Axis {
    const { logY, measure } = this.#frame;
    const ticks = logY
      ? LOG_AXIS
      : isBinary(measure)
        ? BINARY_AXIS
        : measure.unit === "count"
          ? WHOLE_AXIS
          : {};
    return { ...ticks, space: 32, values: (_, splits) => tickLabels(splits, this.#frame.measure) };
  }

  /** Names of rows in place of values. */
  #rowAxis(): uPlot.Axis {
    return {
      splits: (plot) => labelledRows(this.#frame.lines.length, plot.bbox.height / devicePixelRatio, 14),
      values: (_, splits) => splits.map((at) => this.#frame.lines[Math.floor(at)]?.name ?? ""),
      filter: (_, splits) => splits,
      grid: { show: false },
    };
  }

  /** The corners of the plot as uPlot's data: scales need values, the lines are drawn here. */
  #extents(): uPlot.AlignedData {
    this.#range = this.#frame.range ?? xExtent(this.#frame.lines);
    return [[...this.#range], [...yExtent(this.#frame, this.#range)]];
  }

  #attach(plot: uPlot): void {
    this.#marks.className = "plot-marks";
    plot.over.append(this.#marks);
    plot.over.addEventListener("pointerenter", () => {
      this.#pointerInside = true;
    });
    plot.over.addEventListener("pointerleave", () => {
      this.#pointerInside = false;
      this.#handlers.onHover(null);
    });
  }

  #select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range: Range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    // only the plot under the pointer asks: the others receive the same selection through cursor sync
    if (this.#pointerInside) this.#handlers.onZoom(range);
  }

  #moveCursor(plot: uPlot): void {
    const { left = -10, top = -10 } = plot.cursor;
    if (left < 0) {
      this.#paintMarks(plot, []);
      return;
    }
    const x = plot.posToVal(left, "x");
    const reach = Math.abs(plot.posToVal(16, "x") - plot.posToVal(0, "x"));
    if (this.#frame.look === "heat") {
      const rows = this.#pointerInside ? heatRowAt(this.#frame, x, plot.posToVal(top, "y"), reach) : [];
      this.#hover(plot, left, top, x, rows, rows[0] ?? null);
      return;
    }
    const rows = valuesAt(this.#frame.lines, x, reach);
    this.#paintMarks(plot, rows);
    if (!this.#pointerInside) return;
    let nearest: HoverRow | null = null;
    let best = NEAR_PIXELS;
    for (const row of rows) {
      const distance = Math.abs(plot.valToPos(row.value, "y") - top);
      if (distance < best) {
        best = distance;
        nearest = row;
      }
    }
    this.#hover(plot, left, top, x, rows, nearest);
  }

  #hover(
    plot: uPlot,
    left: number,
    top: number,
    x: number,
    rows: readonly HoverRow[],
    nearest: HoverRow | null,
  ): void {
    if (!this.#pointerInside) return;
    const { offsetLeft, offsetTop } = plot.over;
    this.#handlers.onHover({
      left: left + offsetLeft,
      top: top + offsetTop,
      height: plot.height,
      x,
      rows,
      nearest,
    });
  }

  #paintMarks(plot: uPlot, rows: readonly HoverRow[]): void {
    const ratio = devicePixelRatio;
    const { clientWidth, clientHeight } = plot.over;
    const width = Math.round(clientWidth * ratio);
    const height = Math.round(clientHeight * ratio);
    if (this.#marks.width !== width || this.#marks.height !== height) {
      this.#marks.width = width;
      this.#marks.height = height;
    }
    const context = this.#marks.getContext("2d");
    if (context === null) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    for (const row of rows) {
      if (!Number.isFinite(row.value)) continue;
      context.beginPath();
      context.arc(plot.valToPos(row.x, "x"), plot.valToPos(row.value, "y"), 3.5, 0, 2 * Math.PI);
      context.fillStyle = row.colour;
      context.strokeStyle = this.#frame.theme.surface;
      context.lineWidth = 1.5;
      context.fill();
      context.stroke();
    }
  }

  #draw(plot: uPlot): void {
    const { ctx: context, bbox } = plot;
    const { lines, band } = this.#frame;
    const { min = 0, max = 1 } = plot.scales.y ?? {};
    const { left, top, width, height } = bbox;
    const pen = new Pen(context, {
      left,
      top,
      width,
      height,
      x: this.#range,
      y: [min, max],
      logY: this.#frame.logY,
    });
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (this.#frame.look === "heat") {
      drawHeat(context, this.#frame, this.#range, { left, top, width, height });
      context.restore();
      return;
    }
    const known = this.#highlight !== null && lines.some((line) => line.group === this.#highlight);
    const ordered = known ? [...lines].sort((a, b) => this.#weight(a) - this.#weight(b)) : lines;
    for (const line of ordered) {
      const strong = known && line.group === this.#highlight;
      const alpha = known && !strong ? 0.28 : 1;
      if (line.bucketed && (band === "always" || (band === "hover" && strong))) pen.band(line, alpha * 0.16);
      if (line.faint !== null) pen.line(line, line.faint, alpha * 0.3, 1, []);
      pen.line(line, line.y, alpha, strong ? 2.25 : 1.5, line.dash);
    }
    context.restore();
  }

  #weight(line: PlotLine): number {
    return line.group === this.#highlight ? 1 : 0;
  }
}

/** Room for the longest label, no less than other charts have, so that most plots line up. */
function axisWidth(labels: readonly string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(52, Math.ceil(longest * 6.4) + 14);
}

function xLabels(splits: readonly number[], axis: XAxis): string[] {
  if (axis === "_runtime") return splits.map(formatDuration);
  if (axis === "_timestamp") return timeLabels(splits);
  const large = (splits.at(-1) ?? 0) >= 10_000;
  const short = splits.map((value) =>
    large ? `${formatNumber(value / 1000)}k`.replace(/^0k$/, "0") : formatNumber(value),
  );
  // close together, rounded labels say the same thing twice
  return new Set(short).size === short.length ? short : splits.map((value) => value.toLocaleString("en-US"));
}

function timeLabels(splits: readonly number[]): string[] {
  const gap = (splits[1] ?? 0) - (splits[0] ?? 0);
  const style: Intl.DateTimeFormatOptions =
    gap >= 86_400
      ? { day: "numeric", month: "short" }
      : gap >= 60
        ? { hour: "2-digit", minute: "2-digit" }
        : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const format = new Intl.DateTimeFormat("en-GB", style);
  return splits.map((seconds) => format.format(seconds * 1000));
}
