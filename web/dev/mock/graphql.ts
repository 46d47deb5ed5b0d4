/** Answers of the operations that the app sends, by operation name; every object carries all fields the app may select. */

import { artifactNode, artifactsOf, entryPage, membershipNode } from "./artifacts";
import type { MockProject, MockRun } from "./world";
import { valueAt } from "./world";

export interface GraphqlBody {
  readonly operationName: string;
  readonly variables: Record<string, unknown>;
}

export function answer(world: readonly MockProject[], { operationName, variables }: GraphqlBody): unknown {
  const text = (name: string) => String(variables[name] ?? "");
  const project = world.find((item) => item.entity === text("entity") && item.name === text("project"));
  switch (operationName) {
    case "WebRecentRuns":
      return { recentRuns: recentRuns(world, Number(variables.first ?? 20)) };
    case "WebProjects": {
      const projects = world.filter((item) => item.entity === text("entity"));
      return { models: { edges: projects.map((item) => ({ node: projectNode(item) })) } };
    }
    case "WebProject":
      return { project: project === undefined ? null : projectNode(project) };
    case "WebRuns":
    case "WebRunRecords":
    case "WebRunKeys":
    case "WebRunSystemKeys":
      return { project: project === undefined ? null : runPage(project, variables) };
    case "WebStopRun":
      stopped.add(text("id"));
      return { stopRun: { success: true } };
    case "WebRun":
    case "WebRunAlerts": {
      const run = project?.runs.find((item) => item.name === text("run"));
      return { project: { run: run === undefined ? null : runNode(run) } };
    }
    case "WebKeySteps": {
      const run = project?.runs.find((item) => item.name === text("run"));
      const steps = run?.media.get(text("key"))?.steps ?? [];
      const from = variables.from == null ? Number.NEGATIVE_INFINITY : Number(variables.from);
      return { project: { run: { keySteps: steps.filter((step) => step >= from) } } };
    }
    case "WebMediaValues": {
      const run = project?.runs.find((item) => item.name === text("run"));
      const specs: string[] = Array.isArray(variables.specs) ? variables.specs.map(String) : [];
      const sampled = run === undefined ? [] : specs.map((spec) => sampledHistory(run, spec));
      return { project: { run: { sampledHistory: sampled } } };
    }
    case "WebRunOutputs":
    case "WebRunInputs": {
      const run = project?.runs.find((item) => item.name === text("run"));
      const direction = operationName === "WebRunOutputs" ? "outputs" : "inputs";
      const rows = run === undefined ? [] : artifactsOf(run, direction);
      const edges = rows.map((artifact) => ({ node: artifactNode(artifact) }));
      const pageInfo = { hasNextPage: false, endCursor: null };
      return { project: { run: { artifacts: { totalCount: rows.length, edges, pageInfo } } } };
    }
    case "WebArtifact":
      return { project: { artifactCollectionMembership: membershipNode(text("name")) } };
    case "WebArtifactFiles": {
      const after = variables.after == null ? null : text("after");
      return { artifact: { files: entryPage(text("id"), Number(variables.first), after) } };
    }
    case "WebRunFiles": {
      const run = project?.runs.find((item) => item.name === text("run"));
      const nodes = [...(run?.files ?? [])].map(([name, { type, bytes }]) => ({
        node: { name, sizeBytes: bytes.byteLength, mimetype: type, updatedAt: run?.createdAt },
      }));
      return {
        project: { run: { files: { edges: nodes, pageInfo: { hasNextPage: false, endCursor: null } } } },
      };
    }
    default:
      throw new Error(`the mock server does not know \`${operationName}\``);
  }
}

function recentRuns(world: readonly MockProject[], first: number): unknown[] {
  return world
    .filter((project) => project.name !== "ten-thousand-runs")
    .flatMap((project) => project.runs)
    .sort((a, b) => b.createdAt.localeCompare(a.createdAt))
    .slice(0, first)
    .map(runNode);
}

function runPage(project: MockProject, variables: Record<string, unknown>): unknown {
  const first = Number(variables.first ?? 50);
  const start = variables.after == null ? 0 : Number(variables.after);
  const wanted = namesOf(String(variables.filters ?? "{}"));
  const runs = project.runs.filter((run) => wanted === null || wanted.includes(run.name));
  const page = runs.slice(start, start + first);
  const end = start + page.length;
  return {
    runCount: runs.length,
    runs: {
      edges: page.map((run, index) => ({ node: runNode(run), cursor: String(start + index + 1) })),
      pageInfo: { hasNextPage: end < runs.length, endCursor: String(end) },
    },
  };
}

