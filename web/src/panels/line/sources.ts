import { type Query, type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { seriesQuery } from "../../api/queries";
import type { Series, SeriesRequest } from "../../api/series";
import type { LineSettings } from "./schema";

/** Up to this many points every point is drawn; beyond, each bucket says its min, mean and max. */
export const BUCKETS = 1000;

/** Cells of a row, of which there are many, one pixel or two each. */
export const CELLS = 250;

/** One line of a plot: how it looks, and which series it is. */
export interface LineSource {
  /** Unique in the plot. */
  readonly id: string;
  /** What it belongs to: a run, or a device. */
  readonly group: string;
  readonly name: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly series: Pick<SeriesRequest, "entity" | "project" | "run" | "key" | "stream" | "rate">;
}

export interface LoadedLine {
  readonly source: LineSource;
  readonly series: Series;
}

export interface LineData {
  readonly loaded: readonly LoadedLine[];
  /** Nothing to draw yet. */
  readonly pending: boolean;
  /** The picture is coarser than the range deserves: finer buckets are on their way. */
  readonly refining: boolean;
  readonly error: Error | null;
  readonly retry: () => void;
}

/** The series of all lines. While a zoom loads, the buckets of the whole run stand in for it. */
export function useLineData(
  sources: readonly LineSource[],
  { xAxis, zoom }: Pick<LineSettings, "xAxis" | "zoom">,
  buckets: number,
): LineData {
  const client = useQueryClient();
  const requestOf = (source: LineSource, range: LineSettings["zoom"]): SeriesRequest => ({
    ...source.series,
    x: xAxis,
    range,
    buckets,
  });
  // charts fail together, when the server fails; one press brings all of them back
  const retry = useCallback(() => {
    const failed = (query: Query) => query.state.status === "error";
    for (const kind of ["series", "sampled"]) {
      void client.refetchQueries({ queryKey: [kind], type: "active", predicate: failed });
    }
  }, [client]);
  const combine = (results: UseQueryResult<Series>[]) => ({
    loaded: sources.flatMap((source, index) => {
      const series = results[index]?.data;
      return series === undefined ? [] : [{ source, series }];
    }),
    pending: results.some((result) => result.isPending),
    refining: results.some((result) => result.isPlaceholderData),
    error: results.find((result) => result.isError)?.error ?? null,
    retry,
  });
  const combined = useQueries({
    queries: sources.map((source) => ({
      ...seriesQuery(requestOf(source, zoom)),
      placeholderData: () => client.getQueryData(seriesQuery(requestOf(source, null)).queryKey),
    })),
    combine,
  });
  return { ...combined, pending: combined.pending && combined.loaded.length === 0 };
}
