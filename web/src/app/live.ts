/** Live events → query cache. Events are collected and applied at most once a second. */

import { type InfiniteData, type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { followRuns, type LiveScope, type LiveStatus, type RunEvent } from "../api/live";
import { runRowsQuery } from "../api/queries";
import { fetchNamedRunRows, type ProjectPath, type RunPage, type RunRow } from "../api/runs";
import { CHANGEABLE_LINES } from "../model/log";
import { createStore } from "../model/store";

export const liveStatus = createStore<LiveStatus>("connecting");

/** First event of a quiet time is applied after this, so that a burst is one refetch. */
const FIRST_MILLIS = 100;
const INTERVAL_MILLIS = 1000;
/** Lists that show more than one run's counters are loaded again at most this often. */
const SLOW_MILLIS = 5000;

const PER_RUN = ["run", "series", "metrics", "files", "keySteps", "mediaValues", "artifacts"] as const;
/** What changes with the samples of a run's machine, which come far less often than rows. */
const PER_SAMPLE = ["sampled", "systemKeys"] as const;
const OVERVIEWS = ["projects", "project", "records"] as const;

export class LiveUpdates {
  readonly #client: QueryClient;
  readonly #abort = new AbortController();
  #dirty = new Map<string, RunEvent>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #slowAt = 0;
  /** Samples that a run had when what depends on them was last loaded. */
  readonly #samples = new Map<string, number>();

  constructor(client: QueryClient) {
    this.#client = client;
  }

  add(event: RunEvent): void {
    this.#dirty.set(JSON.stringify([event.entity, event.project, event.run]), event);
    this.#timer ??= setTimeout(() => this.#flush(), FIRST_MILLIS);
  }

  /** Everything shown may be old. */
  reset(): void {
    void this.#client.invalidateQueries();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #flush(): void {
    this.#timer = undefined;
    const events = this.#dirty;
    this.#dirty = new Map();
    const unknown = new Map<string, RunEvent[]>();
    for (const [id, event] of events) {
      if (!this.#refresh(event)) this.#dirty.set(id, event);
      if (this.#patchRow(event)) continue;
      const project = JSON.stringify([event.entity, event.project]);
      unknown.set(project, [...(unknown.get(project) ?? []), event]);
    }
    for (const group of unknown.values()) void this.#insertRows(group);
    this.#refreshLists();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#dirty.size > 0) this.#flush();
    }, INTERVAL_MILLIS);
  }

  /** Loads what depends on the run again; false when a load was under way that may have missed this change. */
  #refresh(event: RunEvent): boolean {
    const { entity, project, run, eventsLineCount } = event;
    const id = JSON.stringify([entity, project, run]);
    const sampled = this.#samples.get(id) !== eventsLineCount;
    let complete = true;
    for (const kind of sampled ? [...PER_RUN, ...PER_SAMPLE] : PER_RUN) {
      const queryKey = [kind, entity, project, run];
      if (this.#client.isFetching({ queryKey }) > 0) complete = false;
      else void this.#client.invalidateQueries({ queryKey });
    }
    if (complete) this.#samples.set(id, eventsLineCount);
    void this.#client.invalidateQueries({
      queryKey: ["logs", entity, project, run],
      predicate: ({ state }) => !isSettledLogPage(state.data),
    });
    return complete;
  }

  /** Puts the event's counters in the list of runs; false when the list lacks the run. */
  #patchRow(event: RunEvent): boolean {
    const { queryKey } = runRowsQuery(event);
    const data = this.#client.getQueryData(queryKey);
    if (data === undefined) return true;
    let found = false;
    const pages = data.pages.map((page) => {
      const at = page.runs.findIndex((row) => row.name === event.run);
      const row = page.runs[at];
      if (row === undefined) return page;
      found = true;
      const { displayName, state, historyLineCount } = event;
      return { ...page, runs: page.runs.with(at, { ...row, displayName, state, historyLineCount }) };
    });
    if (found) this.#client.setQueryData(queryKey, { ...data, pages });
    return found;
  }

  async #insertRows(events: readonly RunEvent[]): Promise<void> {
    const [first] = events;
    if (first === undefined) return;
    const names = events.map((event) => event.run);
    try {
      insertRows(this.#client, first, await fetchNamedRunRows(first, names, this.#abort.signal));
    } catch {
      // the next event of the run asks again
    }
  }

  #refreshLists(): void {
    const options = { cancelRefetch: false };
    void this.#client.invalidateQueries({ queryKey: ["recent"] }, options);
    if (Date.now() - this.#slowAt < SLOW_MILLIS) return;
    this.#slowAt = Date.now();
    for (const kind of OVERVIEWS) void this.#client.invalidateQueries({ queryKey: [kind] }, options);
  }
}

/** Whether all lines of a page are there and too far back to change. */
function isSettledLogPage(data: unknown): boolean {
  if (typeof data !== "object" || data === null || !("until" in data && "total" in data)) return false;
  const { until, total } = data;
  return typeof until === "number" && typeof total === "number" && until + CHANGEABLE_LINES <= total;
}

/** Puts new runs at the head of the list. */
function insertRows(client: QueryClient, path: ProjectPath, rows: readonly RunRow[]): void {
  const { queryKey } = runRowsQuery(path);
  client.setQueryData(queryKey, (data: InfiniteData<RunPage<RunRow>> | undefined) => {
    const [first, ...others] = data?.pages ?? [];
    if (data === undefined || first === undefined) return data;
    const known = new Set(data.pages.flatMap((page) => page.runs.map((row) => row.name)));
    const fresh = rows.filter((row) => !known.has(row.name));
    const head = { ...first, runs: [...fresh, ...first.runs], total: first.total + fresh.length };
    return { ...data, pages: [head, ...others] };
  });
}

/** Keeps the cache up to date with the runs of `entity` and `project`, or with all of them. */
export function useLiveUpdates({ entity, project }: LiveScope): void {
  const client = useQueryClient();
  useEffect(() => {
    const updates = new LiveUpdates(client);
    const stop = followRuns(
      { entity, project },
      {
        // the server may file an entity it does not know under another name; the page knows it by the one it asked for
        onRun: (event) => updates.add({ ...event, entity: entity ?? event.entity }),
        onReset: () => updates.reset(),
        onStatus: (status) => liveStatus.set(status),
      },
    );
    return () => {
      stop();
      updates.stop();
    };
  }, [client, entity, project]);
}
