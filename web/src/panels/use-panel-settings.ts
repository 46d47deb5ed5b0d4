import { useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { type Place, useSearchChange } from "../app/use-search-state";
import type { PanelType } from "./types";

/** Settings that all panels of a type share, kept in the URL. Typing into a search does not render panels again. */
export function usePanelSettings<Settings>(type: PanelType<Settings>) {
  const change = useSearchChange();
  const { x, zoom, logy, smooth, band } = useSearch({
    from: "__root__",
    select: (search) => ({
      x: search.x,
      zoom: search.zoom,
      logy: search.logy,
      smooth: search.smooth,
      band: search.band,
    }),
    structuralSharing: true,
  });
  const settings = useMemo(() => {
    const texts = new Map(Object.entries({ x, zoom, logy, smooth, band }));
    return type.schema.read((name) => texts.get(name));
  }, [type, x, zoom, logy, smooth, band]);
  const onChange = useCallback(
    (patch: Partial<Settings>, place: Place) => change(type.schema.write({ ...settings, ...patch }), place),
    [change, settings, type],
  );
  return { settings, onChange };
}
