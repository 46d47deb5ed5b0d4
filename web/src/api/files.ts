import { pathOf, request } from "./http";
import type { RunPath } from "./runs";

/** Address of a file's bytes. */
export function fileUrl(path: RunPath, name: string, download = false): string {
  const url = `/api/runs/${pathOf(path.entity, path.project, path.run)}/files/${pathOf(...name.split("/"))}`;
  return download ? `${url}?download=1` : url;
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
