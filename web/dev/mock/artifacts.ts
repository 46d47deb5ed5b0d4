/** Versions of artifacts of the mock server, and what is in them. */

import type { MockRun } from "./world";

export interface MockArtifact {
  readonly name: string;
  readonly type: string;
  readonly versionIndex: number | null;
  readonly aliases: readonly string[];
  readonly description: string;
  readonly metadata: string;
  /** Name of the run that logged it, and of those that used it. */
  readonly loggedBy: string | null;
  readonly usedBy: readonly string[];
  readonly entries: readonly MockEntry[];
}

export interface MockEntry {
  readonly path: string;
  readonly sizeBytes: number;
  /** Where it leads, of a reference. */
  readonly reference?: string;
}

const HOSTILE = '<img src=x onerror="window.pwned=1">';

/** Versions of the project `media`: of a data set that another run logged, of models, and what a table left. */
export const ARTIFACTS: readonly MockArtifact[] = [
  {
    name: "street-scenes",
    type: "dataset",
    versionIndex: 3,
    aliases: ["latest", "train"],
    description: "Frames from four cities.\nLicence: CC-BY.",
    metadata: '{"frames": 12000, "cities": ["Bern", "Oslo"], "split": {"train": 0.9, "val": 0.1}}',
    loggedBy: "seen",
    usedBy: ["vision"],
    entries: [
      ...Array.from({ length: 1_200 }, (_, at) => ({
        path: `frames/${String(at).padStart(5, "0")}.png`,
        sizeBytes: 40_000 + at,
      })),
      { path: "labels/all.json", sizeBytes: 1_234_567 },
      { path: "raw/archive.tar", sizeBytes: 9_876_543_210, reference: "s3://bucket/raw/archive.tar" },
      { path: "raw/notes", sizeBytes: 0, reference: "https://example.org/notes" },
      { path: "raw/zz", sizeBytes: 0, reference: "javascript:alert(1)" },
    ],
  },
  ...[0, 1].map((versionIndex) => ({
    name: "segmenter",
    type: "model",
    versionIndex,
    aliases: versionIndex === 1 ? ["latest", "best"] : [],
    description: "",
    metadata: `{"val/accuracy": 0.${87 + versionIndex}}`,
    loggedBy: "vision",
    usedBy: [],
    entries: [{ path: "model.pt", sizeBytes: 94_371_840 }],
  })),
  {
    name: "checkpoints",
    type: "model",
    versionIndex: null,
    aliases: ["latest"],
    description: "",
    metadata: "{}",
    loggedBy: "vision",
    usedBy: [],
    entries: [{ path: "step-300.pt", sizeBytes: 1_048_576 }],
  },
  {
    name: "odd-one",
    type: HOSTILE,
    versionIndex: 0,
    aliases: [HOSTILE],
    description: HOSTILE,
    metadata: JSON.stringify({ [HOSTILE]: HOSTILE }),
    loggedBy: null,
    usedBy: ["vision"],
    entries: [{ path: `${HOSTILE}.txt`, sizeBytes: 7 }],
  },
];

export function artifactsOf(run: MockRun, direction: "outputs" | "inputs"): readonly MockArtifact[] {
  if (run.project !== "media") return [];
  return ARTIFACTS.filter((artifact) =>
    direction === "outputs" ? artifact.loggedBy === run.name : artifact.usedBy.includes(run.name),
  );
}

export function idOf({ name, versionIndex }: MockArtifact): string {
  return `${name}:${versionIndex ?? "pending"}`;
}

const CREATED = "2026-01-06T09:30:00";

export function artifactNode(artifact: MockArtifact) {
  const { name, type, versionIndex, aliases, entries } = artifact;
  const home = { name: "media", entityName: "ada" };
  const run = (id: string) => ({ __typename: "Run", name: id, displayName: id, project: home });
  return {
    id: idOf(artifact),
    state: versionIndex === null ? "PENDING" : "COMMITTED",
    versionIndex,
    size: String(entries.reduce((sum, entry) => sum + entry.sizeBytes, 0)),
    digest: "906921099e33906a0cdc33898e68e793",
    digestAlgorithm: "MANIFEST_MD5",
    fileCount: String(entries.length),
    createdAt: CREATED,
    updatedAt: null,
    artifactType: { name: type },
    artifactSequence: { name, project: home },
    aliases: [
      ...aliases.map((alias) => ({ alias, artifactCollection: { name, project: home } })),
      // linked to a collection of the same name elsewhere
      { alias: "approved", artifactCollection: { name, project: { name: "registry", entityName: "ada" } } },
    ],
    description: artifact.description === "" ? null : artifact.description,
    metadata: artifact.metadata,
    commitHash: "0123456789abcdef",
    historyStep: "300",
    ttlDurationSeconds: type === "model" ? "2592000" : "-1",
    tags: type === "dataset" ? [{ name: "licensed" }] : [],
    createdBy: artifact.loggedBy === null ? { __typename: "User", username: "ada" } : run(artifact.loggedBy),
    usedBy: {
      totalCount: artifact.usedBy.length,
      edges: artifact.usedBy.map((id) => ({ node: run(id) })),
    },
  };
}

/** The version `name:vN` or `name:alias`, as a place in its collection. */
export function membershipNode(name: string) {
  const at = name.lastIndexOf(":");
  const [collection, version] = [name.slice(0, at), name.slice(at + 1)];
  const found = ARTIFACTS.find(
    (artifact) =>
      artifact.name === collection &&
      (artifact.aliases.includes(version) || `v${artifact.versionIndex}` === version),
  );
  if (found === undefined) return null;
  const { aliases, versionIndex } = found;
  return {
    versionIndex,
    aliases: aliases.map((alias) => ({ alias })),
    artifactCollection: { name: collection },
    artifact: artifactNode(found),
  };
}

/** A page of what is in a version. */
export function entryPage(id: string, first: number, after: string | null) {
  const entries = ARTIFACTS.find((artifact) => idOf(artifact) === id)?.entries ?? [];
  const start = after === null ? 0 : Number(after);
  const page = entries.slice(start, start + first);
  const end = start + page.length;
  return {
    totalCount: entries.length,
    edges: page.map(({ path, sizeBytes, reference }) => ({
      node: {
        name: path,
        sizeBytes: String(sizeBytes),
        digest: "R7zlx09Yn0hn29V+nKn4CA==",
        md5: reference === undefined ? "R7zlx09Yn0hn29V+nKn4CA==" : null,
        directUrl: reference ?? "http://127.0.0.1:9/storage/file?sig=get",
      },
    })),
    pageInfo: { hasNextPage: end < entries.length, endCursor: String(end) },
  };
}
