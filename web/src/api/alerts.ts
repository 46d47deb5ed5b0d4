/** Alerts of a run, and the request that it stops. */

import { Fields } from "./decode";
import { operation, runOperation } from "./graphql";
import type { RunPath } from "./runs";

export interface Alert {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** `INFO`, `WARN` or `ERROR`. */
  readonly severity: string;
  readonly createdAt: string;
}

const ALERTS = operation(
  "WebRunAlerts",
  `query WebRunAlerts($entity: String!, $project: String!, $run: String!, $first: Int!) {
    project(name: $project, entityName: $entity) { run(name: $run) {
      alerts(first: $first) { id title text severity createdAt } } } }`,
);

/** The newest alerts of a run, newest first. */
export async function fetchAlerts(path: RunPath, first: number, signal: AbortSignal): Promise<Alert[]> {
  const data = await runOperation(ALERTS, { ...path, first }, signal);
  const run = data.maybeFields("project")?.maybeFields("run") ?? null;
  if (run === null) return [];
  return run.list("alerts", (item, at) => {
    const alert = new Fields(item, at);
    return {
      id: alert.text("id"),
      title: alert.text("title"),
      text: alert.maybeText("text") ?? "",
      severity: alert.text("severity"),
      createdAt: alert.text("createdAt"),
    };
  });
}

const STOP_RUN = operation(
  "WebStopRun",
  "mutation WebStopRun($id: ID!) { stopRun(input: {id: $id}) { success } }",
);

/** Asks a running run to stop; false if it has ended already. Its process learns it with its next upload. */
export async function stopRun(id: string): Promise<boolean> {
  const data = await runOperation(STOP_RUN, { id });
  return data.fields("stopRun").flag("success");
}
