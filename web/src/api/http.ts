/** The one place that calls `fetch`: errors of every endpoint become an {@link ApiError}. */

import { Fields } from "./decode";

export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status; 0 when the server could not be reached at all. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }

  /** Whether asking again may help. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

export function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** Sends a request; throws {@link ApiError} unless the answer is a success. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new ApiError(0, "the server cannot be reached", { cause: error });
  }
  if (!response.ok) throw new ApiError(response.status, await errorMessage(response));
  return response;
}

export async function requestJson(path: string, init: RequestInit = {}): Promise<unknown> {
  const response = await request(path, init);
  try {
    const body: unknown = await response.json();
    return body;
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new ApiError(response.status, `the answer of \`${path}\` is not JSON`, { cause: error });
  }
}

export function postJson(body: unknown, signal?: AbortSignal): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Joins path segments, each escaped on its own. */
export function pathOf(...segments: string[]): string {
  return segments.map(encodeURIComponent).join("/");
}

async function errorMessage(response: Response): Promise<string> {
  const fallback = `the server answered ${response.status}`;
  try {
    const body: unknown = await response.json();
    return new Fields(body, "answer").maybeFields("error")?.maybeText("message") ?? fallback;
  } catch {
    return fallback;
  }
}
