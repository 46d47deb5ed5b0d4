/** Runs over GraphQL. Together with `projects.ts` and `files.ts`, the types here are the app's whole view of the schema. */

import { type ClassLabels, readClassLabels } from "./class-labels";
import { Fields, readText } from "./decode";
import { type ExtendedObject, parseExtendedObject, unwrapConfig } from "./extended-json";
import { operation, runOperation } from "./graphql";
import { MEDIA_KINDS, type MediaKind } from "./media";

/** Where a run lives: `entity/project/run`. */
export interface RunPath {
  readonly entity: string;
  readonly project: string;
  readonly run: string;
}

export interface ProjectPath {
  readonly entity: string;
  readonly project: string;
}

/** What lists show of a run. `name` is the run id. */
export interface RunRow {
  readonly name: string;
  readonly displayName: string;
  readonly state: string;
  readonly createdAt: string;
  readonly heartbeatAt: string | null;
  readonly runtimeSeconds: number | null;
  readonly historyLineCount: number;
  readonly group: string | null;
  readonly jobType: string | null;
  readonly tags: readonly string[];
  readonly username: string;
}

export interface RecentRun extends RunRow {
  readonly entity: string;
  readonly project: string;
}

/** A row of the runs table: config and summary beside the list fields. */
export interface RunRecord extends RunRow {
  readonly config: ExtendedObject;
  readonly summary: ExtendedObject;
}

/** Where a run's history begins: another run, or its own state before it was rewound. */
export interface RunOrigin {
  readonly name: string;
  readonly displayName: string;
  /** The last step that was taken over. */
  readonly step: number;
  readonly rewound: boolean;
  readonly deleted: boolean;
}

export interface RunDetail extends RunRecord {
  readonly classLabels: ClassLabels;
  readonly origin: RunOrigin | null;
  /** Names the run's present state for good, also after a rewind. */
  readonly immutableId: string;
  /** What mutations name the run by. */
  readonly storageId: string;
  readonly stopRequested: boolean;
  readonly alertCount: number;
  readonly notes: string;
  readonly host: string | null;
  readonly program: string | null;
  readonly command: string | null;
  readonly commit: string | null;
  readonly exitCode: number | null;
  readonly logLineCount: number;
  /** Samples of system metrics. */
  readonly eventsLineCount: number;
  /** Rows and console lines that could not be kept; 0 for a run that is whole. */
  readonly lostRows: number;
  readonly fileCount: number;
  /** Versions of artifacts that it logged or used. */
  readonly artifactCount: number;
  readonly metadata: ExtendedObject;
}

export interface RunPage<Row> {
  readonly runs: readonly Row[];
  readonly total: number;
  readonly next: string | null;
}

const ROW = `name displayName state createdAt heartbeatAt runtimeSeconds historyLineCount group jobType tags
  user { name username }`;

function readRow(node: Fields): RunRow {
  const name = node.text("name");
  return {
    name,
    displayName: node.maybeText("displayName") ?? name,
    state: node.maybeText("state") ?? "unknown",
    createdAt: node.text("createdAt"),
    heartbeatAt: node.maybeText("heartbeatAt"),
    runtimeSeconds: node.maybeNumber("runtimeSeconds"),
    historyLineCount: node.maybeNumber("historyLineCount") ?? 0,
    group: node.maybeText("group"),
    jobType: node.maybeText("jobType"),
    tags: node.list("tags", readText),
    username: node.maybeFields("user")?.maybeText("username") ?? "",
  };
}

function readRecord(node: Fields): RunRecord {
  return {
    ...readRow(node),
    config: unwrapConfig(parseExtendedObject(node.maybeText("config"))),
    summary: parseExtendedObject(node.maybeText("summaryMetrics")),
  };
}

const RECENT_RUNS = operation(
  "WebRecentRuns",
  `query WebRecentRuns($first: Int) { recentRuns(first: $first) { ${ROW} project { name entityName } } }`,
);

