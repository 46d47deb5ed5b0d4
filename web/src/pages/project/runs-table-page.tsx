import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useDeferredValue, useEffect, useMemo } from "react";
import { runRecordsQuery } from "../../api/queries";
import type { RunRecord } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { SearchField } from "../../kit/search-field";
import { formatCount } from "../../model/format";
import { matcherOf } from "../../model/search";
import { EmptyProject } from "./empty-project";
import { RunsTable } from "./runs-table";
import css from "./table.module.css";

const NO_RECORDS: readonly RunRecord[] = [];

/** All runs with their config and summary, one a row. */
export function RunsTablePage() {
  const { entity, project } = useParams({ from: "/$entity/$project" });
  const [search, change] = useSearchState();
  const query = useInfiniteQuery({
    ...runRecordsQuery({ entity, project }),
    select: ({ pages }) => ({ rows: pages.flatMap((page) => page.runs), total: pages[0]?.total ?? 0 }),
  });
  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetching && !isError) void fetchNextPage();
  }, [hasNextPage, isFetching, isError, fetchNextPage]);
  const text = search.q ?? "";
  const deferred = useDeferredValue(text);
  const rows = query.data?.rows ?? NO_RECORDS;
  const shown = useMemo(() => {
    const { test } = matcherOf(deferred);
    return rows.filter((row) => test(row.displayName) || test(row.name) || row.tags.some(test));
  }, [rows, deferred]);
  if (query.isError && rows.length === 0) {
    return (
      <Failure title="Runs could not be loaded" error={query.error} onRetry={() => void query.refetch()} />
    );
  }
  if (query.data !== undefined && rows.length === 0)
    return <EmptyProject entity={entity} project={project} />;
  return (
    <section className={css.page} aria-label="Runs">
      <div className={css.toolbar}>
        <SearchField
          main
          label="Search runs and tags (regex)"
          value={text}
          onChange={(next) => change({ q: next === "" ? undefined : next })}
          invalid={matcherOf(text).invalid}
        />
        <span role="status">
          {query.data !== undefined && countText(shown.length, rows.length, query.data.total)}
        </span>
      </div>
      {query.data === undefined ? (
        <div className={css.skeleton}>
          {[90, 84, 88, 80, 86].map((width) => (
            <Skeleton key={width} width={`${width}%`} />
          ))}
        </div>
      ) : shown.length === 0 ? (
        <Notice title="No run matches">“{deferred}” is in no name and no tag.</Notice>
      ) : (
        <RunsTable entity={entity} project={project} rows={shown} />
      )}
    </section>
  );
}

function countText(shown: number, loaded: number, total: number): string {
  const loading = loaded < total ? `, ${formatCount(loaded)} of ${formatCount(total)} loaded` : "";
  return `${formatCount(shown)} run${shown === 1 ? "" : "s"}${loading}`;
}
