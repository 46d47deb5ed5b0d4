import { DecodeError, Fields } from "./decode";
import { pathOf, requestJson } from "./http";
import type { RunPath } from "./runs";

export interface LogLine {
  readonly number: number;
  readonly timestamp: string | null;
  readonly level: string | null;
  readonly label: string | null;
  readonly text: string;
}

/** Lines `[from, to)` of a long log that are not kept. */
export type LogGap = readonly [from: number, to: number];

/** One process that writes to the run from another host, or on its own. */
export interface LogWriter {
  readonly label: string | null;
  readonly total: number;
}

export interface LogPage {
  readonly total: number;
  readonly lines: readonly LogLine[];
  readonly gaps: readonly LogGap[];
  /** The processes, where there are several; otherwise empty. */
  readonly writers: readonly LogWriter[];
  /** Of a search: the line to go on with; null at the end. */
  readonly next: number | null;
  /** The line behind the last one that was asked for. */
  readonly until: number;
}

/** What is asked for: everything, or the lines that pass all that is given. */
export interface LogFilter {
  /** A regular expression without regard to case; one that is none is plain text. */
  readonly search?: string | undefined;
  readonly label?: string | undefined;
  readonly level?: string | undefined;
}

/** Whose lines: of the whole run, or of one of its processes. */
export interface LogSource {
  readonly path: RunPath;
  readonly writer: number | null;
}

/** Lines `from` … `from + limit - 1` of the console log, counted from 0; with a filter, those from `from` on that pass. */
export async function fetchLogs(
  { path, writer }: LogSource,
  from: number,
  limit: number,
  filter: LogFilter,
  signal: AbortSignal,
): Promise<LogPage> {
  const query = new URLSearchParams({ from: String(from), limit: String(limit) });
  if (writer !== null) query.set("writer", String(writer));
  for (const name of ["search", "label", "level"] as const) {
    const value = filter[name];
    if (value !== undefined && value !== "") query.set(name, value);
  }
  const url = `/api/runs/${pathOf(path.entity, path.project, path.run)}/logs?${query}`;
  const fields = new Fields(await requestJson(url, { signal }), "logs");
  return {
    total: fields.number("total"),
    lines: fields.list("lines", readLine),
    gaps: fields.list("gaps", readGap),
    writers: fields.list("writers", readWriter),
    next: fields.maybeNumber("next"),
    until: from + limit,
  };
}

/** Lines of one request of a download; the server answers with at most this many. */
const DOWNLOAD_PAGE_LINES = 10_000;

/** The console log as text, as far as it is kept. The server has no file of it before the run has ended. */
export async function fetchWholeLog(source: LogSource, signal: AbortSignal): Promise<Blob> {
  const parts: string[] = [];
  let from = 0;
  let total = 1;
  while (from < total) {
    const page = await fetchLogs(source, from, DOWNLOAD_PAGE_LINES, {}, signal);
    parts.push(page.lines.map((line) => `${line.text}\n`).join(""));
    const behind = from + DOWNLOAD_PAGE_LINES;
    const gap = page.gaps.find(([start, end]) => start < behind && end > from);
    if (gap !== undefined && gap[0] >= from) {
      parts.push(`[runlane: ${gap[1] - gap[0]} lines are not kept]\n`);
    }
    // nothing is asked for within a gap, and nothing twice behind it
    from = gap !== undefined && gap[1] > behind ? gap[1] : behind;
    total = page.total;
  }
  return new Blob(parts, { type: "text/plain" });
}

function readGap(item: unknown, at: string): LogGap {
  if (Array.isArray(item) && typeof item[0] === "number" && typeof item[1] === "number") {
    return [item[0], item[1]];
  }
  throw new DecodeError(`unexpected answer: \`${at}\` is not a range`);
}

function readWriter(item: unknown, at: string): LogWriter {
  const writer = new Fields(item, at);
  return { label: writer.maybeText("label"), total: writer.number("total") };
}

function readLine(item: unknown, at: string): LogLine {
  const line = new Fields(item, at);
  return {
    number: line.number("number"),
    timestamp: line.maybeText("timestamp"),
    level: line.maybeText("level"),
    label: line.maybeText("label"),
    text: line.maybeText("text") ?? "",
  };
}
