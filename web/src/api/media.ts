/** Media values of a run's history: at which steps a key has one, and what it is at a step. */

import { DecodeError, Fields } from "./decode";
import { operation, runOperation } from "./graphql";
import type { RunPath } from "./runs";

/** How a value is shown. */
export type MediaKind = "images" | "audio" | "video" | "html" | "table" | "histogram" | "file";

/** Kinds by the `_type` of a value. */
export const MEDIA_KINDS: ReadonlyMap<string, MediaKind> = new Map<string, MediaKind>([
  ["image-file", "images"],
  ["images/separated", "images"],
  ["audio-file", "audio"],
  ["audio", "audio"],
  ["video-file", "video"],
  ["videos", "video"],
  ["html-file", "html"],
  ["html", "html"],
  ["table-file", "table"],
  ["incremental-table-file", "table"],
  ["joined-table", "table"],
  ["partitioned-table", "table"],
  ["histogram", "histogram"],
  ["plotly-file", "file"],
  ["bokeh-file", "file"],
  ["molecule-file", "file"],
  ["molecule", "file"],
  ["object3D-file", "file"],
  ["object3D", "file"],
  ["graph-file", "file"],
]);

/** One file of a media value. */
export interface MediaItem {
  /** Path among the run's files; null when the file is in an artifact only. */
  readonly path: string | null;
  readonly sizeBytes: number | null;
  readonly caption: string | null;
}

/** A file that lies over an image. */
export interface Layer {
  readonly name: string;
  readonly path: string;
}

export interface ImageItem extends MediaItem {
  readonly width: number | null;
  readonly height: number | null;
  readonly masks: readonly Layer[];
  readonly boxes: readonly Layer[];
}

/** `counts[i]` values lie between `edges[i]` and `edges[i + 1]`. */
export interface HistogramValue {
  readonly kind: "histogram";
  readonly counts: readonly number[];
  readonly edges: readonly number[];
}

export interface TableValue {
  readonly kind: "table";
  readonly path: string | null;
  readonly sizeBytes: number | null;
  /** Rows of the table that was logged; the file may have fewer. */
  readonly rows: number | null;
  /** Number of the increment that the file holds, from 0; null for a whole table. */
  readonly increment: number | null;
  readonly artifactPath: string | null;
}

export type MediaValue =
  | { readonly kind: "images"; readonly items: readonly ImageItem[] }
  | { readonly kind: "audio" | "video" | "html"; readonly items: readonly MediaItem[] }
  | { readonly kind: "file"; readonly type: string; readonly items: readonly MediaItem[] }
  | HistogramValue
  | TableValue;

const KEY_STEPS = operation(
  "WebKeySteps",
  `query WebKeySteps($entity: String!, $project: String!, $run: String!, $key: String!, $from: Int64) {
    project(name: $project, entityName: $entity) { run(name: $run) { keySteps(key: $key, minStep: $from) } } }`,
);

const SAMPLED = operation(
  "WebMediaValues",
  `query WebMediaValues($entity: String!, $project: String!, $run: String!, $specs: [JSONString!]!) {
    project(name: $project, entityName: $entity) { run(name: $run) { sampledHistory(specs: $specs) } } }`,
);

/** The server thins longer lists. */
const MAX_STEPS = 10_000;

/**
 * Steps at which the run has the key, in order. What is `known` from an earlier answer is not transferred again, unless the
 * run was rewound since or the answer was thinned.
 */
export async function fetchKeySteps(
  path: RunPath,
  key: string,
  known: readonly number[],
  signal: AbortSignal,
): Promise<readonly number[]> {
  const last = known.length < MAX_STEPS ? known.at(-1) : undefined;
  const answer = await keySteps(path, key, last ?? null, signal);
  if (last === undefined) return answer;
  if (answer[0] === last) return answer.length === 1 ? known : [...known, ...answer.slice(1)];
  return keySteps(path, key, null, signal);
}

