import { useCallback, useMemo } from "react";
import type { Place } from "../app/use-search-state";
import { useSearchState } from "../app/use-search-state";
import type { PanelType } from "./types";

/** Settings that all panels of a type share, kept in the URL. */
export function usePanelSettings<Settings>(type: PanelType<Settings>) {
  const [search, change] = useSearchState();
  const { x, zoom, logy, smooth, band } = search;
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
