/** Which runs of a project are listed and which of them are drawn. */

import type { RunRow } from "../api/runs";
import { matcherOf } from "./search";
import { naturalOrder } from "./sections";

/** Runs drawn before anybody has chosen: a few lines can still be told apart. */
export const AUTO_RUNS = 10;
/** Most runs drawn at once. */
export const MAX_DRAWN = 100;

export const SORTS = [
  ["-created", "Newest first"],
  ["created", "Oldest first"],
  ["name", "Name"],
  ["state", "State"],
  ["-runtime", "Longest runtime"],
] as const;

export type Sort = (typeof SORTS)[number][0];

export function readSort(text: string | undefined): Sort {
  return SORTS.find(([value]) => value === text)?.[0] ?? "-created";
}

const COMPARE: Record<Sort, (a: RunRow, b: RunRow) => number> = {
  "-created": (a, b) => b.createdAt.localeCompare(a.createdAt),
  created: (a, b) => a.createdAt.localeCompare(b.createdAt),
  name: (a, b) => naturalOrder(a.displayName, b.displayName),
  state: (a, b) => stateRank(a.state) - stateRank(b.state),
  "-runtime": (a, b) => (b.runtimeSeconds ?? 0) - (a.runtimeSeconds ?? 0),
};

function stateRank(state: string): number {
  const order = ["running", "crashed", "failed", "killed", "finished"];
  const at = order.indexOf(state);
  return at < 0 ? order.length : at;
}

/** Runs whose name or id matches the search, sorted. */
export function listedRuns(rows: readonly RunRow[], query: string, sort: Sort): RunRow[] {
  const { test } = matcherOf(query);
  return rows.filter((row) => test(row.displayName) || test(row.name)).sort(COMPARE[sort]);
}

/**
 * The runs to draw, in the order of the list. `chosen` is the person's selection; null means the first few listed runs.
 */
export function drawnRuns(
  rows: readonly RunRow[],
  listed: readonly RunRow[],
  chosen: readonly string[] | null,
): RunRow[] {
  if (chosen === null) return listed.slice(0, AUTO_RUNS);
  const wanted = new Set(chosen);
  return rows.filter((row) => wanted.has(row.name)).slice(0, MAX_DRAWN);
}

/** The selection after one run's eye was pressed. */
export function toggled(drawn: readonly string[], run: string): string[] {
  return drawn.includes(run) ? drawn.filter((name) => name !== run) : [...drawn, run];
}
