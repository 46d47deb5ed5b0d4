/** Console log as pages of lines: which pages a view needs, and the line at a place. */

import type { LogLine, LogPage } from "../api/logs";

/** Most lines that a search reads; the page says when a log is longer. */
export const MAX_SEARCHED_LINES = 200_000;

export interface LogView {
  readonly total: number;
  readonly line: (index: number) => LogLine | null;
}

/** Pages that hold the lines `first` … `last`, clipped to the log. */
export function pagesOf(first: number, last: number, total: number, pageLines: number): number[] {
  const end = Math.min(last, total - 1);
  if (end < 0) return [0];
  const from = Math.floor(Math.max(0, Math.min(first, end)) / pageLines);
  const to = Math.floor(end / pageLines);
  return Array.from({ length: to - from + 1 }, (_, offset) => from + offset);
}

/** The log made of the loaded pages; lines of missing pages are null. The length is the largest that any page reports. */
export function logView(pages: ReadonlyMap<number, LogPage>, knownTotal: number, pageLines: number): LogView {
  const total = Math.max(knownTotal, ...[...pages.values()].map((page) => page.total));
  return {
    total,
    line: (index) => pages.get(Math.floor(index / pageLines))?.lines[index % pageLines] ?? null,
  };
}

/** Whether a scrolled view shows the end of the log, so that it follows new lines. */
export function atTail(scrollTop: number, viewHeight: number, contentHeight: number): boolean {
  return contentHeight - viewHeight - scrollTop <= 24;
}
