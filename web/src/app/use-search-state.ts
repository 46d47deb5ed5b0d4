import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import { mergeSearch, type Search, type SearchPatch } from "./search";

export type Place = "push" | "replace";
export type SearchChange = (patch: SearchPatch, place?: Place) => void;

/** The function that changes parts of the URL's view state; its users do not render again when the state changes. */
export function useSearchChange(): SearchChange {
  const navigate = useNavigate();
  return useCallback(
    (patch, place = "replace") => {
      void navigate({
        to: ".",
        search: (before) => mergeSearch(before, patch),
        replace: place === "replace",
        resetScroll: false,
      });
    },
    [navigate],
  );
}

/** The view state of the URL and the function that changes parts of it. */
export function useSearchState(): readonly [Search, SearchChange] {
  return [useSearch({ from: "__root__" }), useSearchChange()];
}
