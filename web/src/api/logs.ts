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