async function keySteps(
  path: RunPath,
  key: string,
  from: number | null,
  signal: AbortSignal,
): Promise<number[]> {
  const data = await runOperation(KEY_STEPS, { ...path, key: nameOf(key), from }, signal);
  const run = data.maybeFields("project")?.maybeFields("run") ?? null;
  return run?.list("keySteps", (step, at) => new Fields({ step }, at).number("step")) ?? [];
}

/** The value of the key at a step; null when the step has none. */
export async function fetchMediaValue(
  path: RunPath,
  key: string,
  step: number,
  signal: AbortSignal,
): Promise<MediaValue | null> {
  const rows = await sampled(path, { key, minStep: step, maxStep: step, samples: 1 }, signal);
  // several writers may log at one step: the last one counts, as in the summary, and is the one that the server picks
  const last = rows.at(-1);
  return last === undefined ? null : readMedia(new Fields(last.value, key), key);
}

export interface StepValue {
  readonly step: number;
  readonly value: MediaValue;
}

/**
 * Values of the key, evenly spread over the run: `samples` at first, and at most twice as many as a run goes on. What is
 * `known` from an earlier answer is not transferred again, unless the run was rewound since.
 */
export async function fetchMediaValues(
  path: RunPath,
  key: string,
  samples: number,
  known: readonly StepValue[],
  signal: AbortSignal,
): Promise<readonly StepValue[]> {
  const last = known.at(-1);
  if (last === undefined) return mediaValues(path, { key, samples }, signal);
  const added = await mediaValues(path, { key, samples, minStep: last.step }, signal);
  if (added[0]?.step !== last.step) return mediaValues(path, { key, samples }, signal);
  return added.length === 1 ? known : thinned([...known, ...added.slice(1)], samples);
}

async function mediaValues(path: RunPath, spec: SampleSpec, signal: AbortSignal): Promise<StepValue[]> {
  const { key } = spec;
  const rows = await sampled(path, spec, signal);
  // a key may have plain numbers at other steps
  const typed = rows.filter(({ value }) => typeof value === "object" && value !== null);
  return typed.map(({ step, value }) => ({ step, value: readMedia(new Fields(value, key), key) }));
}

/** Every other item of a list that has grown too long; the last one stays. */
function thinned<Item>(items: readonly Item[], samples: number): readonly Item[] {
  if (items.length <= 2 * samples) return items;
  const parity = (items.length - 1) % 2;
  return items.filter((_, at) => at % 2 === parity);
}

interface SampleSpec {
  readonly key: string;
  readonly samples: number;
  readonly minStep?: number;
  readonly maxStep?: number;
}

async function sampled(path: RunPath, { key, ...spec }: SampleSpec, signal: AbortSignal) {
  const name = nameOf(key);
  const specs = [JSON.stringify({ keys: ["_step", name], ...spec })];
  const data = await runOperation(SAMPLED, { ...path, specs }, signal);
  const run = data.maybeFields("project")?.maybeFields("run") ?? null;
  const [rows = []] =
    run?.list("sampledHistory", (series, at) => new Fields({ series }, at).list("series", readRow)) ?? [];
  return rows.map((row) => ({ step: row.number("_step"), value: row.raw(name) }));
}

function readRow(row: unknown, at: string): Fields {
  return new Fields(row, at);
}

/** Names of metrics escape the dots that are part of a key. */
function nameOf(key: string): string {
  return key.replaceAll("\\.", ".");
}

/** Reads a value with a `_type`; throws {@link DecodeError} where it is not what its type says. */
export function readMedia(value: Fields, key: string): MediaValue {
  const type = value.text("_type");
  const kind = MEDIA_KINDS.get(type);
  switch (kind) {
    case "images":
      return { kind, items: type === "image-file" ? [readImage(value)] : readImages(value) };
    case "audio":
    case "video":
    case "html":
      return { kind, items: readItems(value, type) };
    case "table":
      return readTable(value, type);
    case "histogram":
      return readHistogram(value);
    case "file":
      return { kind, type: type.replace(/-file$/, ""), items: readItems(value, type) };
    default:
      throw new DecodeError(`\`${key}\` is of a type that this app does not know: \`${type}\``);
  }
}

