import { useSyncExternalStore } from "react";
import type { PlotTheme } from "../charts/frame";
import type { Theme } from "../model/colour";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const plotThemes = new Map<Theme, PlotTheme>();

function subscribe(listener: () => void): () => void {
  dark.addEventListener("change", listener);
  return () => dark.removeEventListener("change", listener);
}

/** The theme of the system, followed while it changes. */
export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, () => (dark.matches ? "dark" : "light"));
}

/** The tokens that canvases need, read once per theme. */
export function plotThemeOf(theme: Theme): PlotTheme {
  const known = plotThemes.get(theme);
  if (known !== undefined) return known;
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const read = {
    text: token("--text-muted"),
    grid: token("--grid"),
    surface: token("--surface"),
    accent: token("--accent"),
  };
  plotThemes.set(theme, read);
  return read;
}
