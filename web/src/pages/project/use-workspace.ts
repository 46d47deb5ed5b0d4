import { useDeferredValue, useMemo } from "react";
import type { ProjectPath, RunRow } from "../../api/runs";
import { joinNames, splitNames } from "../../app/search";
import { useSearchState } from "../../app/use-search-state";
import { drawnRuns, listedRuns, readSort, type Sort, toggled } from "../../model/selection";
import { type Runs, useRuns } from "./use-runs";

export interface Workspace {
  readonly path: ProjectPath;
  readonly runs: Runs;
  /** Runs that match the search. */
  readonly listed: readonly RunRow[];
  /** Runs whose lines are drawn. */
  readonly drawn: readonly RunRow[];
  readonly query: string;
  readonly sort: Sort;
  readonly automatic: boolean;
  readonly setQuery: (query: string) => void;
  readonly setSort: (sort: Sort) => void;
  readonly toggle: (run: string) => void;
  /** Shows this run alone. */
  readonly isolate: (run: string) => void;
  /** Chooses exactly these runs; null goes back to the automatic choice. */
  readonly choose: (runs: readonly string[] | null) => void;
}

/** Runs and selection of the workspace; the selection, search and sort live in the URL. */
export function useWorkspace(path: ProjectPath): Workspace {
  const [search, change] = useSearchState();
  const runs = useRuns(path);
  const query = search.q ?? "";
  const sort = readSort(search.sort);
  const deferredQuery = useDeferredValue(query);
  const listed = useMemo(() => listedRuns(runs.rows, deferredQuery, sort), [runs.rows, deferredQuery, sort]);
  const selection = search.sel;
  const drawn = useMemo(
    () => drawnRuns(runs.rows, listed, selection === undefined ? null : splitNames(selection)),
    [runs.rows, listed, selection],
  );
  const choose = (names: readonly string[] | null) =>
    change({ sel: names === null ? undefined : joinNames(names) });
  return {
    path,
    runs,
    listed,
    drawn,
    query,
    sort,
    automatic: selection === undefined,
    setQuery: (text) => change({ q: text === "" ? undefined : text }),
    setSort: (next) => change({ sort: next === "-created" ? undefined : next }),
    toggle: (run) =>
      choose(
        toggled(
          drawn.map((row) => row.name),
          run,
        ),
      ),
    isolate: (run) => choose([run]),
    choose,
  };
}
