/** `GET /api/live`: server-sent events that say which runs have changed. */

import { Fields } from "./decode";
import type { RunPath } from "./runs";

export interface RunEvent extends RunPath {
  readonly displayName: string;
  readonly state: string;
  readonly historyLineCount: number;
  readonly logLineCount: number;
  /** Samples of system metrics. */
  readonly eventsLineCount: number;
}

export interface LiveHandlers {
  readonly onRun: (event: RunEvent) => void;
  /** The server dropped events: everything shown may be old. */
  readonly onReset: () => void;
  readonly onStatus: (status: LiveStatus) => void;
}

export type LiveStatus = "connecting" | "live" | "interrupted";

export interface LiveScope {
  readonly entity?: string | undefined;
  readonly project?: string | undefined;
}

const RETRY_MILLIS = 2000;

/**
 * Follows the runs of `scope`; returns the function that stops. The connection is opened again after an error; events
 * may have been missed then, so `onReset` is called once it is back.
 */
export function followRuns(scope: LiveScope, handlers: LiveHandlers): () => void {
  const query = new URLSearchParams();
  if (scope.entity !== undefined) query.set("entity", scope.entity);
  if (scope.project !== undefined) query.set("project", scope.project);
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let interrupted = false;

  const open = () => {
    source = new EventSource(`/api/live?${query.toString()}`);
    source.addEventListener("open", () => {
      handlers.onStatus("live");
      if (interrupted) handlers.onReset();
      interrupted = false;
    });
    source.addEventListener("run", (message) => handlers.onRun(readRunEvent(message)));
    source.addEventListener("reset", () => handlers.onReset());
    source.addEventListener("error", () => {
      interrupted = true;
      handlers.onStatus("interrupted");
      // EventSource gives up for good on an HTTP error (a restarting proxy answers 502), so reopen it here
      source?.close();
      retry = setTimeout(open, RETRY_MILLIS);
    });
  };
  handlers.onStatus("connecting");
  open();
  return () => {
    clearTimeout(retry);
    source?.close();
  };
}

function readRunEvent(message: MessageEvent<unknown>): RunEvent {
  const body: unknown = JSON.parse(String(message.data));
  const fields = new Fields(body, "live event");
  const run = fields.text("run");
  return {
    entity: fields.text("entity"),
    project: fields.text("project"),
    run,
    displayName: fields.maybeText("displayName") ?? run,
    state: fields.maybeText("state") ?? "unknown",
    historyLineCount: fields.maybeNumber("historyLineCount") ?? 0,
    logLineCount: fields.maybeNumber("logLineCount") ?? 0,
    eventsLineCount: fields.maybeNumber("eventsLineCount") ?? 0,
  };
}