function readImage(value: Fields): ImageItem {
  return {
    ...readItem(value),
    width: value.maybeNumber("width"),
    height: value.maybeNumber("height"),
    masks: readLayers(value.maybeFields("masks")),
    boxes: readLayers(value.maybeFields("boxes")),
  };
}

function readImages(value: Fields): ImageItem[] {
  const captions = readCaptions(value);
  const [width, height] = [value.maybeNumber("width"), value.maybeNumber("height")];
  const masks = value.list("all_masks", layersOf);
  const boxes = value.list("all_boxes", layersOf);
  return value
    .list("filenames", (name, at) => filePath(name, at))
    .map((path, index) => ({
      path,
      sizeBytes: null,
      caption: captions[index] ?? null,
      width,
      height,
      masks: masks[index] ?? [],
      boxes: boxes[index] ?? [],
    }));
}

function layersOf(layers: unknown, at: string): Layer[] {
  return layers === null ? [] : readLayers(new Fields(layers, at));
}

function readLayers(layers: Fields | null): Layer[] {
  if (layers === null) return [];
  return layers.entries().flatMap(([name, layer]) => {
    const path = new Fields(layer, name).maybeText("path");
    return path === null ? [] : [{ name, path: checkedPath(path, name) }];
  });
}

/** The files of one object, or of a list of them under a name of its own. */
function readItems(value: Fields, type: string): MediaItem[] {
  if (type.endsWith("-file")) return [readItem(value)];
  const captions = readCaptions(value);
  const member = ["audio", "videos", "html", "objects"].find((name) => Array.isArray(value.raw(name)));
  const items =
    member === undefined
      ? value.list("filenames", (name, at) => ({
          path: filePath(name, at, `media/${type}/`),
          sizeBytes: null,
          caption: null,
        }))
      : value.list(member, (item, at) => readItem(new Fields(item, at)));
  return items.map((item, index) => ({ ...item, caption: item.caption ?? captions[index] ?? null }));
}

function readItem(value: Fields): MediaItem {
  const path = value.maybeText("path");
  const caption = value.raw("caption");
  return {
    path: path === null ? null : checkedPath(path, "path"),
    sizeBytes: value.maybeNumber("size"),
    caption: typeof caption === "string" && caption !== "" ? caption : null,
  };
}

/** Captions of a list; `false` and missing ones are none. */
function readCaptions(value: Fields): (string | null)[] {
  const captions = value.raw("captions");
  if (!Array.isArray(captions)) return [];
  return captions.map((caption: unknown) => (typeof caption === "string" && caption !== "" ? caption : null));
}

function readTable(value: Fields, type: string): TableValue {
  const path = value.maybeText("path");
  return {
    kind: "table",
    path: path === null ? null : checkedPath(path, "path"),
    sizeBytes: value.maybeNumber("size"),
    rows: value.maybeNumber("nrows"),
    increment: type === "incremental-table-file" ? (value.maybeNumber("increment_num") ?? 0) : null,
    artifactPath: value.maybeText("artifact_path"),
  };
}

function readHistogram(value: Fields): HistogramValue {
  const number = (item: unknown, at: string) => new Fields({ item }, at).number("item");
  const counts = value.list("values", number);
  const edges = value.list("bins", number);
  if (edges.length !== counts.length + 1) {
    throw new DecodeError(`the histogram has ${counts.length} counts and ${edges.length} edges`);
  }
  return { kind: "histogram", counts, edges };
}

function filePath(name: unknown, at: string, folder = ""): string {
  const path = new Fields({ name }, at).text("name");
  return checkedPath(path.startsWith(folder) ? path : folder + path, at);
}

/** Values are data of the run: a path in them must not lead out of the run's files. */
function checkedPath(path: string, at: string): string {
  const isPlain = path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!isPlain || path.includes("\\")) {
    throw new DecodeError(`unexpected answer: \`${at}\` is not the name of a file of the run`);
  }
  return path;
}