function namesOf(filters: string): string[] | null {
  const parsed: { name?: { $in?: string[] } } = JSON.parse(filters);
  return parsed.name?.$in ?? null;
}

function projectNode({ entity, name, description, runs }: MockProject) {
  const created = "2026-01-05T09:00:00";
  return {
    name,
    entityName: entity,
    description,
    createdAt: created,
    lastActivityAt: runs[0]?.createdAt ?? null,
    runCount: runs.length,
    access: "PRIVATE",
  };
}

function runNode(run: MockRun) {
  const last = Math.max(0, run.steps - 1);
  const summary = run.metrics
    .map((key) => `${JSON.stringify(key)}:${String(valueAt(run, key, last))}`)
    .join(",");
  return {
    name: run.name,
    displayName: run.displayName,
    state: run.state,
    createdAt: run.createdAt,
    heartbeatAt: run.state === "running" ? new Date().toISOString() : run.createdAt,
    runtimeSeconds: run.steps * 1.5,
    historyLineCount: run.steps,
    group: null,
    jobType: "train",
    tags: run.tags,
    user: { name: "Ada", username: "ada" },
    project: { name: run.project, entityName: run.entity },
    config: run.config,
    summaryMetrics: `{${summary}${summary === "" ? "" : ","}"_step":${last}}`,
    historyKeys: {
      sets: [],
      lastStep: last,
      keys: Object.fromEntries([
        ...run.metrics.map((key) => [key, keyInfo("number", run.steps)] as const),
        ...[...run.media].map(([key, { type, steps }]) => [key, keyInfo(type, steps.length)] as const),
      ]),
    },
    notes: run.tags.length > 0 ? "Baseline with the new data loader.\nCompare with last week." : null,
    host: "gpu-07",
    program: "train.py",
    command: "python train.py --lr 0.01 --epochs 100",
    commit: "5f0c2a9d41",
    exitCode: run.state === "failed" ? 1 : run.state === "running" || run.state === "crashed" ? null : 0,
    logLineCount: run.log.length,
    eventsLineCount: run.samples,
    systemMetricKeys: run.samples > 0 ? run.system : [],
    id: `id-of-${run.name}`,
    stopped: stopped.has(`id-of-${run.name}`),
    immutableId: `${run.name}:0`,
    origin:
      run.state === "crashed"
        ? {
            step: 40,
            rewound: true,
            deleted: false,
            run: { name: `${run.name}:0`, displayName: run.displayName },
          }
        : null,
    alertCount: run.state === "failed" ? ALERTS.length : 0,
    alerts: run.state === "failed" ? ALERTS : [],
    lostRows: run.state === "failed" ? 1234 : 0,
    fileCount: run.files.size,
    outputArtifacts: { totalCount: artifactsOf(run, "outputs").length },
    inputArtifacts: { totalCount: artifactsOf(run, "inputs").length },
    metadata: {
      os: "Linux-6.1-x86_64",
      python: "CPython 3.12.4",
      git: { remote: "git@example.com:ada/digits.git", commit: "5f0c2a9d41" },
    },
  };
}

/** Ids of runs that were asked to stop. */
const stopped = new Set<string>();

const ALERTS = [
  {
    id: "3",
    title: "Run crashed",
    text: "No heartbeat arrived for 5 minutes.",
    severity: "ERROR",
    createdAt: "2026-01-06T10:00:00",
  },
  {
    id: "2",
    title: "High loss",
    text: "loss 12.5 at step 120\nlearning rate 0.1",
    severity: "WARN",
    createdAt: "2026-01-06T09:58:00",
  },
  { id: "1", title: "Warm-up done", text: "", severity: "INFO", createdAt: "2026-01-06T09:30:00" },
];

function keyInfo(type: string, count: number) {
  return { typeCounts: [{ type, count }], monotonic: false };
}

/** As the server: rows that have the key, thinned to the samples asked for. */
function sampledHistory(run: MockRun, text: string): unknown[] {
  const spec: { keys: string[]; samples: number; minStep?: number; maxStep?: number } = JSON.parse(text);
  const key = spec.keys.find((name) => name !== "_step") ?? "";
  const media = run.media.get(key);
  const [low, high] = [spec.minStep ?? Number.NEGATIVE_INFINITY, spec.maxStep ?? Number.POSITIVE_INFINITY];
  const steps = media?.steps.filter((step) => step >= low && step <= high) ?? [];
  return steps.slice(0, spec.samples).map((step) => ({ _step: step, [key]: media?.at(step) }));
}
