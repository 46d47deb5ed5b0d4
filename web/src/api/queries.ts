/** Query options of every server state the app shows: key, loader, freshness. Keys start with what live events invalidate. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { readBoxes } from "../model/classes";
import { readTable } from "../model/table";
import {
  type ArtifactPath,
  type Direction,
  fetchArtifact,
  fetchArtifactEntries,
  fetchRunArtifacts,
} from "./artifacts";
import { batched } from "./batch";
import { fetchFileState, fetchRunFiles, fetchTextPreview, fileUrl } from "./files";
import { isMissing } from "./http";
import { fetchLogs, type LogFilter, type LogSource } from "./logs";
import { fetchMask } from "./masks";
import { fetchKeySteps, fetchMediaValue, fetchMediaValues, type StepValue } from "./media";
import { fetchProject, fetchProjects } from "./projects";
import { fetchRecipe } from "./reproduce";
import {
  fetchMetrics,
  fetchRecentRuns,
  fetchRun,
  fetchRunRecords,
  fetchRunRows,
  fetchSystemKeys,
  type MetricMap,
  type ProjectPath,
  type RunPath,
} from "./runs";
import { fetchSeries, type SeriesRequest } from "./series";
import { fetchSession } from "./session";

/** Lines of one page of a console log. */
export const LOG_PAGE_LINES = 1000;
/** Bytes of a text file that the preview shows. */
export const PREVIEW_BYTES = 512 * 1024;

const FIRST_PAGE: string | null = null;
const NO_METRICS: MetricMap = new Map();

const fetchRunMetrics = batched<RunPath, MetricMap>({
  group: ({ entity, project }) => JSON.stringify([entity, project]),
  limit: 100,
  load: async (paths, signal) => {
    const [first] = paths;
    if (first === undefined) return [];
    const names = paths.map((path) => path.run);
    const metrics = await fetchMetrics(first, names, signal);
    return names.map((name) => metrics.get(name) ?? NO_METRICS);
  },
});

const fetchRunSystemKeys = batched<RunPath, readonly string[]>({
  group: ({ entity, project }) => JSON.stringify([entity, project]),
  limit: 100,
  load: async (paths, signal) => {
    const [first] = paths;
    if (first === undefined) return [];
    const names = paths.map((path) => path.run);
    const keys = await fetchSystemKeys(first, names, signal);
    return names.map((name) => keys.get(name) ?? []);
  },
});

export function sessionQuery() {
  return queryOptions({
    queryKey: ["session"],
    queryFn: ({ signal }) => fetchSession(signal),
    staleTime: 5 * 60_000,
  });
}

export function recentRunsQuery() {
  return queryOptions({ queryKey: ["recent"], queryFn: ({ signal }) => fetchRecentRuns(200, signal) });
}

export function projectsQuery(entity: string) {
  return queryOptions({
    queryKey: ["projects", entity],
    queryFn: ({ signal }) => fetchProjects(entity, signal),
  });
}

export function projectQuery({ entity, project }: ProjectPath) {
  return queryOptions({
    queryKey: ["project", entity, project],
    queryFn: ({ signal }) => fetchProject({ entity, project }, signal),
  });
}

