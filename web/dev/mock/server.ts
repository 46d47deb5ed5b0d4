/**
 * A small server with the surface that the app uses, for development, screenshots and the browser tests. It serves the
 * built app under the strictest content security policy that the app promises to work with.
 */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { stripAnsi } from "../../src/model/ansi";
import { answer, type GraphqlBody } from "./graphql";
import type { MockFile } from "./media";
import { recipeOf } from "./recipe";
import { packSeries, type SeriesBody } from "./series";
import { createWorld, type MockProject, type MockRun } from "./world";

export const API_KEY = "local-mock-key";

export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; font-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** What the server sends with files of runs, and with pages of HTML in frames of the app. */
const FILE_POLICY =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";
const FRAME_POLICY =
  "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src 'none'; form-action 'none'; frame-ancestors 'self'";

const TYPES = new Map([
  [".html", "text/html; charset=utf-8"],
  [".js", "text/javascript"],
  [".css", "text/css"],
  [".svg", "image/svg+xml"],
  [".woff2", "font/woff2"],
]);

export interface MockOptions {
  /** Folder of the built app; without it only the API answers. */
  readonly dist?: string;
  /** Whether requests count as signed in from the start. */
  readonly signedIn?: boolean;
  /** Projects instead of the standard ones. */
  readonly world?: MockProject[];
}

export class MockServer {
  readonly world: MockProject[];
  /** Bodies of all series requests, oldest first. */
  readonly seriesRequests: SeriesBody[] = [];
  #signedIn: boolean;
  readonly #dist: string | undefined;
  readonly #uploads = new Map<string, MockFile>();
  readonly #failures = new Map<string, number>();
  readonly #listeners = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => void this.#handle(request, response));

