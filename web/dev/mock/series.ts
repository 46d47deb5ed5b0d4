/** Buckets and their packed form, as the server makes them. */

import { systemPoints } from "./system";
import { type MockRun, valueAt } from "./world";

interface Points {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface SeriesBody {
  readonly x: string;
  readonly range: readonly [number, number] | null;
  readonly buckets: number;
  readonly series: readonly {
    readonly run: string;
    readonly key: string;
    readonly stream?: "history" | "events";
    readonly rate?: boolean;
  }[];
}

interface Packed {
  readonly flags: number;
  readonly total: number;
  readonly xMin: number;
  readonly xMax: number;
  readonly rows: readonly (readonly [x: number, min: number, max: number, mean: number, count: number])[];
}

export function packSeries(body: SeriesBody, find: (path: string) => MockRun | undefined): Uint8Array {
  const parts = body.series.map(({ run, key, stream = "history", rate = false }) => {
    const found = find(run);
    if (found === undefined) return UNKNOWN;
    if (stream === "events") {
      return key.startsWith("_") || found.system.includes(key)
        ? bucketed(systemPoints(found, key, body.x, rate), body)
        : UNKNOWN;
    }
    const known = key === "_runtime" || found.metrics.includes(key);
    return known ? bucketed(pointsOf(found, key, body.x), body) : UNKNOWN;
  });
  const size = parts.reduce((sum, part) => sum + padded(36 + part.rows.length * 36), 8);
  const view = new DataView(new ArrayBuffer(size));
  view.setUint32(0, 0x31534c52, true);
  view.setUint32(4, parts.length, true);
  let at = 8;
  for (const part of parts) {
    const n = part.rows.length;
    view.setUint32(at, part.flags, true);
    view.setBigUint64(at + 4, BigInt(part.total), true);
    view.setFloat64(at + 12, part.xMin, true);
    view.setFloat64(at + 20, part.xMax, true);
    view.setUint32(at + 28, n, true);
    part.rows.forEach((row, index) => {
      for (let column = 0; column < 4; column += 1) {
        view.setFloat64(at + 36 + (column * n + index) * 8, row[column] ?? 0, true);
      }
      view.setUint32(at + 36 + 4 * n * 8 + index * 4, row[4], true);
    });
    at += padded(36 + n * 36);
  }
  return new Uint8Array(view.buffer);
}

const UNKNOWN: Packed = { flags: 2, total: 0, xMin: Number.NaN, xMax: Number.NaN, rows: [] };

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function pointsOf(run: MockRun, key: string, axis: string): Points {
  const start = Date.parse(`${run.createdAt}Z`) / 1000;
  const steps = Array.from({ length: run.steps }, (_, step) => step);
  const xOf = (step: number) => (axis === "_step" ? step : step * 1.5 + (axis === "_timestamp" ? start : 0));
  return { x: steps.map(xOf), y: key === "_runtime" ? steps.map((step) => step * 1.5) : valuesOf(run, key) };
}

/** Values depend on names and steps only, so all servers of a process share them. */
const known = new Map<string, number[]>();

function valuesOf(run: MockRun, key: string): readonly number[] {
  const id = `${run.name}\n${key}`;
  const values = known.get(id) ?? [];
  known.set(id, values);
  while (values.length < run.steps) values.push(valueAt(run, key, values.length));
  return values.slice(0, run.steps);
}

function bucketed({ x, y }: Points, { range, buckets }: SeriesBody): Packed {
  const [xMin = Number.NaN, xMax = Number.NaN] = [x[0], x.at(-1)];
  const [low, high] = range ?? [xMin, xMax];
  const inside = x
    .map((_, index) => index)
    .filter((index) => (x[index] ?? 0) >= low && (x[index] ?? 0) <= high);
  const head = { total: x.length, xMin, xMax };
  if (inside.length <= buckets) {
    const rows = inside.map((index) => {
      const value = y[index] ?? 0;
      return [x[index] ?? 0, value, value, value, 1] as const;
    });
    return { ...head, flags: 1, rows };
  }
  const groups = new Map<number, number[]>();
  for (const index of inside) {
    const place = Math.min(buckets - 1, Math.floor((((x[index] ?? 0) - low) / (high - low)) * buckets));
    const group = groups.get(place);
    if (group === undefined) groups.set(place, [index]);
    else group.push(index);
  }
  const rows = [...groups.values()].map((group) => {
    const finite = group.map((index) => y[index] ?? 0).filter(Number.isFinite);
    const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
    const [min, max] =
      finite.length === 0 ? [Number.NaN, Number.NaN] : [Math.min(...finite), Math.max(...finite)];
    return [x[group[0] ?? 0] ?? 0, min, max, mean, group.length] as const;
  });
  return { ...head, flags: 0, rows };
}