export function runRowsQuery({ entity, project }: ProjectPath) {
  return infiniteQueryOptions({
    queryKey: ["runs", entity, project],
    queryFn: ({ pageParam, signal }) =>
      fetchRunRows({ entity, project, after: pageParam, first: pageParam === null ? 200 : 1000 }, signal),
    initialPageParam: FIRST_PAGE,
    getNextPageParam: (page) => page.next,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function runRecordsQuery({ entity, project }: ProjectPath) {
  return infiniteQueryOptions({
    queryKey: ["records", entity, project],
    queryFn: ({ pageParam, signal }) =>
      fetchRunRecords({ entity, project, after: pageParam, first: 200 }, signal),
    initialPageParam: FIRST_PAGE,
    getNextPageParam: (page) => page.next,
  });
}

export function runQuery({ entity, project, run }: RunPath) {
  return queryOptions({
    queryKey: ["run", entity, project, run],
    queryFn: ({ signal }) => fetchRun({ entity, project, run }, signal),
  });
}

export function metricsQuery({ entity, project, run }: RunPath) {
  return queryOptions({
    queryKey: ["metrics", entity, project, run],
    queryFn: ({ signal }) => fetchRunMetrics({ entity, project, run }, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function seriesQuery(wanted: SeriesRequest) {
  const { entity, project, run, key, stream, rate, x, range, buckets } = wanted;
  return queryOptions({
    // what is logged and what is sampled change at different times
    queryKey: [
      stream === "events" ? "sampled" : "series",
      entity,
      project,
      run,
      key,
      rate,
      x,
      range,
      buckets,
    ],
    queryFn: ({ signal }) => fetchSeries(wanted, signal),
    staleTime: Number.POSITIVE_INFINITY,
    // a person who scrolls through thousands of panels must not collect all of them in memory
    gcTime: 60_000,
  });
}

/** Steps at which a run has a key; only new ones are transferred when the run goes on. */
export function keyStepsQuery({ entity, project, run }: RunPath, key: string) {
  const queryKey = ["keySteps", entity, project, run, key];
  return queryOptions({
    queryKey,
    queryFn: ({ signal, client }) => {
      const known = client.getQueryData<readonly number[]>(queryKey) ?? [];
      return fetchKeySteps({ entity, project, run }, key, known, signal);
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

/** A media value at a step. It changes only where a rewound run logs the step again. */
export function mediaValueQuery({ entity, project, run }: RunPath, key: string, step: number) {
  return queryOptions({
    queryKey: ["media", entity, project, run, key, step],
    queryFn: ({ signal }) => fetchMediaValue({ entity, project, run }, key, step, signal),
    staleTime: 30_000,
    gcTime: 60_000,
  });
}

/** How often a file that is on its way is looked for. */
const UPLOAD_MILLIS = 3000;

/** Whether a file is there; while its run is live, one that is missing is looked for again. */
export function fileStateQuery(url: string, live: boolean) {
  return queryOptions({
    queryKey: ["fileState", url],
    queryFn: ({ signal }) => fetchFileState(url, signal),
    staleTime: 60_000,
    gcTime: 60_000,
    refetchInterval: ({ state }) => (live && state.data === "missing" ? UPLOAD_MILLIS : false),
  });
}

/** Bytes of a file of boxes that are read. */
const BOXES_BYTES = 8 * 1024 * 1024;

/** The boxes in a file; null when there are too many of them to read. */
export function boxesQuery(url: string, width: number, height: number, live: boolean) {
  return queryOptions({
    queryKey: ["boxes", url, width, height],
    queryFn: async ({ signal }) => {
      const { text, cut } = await fetchTextPreview(url, BOXES_BYTES, signal);
      return cut ? null : readBoxes(text, width, height);
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
    retry: false,
    refetchInterval: ({ state }) => (live && isMissing(state.error) ? UPLOAD_MILLIS : false),
  });
}

/** Classes of the pixels of a mask; while its run is live, one that is missing is looked for again. */
export function maskQuery(url: string, live: boolean) {
  return queryOptions({
    queryKey: ["mask", url],
    queryFn: ({ signal }) => fetchMask(url, signal),
    staleTime: Number.POSITIVE_INFINITY,
    // pixels take megabytes, and the browser keeps the file
    gcTime: 5_000,
    retry: false,
    refetchInterval: ({ state }) => (live && isMissing(state.error) ? UPLOAD_MILLIS : false),
  });
}

/** Tables of more bytes are not shown: parsing them would hold up the page. */
export const TABLE_BYTES = 48 * 1024 * 1024;

/** The table in a file; while its run is live, one that is missing is looked for again. */
export function tableQuery(url: string, live: boolean) {
  return queryOptions({
    queryKey: ["table", url],
    queryFn: async ({ signal }) => {
      const { text, cut } = await fetchTextPreview(url, TABLE_BYTES, signal);
      return cut ? null : readTable(text);
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
    refetchInterval: ({ state }) => (live && isMissing(state.error) ? UPLOAD_MILLIS : false),
  });
}

/** Values of a key spread over the run, for what is drawn over steps; only new ones are transferred when the run goes on. */
export function mediaValuesQuery({ entity, project, run }: RunPath, key: string, samples: number) {
  const queryKey = ["mediaValues", entity, project, run, key, samples];
  return queryOptions({
    queryKey,
    queryFn: ({ signal, client }) => {
      const known = client.getQueryData<readonly StepValue[]>(queryKey) ?? [];
      return fetchMediaValues({ entity, project, run }, key, samples, known, signal);
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export function systemKeysQuery({ entity, project, run }: RunPath) {
  return queryOptions({
    queryKey: ["systemKeys", entity, project, run],
    queryFn: ({ signal }) => fetchRunSystemKeys({ entity, project, run }, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function logPageQuery(source: LogSource, page: number) {
  const { entity, project, run } = source.path;
  return queryOptions({
    queryKey: ["logs", entity, project, run, source.writer, page],
    queryFn: ({ signal }) => fetchLogs(source, page * LOG_PAGE_LINES, LOG_PAGE_LINES, {}, signal),
  });
}

/** Lines that pass a filter, found piece by piece. `total` is how long the log is known to be: a search goes on from its end. */
export function logSearchQuery(source: LogSource, filter: LogFilter, total: number) {
  const { entity, project, run } = source.path;
  return infiniteQueryOptions({
    queryKey: ["logSearch", entity, project, run, source.writer, filter],
    queryFn: ({ pageParam, signal }) => fetchLogs(source, pageParam, LOG_PAGE_LINES, filter, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? (total > last.total ? last.total : undefined),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export function filesQuery({ entity, project, run }: RunPath) {
  return queryOptions({
    queryKey: ["files", entity, project, run],
    queryFn: ({ signal }) => fetchRunFiles({ entity, project, run }, signal),
  });
}

export function runArtifactsQuery({ entity, project, run }: RunPath, direction: Direction) {
  return infiniteQueryOptions({
    queryKey: ["artifacts", entity, project, run, direction],
    queryFn: ({ pageParam, signal }) =>
      fetchRunArtifacts({ entity, project, run }, direction, pageParam, signal),
    initialPageParam: FIRST_PAGE,
    getNextPageParam: (page) => page.next,
  });
}

export function artifactQuery({ entity, project, type, name, version }: ArtifactPath) {
  return queryOptions({
    queryKey: ["artifact", entity, project, type, name, version],
    queryFn: ({ signal }) => fetchArtifact({ entity, project, type, name, version }, signal),
  });
}

/**
 * What is in a version. It never changes, so nothing of it is asked for twice while it is shown: a refetch would ask for
 * every page that was loaded. The addresses of its files are good for an hour only, so it is soon forgotten afterwards.
 */
export function artifactEntriesQuery(id: string) {
  return infiniteQueryOptions({
    queryKey: ["artifactEntries", id],
    queryFn: ({ pageParam, signal }) => fetchArtifactEntries(id, pageParam, signal),
    initialPageParam: FIRST_PAGE,
    getNextPageParam: (page) => page.next,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export function recipeQuery({ entity, project, run }: RunPath) {
  return queryOptions({
    queryKey: ["recipe", entity, project, run],
    queryFn: ({ signal }) => fetchRecipe({ entity, project, run }, signal),
  });
}

export function textPreviewQuery({ entity, project, run }: RunPath, name: string) {
  return queryOptions({
    queryKey: ["file", entity, project, run, name],
    queryFn: ({ signal }) => fetchTextPreview(fileUrl({ entity, project, run }, name), PREVIEW_BYTES, signal),
  });
}
