/** Arithmetic of the panel grid; the sizes are those of `grid.module.css`. */

/** How much room a panel takes: a chart, a panel of media, or a table, which is as wide as the page. */
export type PanelSize = "small" | "medium" | "wide";

const SIZES: Readonly<Record<PanelSize, { readonly width: number; readonly height: number }>> = {
  small: { width: 300, height: 256 },
  medium: { width: 400, height: 352 },
  wide: { width: Number.POSITIVE_INFINITY, height: 416 },
};
const GAP = 8;
/** Padding of the scrolled area, left and right together. */
const PADDING = 32;

/** Panels of one chunk: a multiple of every usual number of columns, so that chunks fill their rows. */
export const CHUNK_PANELS = 60;

/** How many panels stand side by side in a scrolled area of this width. */
export function columnsIn(areaWidth: number, size: PanelSize): number {
  return Math.max(1, Math.floor((areaWidth - PADDING + GAP) / (SIZES[size].width + GAP)));
}

/** Height of `panels` panels in a scrolled area of this width. */
export function heightOf(panels: number, areaWidth: number, size: PanelSize): number {
  const rows = Math.ceil(panels / columnsIn(areaWidth, size));
  return rows * SIZES[size].height + (rows - 1) * GAP;
}

/** Consecutive parts of at most `size` items. */
export function chunksOf<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  );
}
