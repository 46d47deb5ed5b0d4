import { useQueries, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { LogLine } from "../../api/logs";
import { LOG_PAGE_LINES, logPageQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { stripAnsi } from "../../model/ansi";
import { logView, MAX_SEARCHED_LINES, pagesOf } from "../../model/log";
import type { Matcher } from "../../model/search";

export interface Logs {
  /** Lines to show: all, or those that match. */
  readonly count: number;
  readonly line: (index: number) => LogLine | null;
  readonly total: number;
  readonly pending: boolean;
  /** A search that has not read the whole log yet. */
  readonly searching: boolean;
  readonly error: Error | null;
  readonly retry: () => void;
  /** Says which lines are on the screen, so that their pages are loaded. */
  readonly show: (first: number, last: number) => void;
}

/** Pages asked for at once: a search of a long log must not starve the rest of the page of connections. */
const PARALLEL_PAGES = 4;

/** Lines of a run's console log, loaded page by page as they come into view; a search loads all of them. */
export function useLogs(path: RunPath, knownTotal: number, matcher: Matcher | null): Logs {
  const client = useQueryClient();
  const [shown, setShown] = useState<readonly [number, number]>([0, 0]);
  const searched = Math.min(knownTotal, MAX_SEARCHED_LINES);
  const wanted =
    matcher === null
      ? pagesOf(shown[0], shown[1], knownTotal, LOG_PAGE_LINES)
      : pagesOf(0, searched - 1, searched, LOG_PAGE_LINES);
  const last = Math.max(0, Math.floor((knownTotal - 1) / LOG_PAGE_LINES));
  const numbers = [...new Set([last, ...wanted])];
  const here = numbers.filter(
    (page) => client.getQueryData(logPageQuery(path, page).queryKey) !== undefined,
  ).length;
  const results = useQueries({
    queries: numbers.map((page, index) => ({
      ...logPageQuery(path, page),
      enabled: index < here + PARALLEL_PAGES,
    })),
  });
  const pages = new Map(
    numbers.flatMap((page, index) => {
      const data = results[index]?.data;
      return data === undefined ? [] : [[page, data] as const];
    }),
  );
  const view = logView(pages, knownTotal, LOG_PAGE_LINES);
  const found = matcher === null ? null : matches([...pages.entries()], matcher);
  return {
    count: found === null ? view.total : found.length,
    line: (index) => (found === null ? view.line(index) : (found[index] ?? null)),
    total: view.total,
    pending: results.every((result) => result.isPending),
    searching: matcher !== null && results.some((result) => result.isPending),
    error: results.find((result) => result.isError)?.error ?? null,
    retry: () => {
      for (const result of results) if (result.isError) void result.refetch();
    },
    show: (first, end) => {
      if (first !== shown[0] || end !== shown[1]) setShown([first, end]);
    },
  };
}

function matches(
  pages: readonly (readonly [number, { readonly lines: readonly LogLine[] }])[],
  matcher: Matcher,
) {
  return [...pages]
    .sort(([a], [b]) => a - b)
    .flatMap(([, page]) => page.lines.filter((line) => matcher.test(stripAnsi(line.text))));
}
