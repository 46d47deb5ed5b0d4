import { useState } from "react";
import { useSearchState } from "../../../app/use-search-state";

/** How a table is looked at; texts as the address has them. */
export interface TableViewState {
  readonly order: string | undefined;
  readonly query: string;
  readonly setOrder: (order: string | undefined) => void;
  readonly setQuery: (query: string) => void;
}

/** In full screen the view is part of the address. */
export function useUrlView(): TableViewState {
  const [search, change] = useSearchState();
  return {
    order: search.order,
    query: search.rows ?? "",
    setOrder: (order) => change({ order }),
    setQuery: (query) => change({ rows: query === "" ? undefined : query }),
  };
}

/** In the grid there are many tables: the view is the panel's own. */
export function useLocalView(): TableViewState {
  const [order, setOrder] = useState<string | undefined>(undefined);
  const [query, setQuery] = useState("");
  return { order, query, setOrder, setQuery };
}