export async function fetchRecentRuns(first: number, signal: AbortSignal): Promise<RecentRun[]> {
  const data = await runOperation(RECENT_RUNS, { first }, signal);
  return data.list("recentRuns", (item, at) => {
    const node = new Fields(item, at);
    const project = node.fields("project");
    return { ...readRow(node), entity: project.text("entityName"), project: project.text("name") };
  });
}

function runsOperation(name: string, selection: string) {
  return operation(
    name,
    `query ${name}($entity: String!, $project: String!, $after: String, $first: Int, $order: String,
      $filters: JSONString) {
      project(name: $project, entityName: $entity) {
        runCount(filters: $filters)
        runs(filters: $filters, after: $after, first: $first, order: $order) {
          edges { node { ${selection} } cursor } pageInfo { endCursor hasNextPage } } } }`,
  );
}

const RUN_ROWS = runsOperation("WebRuns", ROW);
const RUN_RECORDS = runsOperation("WebRunRecords", `${ROW} config summaryMetrics`);
const RUN_KEYS = runsOperation("WebRunKeys", "name historyKeys");
const RUN_SYSTEM_KEYS = runsOperation("WebRunSystemKeys", "name systemMetricKeys");

interface PageRequest extends ProjectPath {
  readonly after: string | null;
  readonly first: number;
}

/** One page of runs, newest first. */
export function fetchRunRows(page: PageRequest, signal: AbortSignal): Promise<RunPage<RunRow>> {
  return fetchPage(RUN_ROWS, page, readRow, signal);
}

/** One page of runs with config and summary, newest first. */
export function fetchRunRecords(page: PageRequest, signal: AbortSignal): Promise<RunPage<RunRecord>> {
  return fetchPage(RUN_RECORDS, page, readRecord, signal);
}

async function fetchPage<Row>(
  kind: ReturnType<typeof operation>,
  page: PageRequest,
  read: (node: Fields) => Row,
  signal: AbortSignal,
): Promise<RunPage<Row>> {
  const data = await runOperation(kind, { ...page, order: "-created_at", filters: "{}" }, signal);
  const project = data.maybeFields("project");
  if (project === null) return { runs: [], total: 0, next: null };
  const info = project.fields("runs").fields("pageInfo");
  return {
    runs: project.nodes("runs", read),
    total: project.maybeNumber("runCount") ?? 0,
    next: info.flag("hasNextPage") ? info.maybeText("endCursor") : null,
  };
}

/** The rows of the named runs; runs that do not exist are left out. */
export async function fetchNamedRunRows(
  path: ProjectPath,
  names: readonly string[],
  signal: AbortSignal,
): Promise<RunRow[]> {
  const data = await runOperation(RUN_ROWS, namedRuns(path, names), signal);
  return data.maybeFields("project")?.nodes("runs", readRow) ?? [];
}

/** One metric of a run, from `historyKeys`. */
export interface MetricInfo {
  readonly numeric: boolean;
  /** How its values are shown that are more than numbers; null when it has none. */
  readonly media: MediaKind | null;
  readonly count: number;
}

export type MetricMap = ReadonlyMap<string, MetricInfo>;

