/** Arithmetic of the panel grid; the sizes are those of `grid.module.css`. */

const PANEL_WIDTH = 300;
const PANEL_HEIGHT = 256;
const GAP = 8;
/** Padding of the scrolled area, left and right together. */
const PADDING = 32;

/** Panels of one chunk: a multiple of every usual number of columns, so that chunks fill their rows. */
export const CHUNK_PANELS = 60;

/** How many panels stand side by side in a scrolled area of this width. */
export function columnsIn(width: number): number {
  return Math.max(1, Math.floor((width - PADDING + GAP) / (PANEL_WIDTH + GAP)));
}

/** Height of `panels` panels in rows of `columns`. */
export function heightOf(panels: number, columns: number): number {
  const rows = Math.ceil(panels / columns);
  return rows * PANEL_HEIGHT + (rows - 1) * GAP;
}

/** Consecutive parts of at most `size` items. */
export function chunksOf<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  );
}
