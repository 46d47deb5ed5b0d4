import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import { mergeSearch, type Search, type SearchPatch } from "./search";

export type Place = "push" | "replace";

/** The view state of the URL and the function that changes parts of it. */
export function useSearchState(): readonly [Search, (patch: SearchPatch, place?: Place) => void] {
  const search = useSearch({ from: "__root__" });
  const navigate = useNavigate();
  const change = useCallback(
    (patch: SearchPatch, place: Place = "replace") => {
      void navigate({
        to: ".",
        search: (before) => mergeSearch(before, patch),
        replace: place === "replace",
        resetScroll: false,
      });
    },
    [navigate],
  );
  return [search, change];
}