/** The metrics of each named run. */
export async function fetchMetrics(
  path: ProjectPath,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, MetricMap>> {
  const data = await runOperation(RUN_KEYS, namedRuns(path, names), signal);
  const runs = data.maybeFields("project")?.nodes("runs", (node) => {
    const keys = node.maybeFields("historyKeys")?.maybeFields("keys")?.entries() ?? [];
    return [node.text("name"), readMetrics(keys)] as const;
  });
  return new Map(runs ?? []);
}

/** Keys of the system metrics of each named run. */
export async function fetchSystemKeys(
  path: ProjectPath,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, readonly string[]>> {
  const data = await runOperation(RUN_SYSTEM_KEYS, namedRuns(path, names), signal);
  const runs = data
    .maybeFields("project")
    ?.nodes("runs", (node) => [node.text("name"), node.list("systemMetricKeys", readText)] as const);
  return new Map(runs ?? []);
}

function readMetrics(keys: [string, unknown][]): MetricMap {
  const metrics = new Map<string, MetricInfo>();
  for (const [key, value] of keys) {
    const counts = new Fields(value, key).list("typeCounts", (item, at) => {
      const entry = new Fields(item, at);
      return { type: entry.maybeText("type") ?? "", count: entry.maybeNumber("count") ?? 0 };
    });
    const numbers = counts.find((entry) => entry.type === "number");
    const count = numbers?.count ?? counts.reduce((sum, entry) => sum + entry.count, 0);
    const [media] = counts.filter((entry) => MEDIA_KINDS.has(entry.type)).sort((a, b) => b.count - a.count);
    const kind = media === undefined ? null : (MEDIA_KINDS.get(media.type) ?? null);
    metrics.set(key, { numeric: numbers !== undefined, media: kind, count });
  }
  return metrics;
}

function namedRuns(path: ProjectPath, names: readonly string[]) {
  const filters = JSON.stringify({ name: { $in: names } });
  const { entity, project } = path;
  return { entity, project, after: null, first: names.length, order: "-created_at", filters };
}

const RUN_DETAIL = operation(
  "WebRun",
  `query WebRun($entity: String!, $project: String!, $run: String!) {
    project(name: $project, entityName: $entity) { run(name: $run) {
      ${ROW} config summaryMetrics notes host program command commit exitCode logLineCount eventsLineCount lostRows fileCount metadata
      outputArtifacts(first: 1) { totalCount } inputArtifacts(first: 1) { totalCount }
      id stopped alertCount immutableId origin { step rewound deleted run { name displayName } } } } }`,
);

function totalOf(node: Fields, field: string): number {
  return node.maybeFields(field)?.maybeNumber("totalCount") ?? 0;
}

function readOrigin(origin: Fields | null): RunOrigin | null {
  if (origin === null) return null;
  const run = origin.fields("run");
  const name = run.text("name");
  return {
    name,
    displayName: run.maybeText("displayName") ?? name,
    step: origin.maybeNumber("step") ?? 0,
    rewound: origin.flag("rewound"),
    deleted: origin.flag("deleted"),
  };
}

/** The run, or null when it does not exist. */
export async function fetchRun(path: RunPath, signal: AbortSignal): Promise<RunDetail | null> {
  const data = await runOperation(RUN_DETAIL, { ...path }, signal);
  const node = data.maybeFields("project")?.maybeFields("run") ?? null;
  if (node === null) return null;
  const metadata = node.raw("metadata") ?? null;
  return {
    ...readRecord(node),
    classLabels: readClassLabels(parseExtendedObject(node.maybeText("config"))),
    storageId: node.text("id"),
    origin: readOrigin(node.maybeFields("origin")),
    immutableId: node.text("immutableId"),
    stopRequested: node.flag("stopped"),
    alertCount: node.maybeNumber("alertCount") ?? 0,
    notes: node.maybeText("notes") ?? "",
    host: node.maybeText("host"),
    program: node.maybeText("program"),
    command: node.maybeText("command"),
    commit: node.maybeText("commit"),
    exitCode: node.maybeNumber("exitCode"),
    logLineCount: node.maybeNumber("logLineCount") ?? 0,
    eventsLineCount: node.maybeNumber("eventsLineCount") ?? 0,
    lostRows: node.maybeNumber("lostRows") ?? 0,
    fileCount: node.maybeNumber("fileCount") ?? 0,
    artifactCount: totalOf(node, "outputArtifacts") + totalOf(node, "inputArtifacts"),
    metadata: parseExtendedObject(typeof metadata === "string" ? metadata : JSON.stringify(metadata)),
  };
}
