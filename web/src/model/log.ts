/** Console log as pages of lines: which pages a view needs, and the line at a place. */

import type { LogGap, LogLine, LogPage } from "../api/logs";
import { parseTime } from "./format";

/** Lines so far behind the end do not change any more: the bound of a progress bar that others leave behind. */
export const CHANGEABLE_LINES = 1_024;

/** What stands at a place of the list: a line by its number, or lines that are not kept. */
export type LogPlace =
  | { readonly kind: "line"; readonly number: number }
  | { readonly kind: "gap"; readonly gap: LogGap };

export interface LogView {
  /** Places: lines that are kept, and one for each gap. */
  readonly count: number;
  readonly place: (index: number) => LogPlace;
  readonly line: (number: number) => LogLine | null;
  /** Lines, whether kept or not. */
  readonly total: number;
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
  let newest: LogPage | null = null;
  for (const page of pages.values()) if (newest === null || page.total >= newest.total) newest = page;
  const total = Math.max(knownTotal, newest?.total ?? 0);
  const gaps = newest?.gaps ?? [];
  const missing = gaps.reduce((sum, [from, to]) => sum + to - from - 1, 0);
  return {
    total,
    count: total - missing,
    place: (index) => placeAt(index, gaps),
    line: (number) => {
      const page = pages.get(Math.floor(number / pageLines));
      const start = page === undefined ? 0 : page.until - pageLines;
      const line = page?.lines[number - start];
      // within a page with a gap, lines stand further ahead
      return line?.number === number ? line : (page?.lines.find((other) => other.number === number) ?? null);
    },
  };
}

function placeAt(index: number, gaps: readonly LogGap[]): LogPlace {
  let number = index;
  for (const gap of gaps) {
    const [from, to] = gap;
    if (number < from) break;
    if (number === from) return { kind: "gap", gap };
    number += to - from - 1;
  }
  return { kind: "line", number };
}

/** Whether a scrolled view shows the end of the log, so that it follows new lines. */
export function atTail(scrollTop: number, viewHeight: number, contentHeight: number): boolean {
  return contentHeight - viewHeight - scrollTop <= 24;
}

/** Names of the processes of lines, in the order of their first one. */
export function labelsOf(lines: Iterable<LogLine | null>): string[] {
  const labels = new Set<string>();
  for (const line of lines)
    if (line !== null && line.label !== null && line.label !== "") labels.add(line.label);
  return [...labels];
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** Local time of day. */
export function timeOfDay(iso: string | null): string {
  const time = iso === null ? Number.NaN : parseTime(iso);
  return Number.isNaN(time) ? "" : CLOCK.format(time);
}

/** Date and time with milliseconds, for a tooltip. */
export function fullTime(iso: string | null): string | undefined {
  const time = iso === null ? Number.NaN : parseTime(iso);
  if (Number.isNaN(time)) return undefined;
  const millis = String(new Date(time).getMilliseconds()).padStart(3, "0");
  return `${FULL.format(time)}.${millis}`;
}

/** Time since `start` (milliseconds since 1970) as `+1:02:03`, below a minute with tenths. */
export function elapsed(iso: string | null, start: number): string {
  const time = iso === null ? Number.NaN : parseTime(iso);
  const seconds = (time - start) / 1000;
  if (Number.isNaN(seconds)) return "";
  const sign = seconds < 0 ? "-" : "+";
  const whole = Math.abs(seconds);
  if (whole < 60) return `${sign}${whole.toFixed(1)}s`;
  const two = (value: number) => String(Math.floor(value) % 60).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = hours > 0 ? `${hours}:${two(whole / 60)}` : String(Math.floor(whole / 60));
  return `${sign}${minutes}:${two(whole)}`;
}
