import { useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { LogFilter, LogLine, LogSource, LogWriter } from "../../../api/logs";
import { LOG_PAGE_LINES, logPageQuery, logSearchQuery } from "../../../api/queries";
import { type LogPlace, labelsOf, logView, pagesOf } from "../../../model/log";

/** What a place of the list shows; a line that is not loaded yet is null. */
export type LogEntry =
  | Extract<LogPlace, { kind: "gap" }>
  | { readonly kind: "line"; readonly number: number; readonly line: LogLine | null };

export interface Logs {
  /** Places in the list: all lines, or those that match. */
  readonly count: number;
  readonly entry: (index: number) => LogEntry;
  readonly total: number;
  /** The time of the first line that is known, to count from. */
  readonly first: LogLine | null;
  readonly labels: readonly string[];
  readonly writers: readonly LogWriter[];
  readonly pending: boolean;
  /** A search that has not seen the whole log yet. */
  readonly searching: boolean;
  /** Set when a search has stopped because it has found so much; showing its end goes on with it. */
  readonly paused: boolean;
  readonly error: Error | null;
  readonly retry: () => void;
  /** Says which places are on the screen, so that their lines are loaded. */
  readonly show: (first: number, last: number) => void;
}

/** A search that has found so many lines goes on when somebody scrolls down to them. */
const FOUND_AT_ONCE = 5_000;

/** Lines of a run's console log, loaded page by page as they come into view. */
export function useLogs(source: LogSource, knownTotal: number): Logs {
  const [shown, setShown] = useState<readonly [number, number]>([0, 0]);
  // the places on the screen are known after the first page, which says what is left out
  const last = Math.max(0, Math.floor((knownTotal - 1) / LOG_PAGE_LINES));
  const numbers = [...new Set([0, last, ...pagesOf(shown[0], shown[1], knownTotal, LOG_PAGE_LINES)])];
  const results = useQueries({ queries: numbers.map((page) => logPageQuery(source, page)) });
  const pages = new Map(
    numbers.flatMap((page, index) => {
      const data = results[index]?.data;
      return data === undefined ? [] : [[page, data] as const];
    }),
  );
  const view = logView(pages, knownTotal, LOG_PAGE_LINES);
  const loaded = [...pages.values()];
  return {
    count: view.count,
    entry: (index) => {
      const place = view.place(index);
      return place.kind === "gap" ? place : { ...place, line: view.line(place.number) };
    },
    total: view.total,
    first: view.line(0),
    labels: labelsOf(loaded.flatMap((page) => page.lines)),
    writers: loaded[0]?.writers ?? [],
    pending: results.every((result) => result.isPending),
    searching: false,
    paused: false,
    error: results.find((result) => result.isError)?.error ?? null,
    retry: () => {
      for (const result of results) if (result.isError) void result.refetch();
    },
    show: (first, end) => {
      const numberOf = (index: number) => {
        const place = view.place(index);
        return place.kind === "gap" ? place.gap[1] : place.number;
      };
      const [from, to] = [numberOf(first), numberOf(end)];
      if (from !== shown[0] || to !== shown[1]) setShown([from, to]);
    },
  };
}

/** Lines of the log that pass `filter`; null instead of a filter asks for nothing. */
export function useLogSearch(source: LogSource, filter: LogFilter | null, knownTotal: number): Logs {
  const [end, setEnd] = useState(0);
  const result = useInfiniteQuery({
    ...logSearchQuery(source, filter ?? {}, knownTotal),
    enabled: filter !== null,
  });
  const pages = result.data?.pages ?? [];
  const lines = pages.flatMap((page) => page.lines);
  const wanted = lines.length < Math.max(FOUND_AT_ONCE, end + LOG_PAGE_LINES);
  const { hasNextPage, isFetching, isError, fetchNextPage } = result;
  const goesOn = filter !== null && hasNextPage && !isError && wanted;
  useEffect(() => {
    if (goesOn && !isFetching) void fetchNextPage();
  }, [goesOn, isFetching, fetchNextPage]);
  return {
    count: lines.length,
    entry: (index) => {
      const line = lines[index] ?? null;
      return { kind: "line", number: line?.number ?? index, line };
    },
    total: Math.max(knownTotal, ...pages.map((page) => page.total)),
    first: null,
    labels: [],
    writers: pages[0]?.writers ?? [],
    pending: result.isPending,
    searching: goesOn || isFetching,
    paused: hasNextPage && !wanted,
    error: result.error,
    retry: () => void (pages.length === 0 ? result.refetch() : result.fetchNextPage()),
    show: (_first, last) => {
      if (last > end) setEnd(last);
    },
  };
}
