import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { runRowsQuery } from "../../api/queries";
import type { ProjectPath, RunRow } from "../../api/runs";

export interface Runs {
  readonly rows: readonly RunRow[];
  readonly total: number;
  readonly pending: boolean;
  /** Whether all runs are here; until then search and sort see the newest ones only. */
  readonly complete: boolean;
  readonly error: Error | null;
  readonly retry: () => void;
}

const NO_ROWS: readonly RunRow[] = [];

/** All runs of a project, newest first; pages after the first load on their own in the background. */
export function useRuns(path: ProjectPath): Runs {
  const query = useInfiniteQuery({
    ...runRowsQuery(path),
    select: ({ pages }) => ({ rows: pages.flatMap((page) => page.runs), total: pages[0]?.total ?? 0 }),
  });
  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetching && !isError) void fetchNextPage();
  }, [hasNextPage, isFetching, isError, fetchNextPage]);
  return {
    rows: query.data?.rows ?? NO_ROWS,
    total: query.data?.total ?? 0,
    pending: query.isPending,
    complete: !hasNextPage,
    error: query.error,
    retry: () => void (query.data === undefined ? query.refetch() : query.fetchNextPage()),
  };
}