  constructor(options: MockOptions = {}) {
    this.world = options.world ?? createWorld();
    this.#dist = options.dist;
    this.#signedIn = options.signedIn ?? true;
  }

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the mock server has no port");
    return `http://127.0.0.1:${address.port}`;
  }

  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  signOut(): void {
    this.#signedIn = false;
  }

  /** The next `times` requests whose path starts with `path` fail with 500. */
  fail(path: string, times: number): void {
    this.#failures.set(path, times);
  }

  /** Uploads one more file of a run. */
  putFile(run: MockRun, path: string, file: MockFile): void {
    this.#uploads.set(`${run.project}/${run.name}/${path}`, file);
  }

  run(project: string, name: string): MockRun {
    const run = this.world.find((item) => item.name === project)?.runs.find((item) => item.name === name);
    if (run === undefined) throw new Error(`the mock world has no run \`${project}/${name}\``);
    return run;
  }

  /** Lets a run log more steps and lines, and tells everybody who listens. */
  advance(run: MockRun, steps: number, lines: readonly string[] = []): void {
    run.steps += steps;
    run.log.push(...lines);
    this.announce(run);
  }

  /** Lets a run's machine be sampled once more, and tells everybody who listens. */
  sample(run: MockRun, times = 1): void {
    run.samples += times;
    this.announce(run);
  }

  /** Closes all live connections, as a restarting server does. */
  dropLive(): void {
    for (const listener of this.#listeners) listener.destroy();
    this.#listeners.clear();
  }

  announce(run: MockRun): void {
    const { entity, project, name, displayName, state } = run;
    const counts = {
      historyLineCount: run.steps,
      logLineCount: run.log.length,
      eventsLineCount: run.samples,
      lastStep: run.steps - 1,
      version: run.steps,
    };
    const data = JSON.stringify({ entity, project, run: name, displayName, state, ...counts });
    for (const listener of this.#listeners) listener.write(`event: run\ndata: ${data}\n\n`);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      json(response, 500, { error: { code: "internal", message: String(error) } });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? "/", "http://mock");
    const path = url.pathname;
    const isApi = path.startsWith("/api/") || path === "/graphql";
    if (!isApi) return this.#asset(path, response);
    if (path === "/api/login") return this.#login(await bodyOf(request), response);
    if (!this.#signedIn)
      return json(response, 401, { error: { code: "unauthorized", message: "sign in first" } });
    if (this.#mustFail(path))
      return json(response, 500, { error: { code: "internal", message: "the disk is full" } });
    if (path === "/api/session")
      return json(response, 200, { username: "ada", entity: "ada", version: "0.1.0" });
    if (path === "/api/logout") {
      this.#signedIn = false;
      return json(response, 200, {});
    }
    if (path === "/api/live") return this.#listen(response);
    if (path === "/graphql") {
      const body: GraphqlBody = JSON.parse(await bodyOf(request));
      return json(response, 200, { data: answer(this.world, body) });
    }
    if (path === "/api/charts/series") return this.#series(await bodyOf(request), response);
    if (path.startsWith("/api/runs/")) return this.#runFile(url, response);
    return json(response, 404, { error: { code: "not_found", message: "no such path" } });
  }

  #mustFail(path: string): boolean {
    for (const [prefix, times] of this.#failures) {
      if (!path.startsWith(prefix) || times <= 0) continue;
      this.#failures.set(prefix, times - 1);
      return true;
    }
    return false;
  }

  #login(text: string, response: ServerResponse): void {
    const body: { api_key?: string } = JSON.parse(text);
    this.#signedIn = body.api_key === API_KEY;
    json(
      response,
      this.#signedIn ? 200 : 401,
      this.#signedIn ? {} : { error: { code: "unauthorized", message: "unknown key" } },
    );
  }

  #listen(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write("event: ping\ndata: {}\n\n");
    this.#listeners.add(response);
    response.on("close", () => this.#listeners.delete(response));
  }

  #series(text: string, response: ServerResponse): void {
    const body: SeriesBody = JSON.parse(text);
    this.seriesRequests.push(body);
    const find = (path: string) => {
      const [, project, name] = path.split("/");
      return this.world.find((item) => item.name === project)?.runs.find((run) => run.name === name);
    };
    response.writeHead(200, { "content-type": "application/vnd.runlane.series" });
    response.end(packSeries(body, find));
  }

  #runFile(url: URL, response: ServerResponse): unknown {
    const [, , , , project = "", name = "", kind, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    const run = this.run(project, name);
    if (kind === "logs") return sendLogs(run, url.searchParams, response);
    if (kind === "reproduce") return json(response, 200, recipeOf(run, url));
    const path = rest.join("/");
    const file = run.files.get(path) ?? this.#uploads.get(`${project}/${name}/${path}`);
    if (file === undefined)
      return json(response, 404, { error: { code: "not_found", message: "no such file" } });
    const scripted = url.searchParams.has("frame") && file.type.startsWith("text/html");
    response.writeHead(200, {
      "content-type": file.type,
      "x-content-type-options": "nosniff",
      "content-security-policy": scripted ? FRAME_POLICY : FILE_POLICY,
    });
    return response.end(file.bytes);
  }

  async #asset(path: string, response: ServerResponse): Promise<void> {
    if (this.#dist === undefined)
      return json(response, 404, { error: { code: "not_found", message: "API only" } });
    const wanted = extname(path) === "" ? "index.html" : normalize(path).replace(/^[/\\]+/, "");
    const bytes = await readFile(join(this.#dist, wanted)).catch(() => null);
    const body = bytes ?? (await readFile(join(this.#dist, "index.html")));
    response.writeHead(200, {
      "content-type":
        TYPES.get(extname(bytes === null ? "index.html" : wanted)) ?? "application/octet-stream",
      "content-security-policy": CONTENT_SECURITY_POLICY,
    });
    response.end(body);
  }
}

/** Lines of one search request, so that a long search takes several. */
const SEARCHED_LINES = 5_000;

function sendLogs(run: MockRun, query: URLSearchParams, response: ServerResponse): void {
  const from = Number(query.get("from") ?? 0);
  const limit = Number(query.get("limit") ?? 1000);
  const start = Date.parse(`${run.createdAt}Z`);
  const [gapFrom, gapTo] = run.logGap;
  const lineAt = (number: number) => {
    const text = run.log[number] ?? "";
    return {
      number,
      timestamp: new Date(start + number * 1500).toISOString(),
      level: text.startsWith("Traceback") ? "error" : null,
      label: run.logLabels.length === 0 ? null : (run.logLabels[number % run.logLabels.length] ?? null),
      text,
    };
  };
  const isKept = ({ number }: { number: number }) => number < gapFrom || number >= gapTo;
  const search = query.get("search");
  const label = query.get("label");
  const level = query.get("level");
  const isFiltered = search !== null || label !== null || level !== null;
  const end = Math.min(run.log.length, from + (isFiltered ? SEARCHED_LINES : limit));
  const all = Array.from({ length: Math.max(0, end - from) }, (_, offset) => lineAt(from + offset));
  const pattern = new RegExp(search ?? "", "i");
  const passes = (line: ReturnType<typeof lineAt>) =>
    pattern.test(stripAnsi(line.text)) &&
    (label ?? line.label) === line.label &&
    (level ?? line.level) === line.level;
  const lines = all.filter(isKept).filter((line) => !isFiltered || passes(line));
  json(response, 200, {
    total: run.log.length,
    gaps: gapFrom < gapTo ? [[gapFrom, gapTo]] : [],
    writers: [],
    lines,
    next: isFiltered && end < run.log.length ? end : null,
  });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}
