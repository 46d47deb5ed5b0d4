import { Fields } from "./decode";
import { pathOf, requestJson } from "./http";
import type { RunPath } from "./runs";

export interface LogLine {
  readonly number: number;
  readonly timestamp: string | null;
  readonly level: string | null;
  readonly label: string | null;
  readonly text: string;
}

export interface LogPage {
  readonly total: number;
  readonly lines: readonly LogLine[];
}

/** Lines `from` … `from + limit - 1` of the console log, counted from 0. */
export async function fetchLogs(
  path: RunPath,
  from: number,
  limit: number,
  signal: AbortSignal,
): Promise<LogPage> {
  const url = `/api/runs/${pathOf(path.entity, path.project, path.run)}/logs?from=${from}&limit=${limit}`;
  const fields = new Fields(await requestJson(url, { signal }), "logs");
  return { total: fields.number("total"), lines: fields.list("lines", readLine) };
}

/** Lines of one request of a download; the server answers with at most this many. */
const DOWNLOAD_PAGE_LINES = 10_000;
/** A download ends here: what is beyond would have to fit into the browser's memory. */
export const MAX_DOWNLOAD_LINES = 2_000_000;

/** The whole console log as text. The server has no file of it before the run has ended. */
export async function fetchWholeLog(path: RunPath, signal: AbortSignal): Promise<Blob> {
  const parts: string[] = [];
  let from = 0;
  let total = 1;
  while (from < Math.min(total, MAX_DOWNLOAD_LINES)) {
    const page = await fetchLogs(path, from, DOWNLOAD_PAGE_LINES, signal);
    if (page.lines.length === 0) break;
    parts.push(page.lines.map((line) => `${line.text}\n`).join(""));
    from += page.lines.length;
    total = page.total;
  }
  return new Blob(parts, { type: "text/plain" });
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
