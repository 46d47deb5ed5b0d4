import { type Query, type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { seriesQuery } from "../../api/queries";
import type { ProjectPath } from "../../api/runs";
import type { Series, SeriesRequest } from "../../api/series";
import type { PanelRun } from "../types";
import type { LineSettings } from "./schema";

/** Up to this many points every point is drawn; beyond, each bucket says its min, mean and max. */
export const BUCKETS = 1000;

export interface RunSeries {
  readonly run: PanelRun;
  readonly series: Series;
}

export interface LineData {
  readonly loaded: readonly RunSeries[];
  /** Nothing to draw yet. */
  readonly pending: boolean;
  /** The picture is coarser than the range deserves: finer buckets are on their way. */
  readonly refining: boolean;
  readonly error: Error | null;
  readonly retry: () => void;
}

/** The series of one metric for all runs. While a zoom loads, the buckets of the whole run stand in for it. */
export function useLineData(
  path: ProjectPath,
  runs: readonly PanelRun[],
  metric: string,
  settings: LineSettings,
): LineData {
  const client = useQueryClient();
  const requestOf = (run: PanelRun, range: LineSettings["zoom"]): SeriesRequest => ({
    entity: path.entity,
    project: path.project,
    run: run.id,
    key: metric,
    x: settings.xAxis,
    range,
    buckets: BUCKETS,
  });
  // charts fail together, when the server fails; one press brings all of them back
  const retry = useCallback(() => {
    const failed = (query: Query) => query.state.status === "error";
    void client.refetchQueries({ queryKey: ["series"], type: "active", predicate: failed });
  }, [client]);
  const combine = (results: UseQueryResult<Series>[]) => ({
    loaded: runs.flatMap((run, index) => {
      const series = results[index]?.data;
      return series === undefined ? [] : [{ run, series }];
    }),
    pending: results.some((result) => result.isPending),
    refining: results.some((result) => result.isPlaceholderData),
    error: results.find((result) => result.isError)?.error ?? null,
    retry,
  });
  const combined = useQueries({
    queries: runs.map((run) => ({
      ...seriesQuery(requestOf(run, settings.zoom)),
      placeholderData: () => client.getQueryData(seriesQuery(requestOf(run, null)).queryKey),
    })),
    combine,
  });
  return { ...combined, pending: combined.pending && combined.loaded.length === 0 };
}
