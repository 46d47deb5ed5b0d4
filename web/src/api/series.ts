/**
 * `POST /api/charts/series`: buckets of metrics in packed binary.
 *
 * Layout (little-endian): magic `RLS1`, u32 series count; per series u32 flags (bit 0 raw points, bit 1 unknown run or
 * key), u64 total points, f64 x_min, f64 x_max, u32 n, u32 zero, then n × f64 x, min, max, mean, n × u32 count,
 * padded with zeros to 8 bytes.
 */

import { batched } from "./batch";
import { postJson, request } from "./http";

export type XAxis = "_step" | "_runtime" | "_timestamp";

/** Rows of a run: what was logged, or what its machine was sampled for. */
export type Stream = "history" | "events";

/** Inclusive bounds on the x axis. */
export type Range = readonly [number, number];

export interface SeriesRequest {
  readonly entity: string;
  readonly project: string;
  readonly run: string;
  readonly key: string;
  readonly stream: Stream;
  /** The change per unit of x instead of the value, for counters. */
  readonly rate: boolean;
  readonly x: XAxis;
  readonly range: Range | null;
  readonly buckets: number;
}

/** One metric of one run as columns; `raw` means every point is here and min = max = mean. */
export interface Series {
  readonly raw: boolean;
  readonly unknown: boolean;
  readonly totalPoints: number;
  readonly xMin: number;
  readonly xMax: number;
  readonly x: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly mean: Float64Array;
  readonly count: Uint32Array;
}

export class SeriesFormatError extends Error {
  override readonly name = "SeriesFormatError";
}

const MAGIC = 0x31534c52; // "RLS1" read as a little-endian u32
const FILE_HEADER_BYTES = 8;
const SERIES_HEADER_BYTES = 36;
const BYTES_PER_POINT = 4 * 8 + 4;

export function decodeSeries(buffer: ArrayBuffer): Series[] {
  const view = new DataView(buffer);
  if (buffer.byteLength < FILE_HEADER_BYTES || view.getUint32(0, true) !== MAGIC) {
    throw new SeriesFormatError("not a series answer: wrong magic");
  }
  const total = view.getUint32(4, true);
  const result: Series[] = [];
  let at = FILE_HEADER_BYTES;
  for (let index = 0; index < total; index += 1) {
    if (at + SERIES_HEADER_BYTES > buffer.byteLength)
      throw new SeriesFormatError(`series ${index} is cut off`);
    const n = view.getUint32(at + 28, true);
    const data = at + SERIES_HEADER_BYTES;
    const end = data + n * BYTES_PER_POINT;
    if (end > buffer.byteLength) throw new SeriesFormatError(`series ${index} is cut off`);
    const flags = view.getUint32(at, true);
    // slice() copies, which also puts the columns on the 8-byte boundary that Float64Array needs
    const column = (place: number) => {
      const start = data + place * n * 8;
      return new Float64Array(buffer.slice(start, start + n * 8));
    };
    result.push({
      raw: (flags & 1) !== 0,
      unknown: (flags & 2) !== 0,
      totalPoints: Number(view.getBigUint64(at + 4, true)),
      xMin: view.getFloat64(at + 12, true),
      xMax: view.getFloat64(at + 20, true),
      x: column(0),
      min: column(1),
      max: column(2),
      mean: column(3),
      count: new Uint32Array(buffer.slice(data + 4 * n * 8, end)),
    });
    at = Math.ceil(end / 8) * 8;
  }
  return result;
}

/**
 * Loads one series. Requests of the same moment with the same axis and range share one POST.
 */
export const fetchSeries = batched<SeriesRequest, Series>({
  group: ({ x, range, buckets }) => JSON.stringify([x, range, buckets]),
  limit: 64,
  load: async (requests, signal) => {
    const [first] = requests;
    if (first === undefined) return [];
    const { x, range, buckets } = first;
    const series = requests.map(({ entity, project, run, key, stream, rate }) => ({
      run: `${entity}/${project}/${run}`,
      key,
      ...(stream === "history" ? {} : { stream }),
      ...(rate ? { rate } : {}),
    }));
    const response = await request("/api/charts/series", postJson({ x, range, buckets, series }, signal));
    return decodeSeries(await response.arrayBuffer());
  },
});
