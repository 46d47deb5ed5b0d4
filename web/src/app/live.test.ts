import { type InfiniteData, QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { RunEvent } from "../api/live";
import { runRowsQuery } from "../api/queries";
import type { RunPage, RunRow } from "../api/runs";
import { LiveUpdates } from "./live";

const PATH = { entity: "ada", project: "digits" };

function event(run: string, patch: Partial<RunEvent> = {}): RunEvent {
  const counts = { historyLineCount: 1, logLineCount: 0, eventsLineCount: 0 };
  return { ...PATH, run, displayName: run, state: "running", ...counts, ...patch };
}

function row(name: string): RunRow {
  return {
    name,
    displayName: name,
    state: "running",
    createdAt: "",
    heartbeatAt: null,
    runtimeSeconds: null,
    historyLineCount: 0,
    group: null,
    jobType: null,
    tags: [],
    username: "",
  };
}

let client: QueryClient;
let updates: LiveUpdates;

beforeEach(() => {
  vi.useFakeTimers();
  client = new QueryClient();
  updates = new LiveUpdates(client);
});

afterEach(() => {
  updates.stop();
  client.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A query that somebody looks at, and how often it was loaded. */
function watch(queryKey: readonly unknown[], load: () => Promise<unknown> = async () => 0) {
  const loads = vi.fn(load);
  const observer = new QueryObserver(client, {
    queryKey,
    queryFn: loads,
    staleTime: Number.POSITIVE_INFINITY,
  });
  observer.subscribe(() => {});
  return loads;
}

it("joins a burst of events into one load, and never loads more than once a second", async () => {
  const loads = watch(["series", "ada", "digits", "a", "loss"]);
  const other = watch(["series", "ada", "digits", "b", "loss"]);
  await vi.advanceTimersByTimeAsync(0);
  expect(loads).toHaveBeenCalledTimes(1);
  for (let at = 0; at < 30; at += 1) {
    updates.add(event("a"));
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(loads.mock.calls.length).toBeGreaterThanOrEqual(3);
  expect(loads.mock.calls.length).toBeLessThanOrEqual(4);
  expect(other).toHaveBeenCalledTimes(1);
});

it("shows a change within 1.2 s even when the last load is slow and may have missed it", async () => {
  let finish = () => {};
  const slow = () => new Promise<number>((resolve) => (finish = () => resolve(1)));
  const loads = watch(["series", "ada", "digits", "a", "loss"], slow);
  updates.add(event("a"));
  await vi.advanceTimersByTimeAsync(500);
  expect(loads).toHaveBeenCalledTimes(1);
  finish();
  await vi.advanceTimersByTimeAsync(700);
  expect(loads).toHaveBeenCalledTimes(2);
});

it("puts name, state and counters of a known run into the list", async () => {
  const { queryKey } = runRowsQuery(PATH);
  const data: InfiniteData<RunPage<RunRow>> = {
    pages: [{ runs: [row("a"), row("b")], total: 2, next: null }],
    pageParams: [null],
  };
  client.setQueryData(queryKey, data);
  updates.add(event("b", { state: "failed", displayName: "renamed", historyLineCount: 9 }));
  await vi.advanceTimersByTimeAsync(150);
  const runs = client.getQueryData(queryKey)?.pages[0]?.runs;
  expect(runs?.[0]).toEqual(row("a"));
  expect(runs?.[1]).toMatchObject({
    name: "b",
    state: "failed",
    displayName: "renamed",
    historyLineCount: 9,
  });
});

it("leaves pages of a log alone whose lines are too far back to change", async () => {
  const load = (until: number) => async () => ({ total: 3000, until, lines: [] });
  const [settled, changing, last] = [1000, 2000, 3000].map((until, page) =>
    watch(["logs", "ada", "digits", "a", null, page], load(until)),
  );
  await vi.advanceTimersByTimeAsync(0);
  updates.add(event("a"));
  await vi.advanceTimersByTimeAsync(150);
  expect([settled, changing, last].map((loads) => loads?.mock.calls.length)).toEqual([1, 2, 2]);
});

it("loads what was sampled only when there are new samples", async () => {
  const sampled = watch(["sampled", "ada", "digits", "a", "system.cpu"]);
  const rows = watch(["series", "ada", "digits", "a", "loss"]);
  await vi.advanceTimersByTimeAsync(0);
  updates.add(event("a", { eventsLineCount: 1 }));
  await vi.advanceTimersByTimeAsync(2000);
  expect([sampled.mock.calls.length, rows.mock.calls.length]).toEqual([2, 2]);
  updates.add(event("a", { eventsLineCount: 1, historyLineCount: 2 }));
  await vi.advanceTimersByTimeAsync(2000);
  expect([sampled.mock.calls.length, rows.mock.calls.length]).toEqual([2, 3]);
  updates.add(event("a", { eventsLineCount: 2, historyLineCount: 2 }));
  await vi.advanceTimersByTimeAsync(2000);
  expect(sampled).toHaveBeenCalledTimes(3);
});
