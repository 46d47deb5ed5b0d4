/** Files of a run: the list over GraphQL, the bytes over HTTP. */

import type { Fields } from "./decode";
import { operation, runOperation } from "./graphql";
import { ApiError, pathOf, request } from "./http";
import type { RunPath } from "./runs";

export interface RunFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly mimetype: string;
  readonly updatedAt: string | null;
}

const RUN_FILES = operation(
  "WebRunFiles",
  `query WebRunFiles($entity: String!, $project: String!, $run: String!, $after: String) {
    project(name: $project, entityName: $entity) { run(name: $run) {
      files(after: $after, first: 500) {
        edges { node { name sizeBytes mimetype updatedAt } cursor } pageInfo { endCursor hasNextPage } } } } }`,
);

/** A run with more files than this shows the first ones only; the page says so. */
export const MAX_FILES = 10_000;

export async function fetchRunFiles(path: RunPath, signal: AbortSignal): Promise<RunFile[]> {
  const files: RunFile[] = [];
  let after: string | null = null;
  do {
    const data: Fields = await runOperation(RUN_FILES, { ...path, after }, signal);
    const run: Fields | null = data.maybeFields("project")?.maybeFields("run") ?? null;
    if (run === null) return files;
    files.push(...run.nodes("files", readFile));
    const info: Fields | null = run.maybeFields("files")?.maybeFields("pageInfo") ?? null;
    after = info?.flag("hasNextPage") === true ? info.maybeText("endCursor") : null;
  } while (after !== null && files.length < MAX_FILES);
  return files;
}

function readFile(node: Fields): RunFile {
  return {
    name: node.text("name"),
    sizeBytes: node.maybeNumber("sizeBytes") ?? 0,
    mimetype: node.maybeText("mimetype") ?? "application/octet-stream",
    updatedAt: node.maybeText("updatedAt"),
  };
}

/** Address of a file's bytes. */
export function fileUrl(path: RunPath, name: string, download = false): string {
  const url = `/api/runs/${pathOf(path.entity, path.project, path.run)}/files/${pathOf(...name.split("/"))}`;
  return download ? `${url}?download=1` : url;
}

/** Whether a file has been uploaded; asks for no more than its first byte. */
export async function fetchFileState(url: string, signal: AbortSignal): Promise<"there" | "missing"> {
  try {
    await request(url, { signal, headers: { range: "bytes=0-0" } });
    return "there";
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return "missing";
    // no byte of it can be had: it is empty
    if (error instanceof ApiError && error.status === 416) return "there";
    throw error;
  }
}

export interface TextPreview {
  readonly text: string;
  /** Whether the file goes on after the text. */
  readonly cut: boolean;
}

/** The first `limitBytes` of a file as UTF-8 text; the rest is not transferred. */
export async function fetchTextPreview(
  url: string,
  limitBytes: number,
  signal: AbortSignal,
): Promise<TextPreview> {
  const response = await request(url, { signal });
  const reader = response.body?.getReader();
  if (reader === undefined) return { text: "", cut: false };
  const decoder = new TextDecoder();
  let text = "";
  let left = limitBytes;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), cut: false };
    text += decoder.decode(value.subarray(0, left), { stream: true });
    if (value.byteLength > left) {
      await reader.cancel();
      return { text, cut: true };
    }
    left -= value.byteLength;
  }
}
