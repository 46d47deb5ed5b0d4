/** Lines and bands on a canvas. */

import type { Range } from "../api/series";
import { type PlotLine, visibleSlice } from "./frame";

/** Where the plot lies on the canvas, in canvas pixels, and which values its edges stand for. */
export interface PlotArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly x: Range;
  readonly y: Range;
  readonly logY: boolean;
}

/** Draws columns of one line on the canvas of a plot. */
export class Pen {
  readonly #context: CanvasRenderingContext2D;
  readonly #range: Range;
  readonly #x: (value: number) => number;
  readonly #y: (value: number) => number;

  constructor(context: CanvasRenderingContext2D, area: PlotArea) {
    const { left, top, width, height, x, y, logY } = area;
    const scale = logY ? Math.log10 : (value: number) => value;
    const low = scale(y[0]);
    const high = scale(y[1]);
    this.#context = context;
    this.#range = x;
    this.#x = (value) => left + ((value - x[0]) / (x[1] - x[0])) * width;
    this.#y = (value) => top + (1 - (scale(value) - low) / (high - low)) * height;
  }

  line(line: PlotLine, values: Float64Array, alpha: number, width: number, dash: readonly number[]): void {
    const context = this.#context;
    const [from, to] = visibleSlice(line.x, this.#range);
    context.globalAlpha = alpha;
    context.strokeStyle = line.colour;
    context.fillStyle = line.colour;
    context.lineWidth = width * devicePixelRatio;
    context.lineJoin = "round";
    context.setLineDash(dash.map((part) => part * devicePixelRatio));
    context.beginPath();
    let drawing = 0;
    let lone: readonly [number, number] | null = null;
    for (let at = from; at < to; at += 1) {
      const x = this.#x(line.x[at] ?? 0);
      const y = this.#y(values[at] ?? Number.NaN);
      if (!Number.isFinite(y)) {
        if (drawing === 1 && lone !== null) this.#dot(lone, width);
        drawing = 0;
        continue;
      }
      if (drawing === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
      lone = [x, y];
      drawing += 1;
    }
    // a point without neighbours has no line to show it
    if (drawing === 1 && lone !== null) this.#dot(lone, width);
    context.stroke();
  }

  #dot([x, y]: readonly [number, number], width: number): void {
    const radius = (width + 1) * devicePixelRatio;
    this.#context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
  }

  band(line: PlotLine, alpha: number): void {
    const context = this.#context;
    const [from, to] = visibleSlice(line.x, this.#range);
    context.globalAlpha = alpha;
    context.fillStyle = line.colour;
    context.beginPath();
    let start = from;
    for (let at = from; at <= to; at += 1) {
      const whole = at < to && Number.isFinite(line.min[at]) && Number.isFinite(this.#y(line.min[at] ?? 0));
      if (whole) continue;
      this.#ribbon(line, start, at);
      start = at + 1;
    }
    context.fill();
    // the edge of the band keeps a spike of one bucket visible, which as an area is nearly nothing
    context.globalAlpha = Math.min(1, alpha * 2.5);
    context.strokeStyle = line.colour;
    context.lineWidth = 0.75 * devicePixelRatio;
    context.setLineDash([]);
    context.stroke();
  }

  #ribbon(line: PlotLine, from: number, to: number): void {
    const context = this.#context;
    for (let at = from; at < to; at += 1)
      context.lineTo(this.#x(line.x[at] ?? 0), this.#y(line.max[at] ?? 0));
    for (let at = to - 1; at >= from; at -= 1)
      context.lineTo(this.#x(line.x[at] ?? 0), this.#y(line.min[at] ?? 0));
    context.closePath();
  }
}
