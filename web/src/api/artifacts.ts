/** Versions of artifacts: those of a run, one with its facts, and the files in it. */

import { Fields } from "./decode";
import { type ExtendedObject, parseExtendedObject } from "./extended-json";
import { operation, runOperation } from "./graphql";
import type { ProjectPath, RunPath } from "./runs";

/** Where a version lives; `version` is `v3` or an alias. */
export interface ArtifactPath extends ProjectPath {
  readonly type: string;
  readonly name: string;
  readonly version: string;
}

/** What lists show of a version. */
export interface ArtifactRow {
  readonly id: string;
  /** The collection that it was logged to, and that collection's project. */
  readonly name: string;
  readonly home: ProjectPath;
  readonly type: string;
  /** Null until the upload is complete. */
  readonly versionIndex: number | null;
  readonly state: string;
  readonly aliases: readonly string[];
  readonly sizeBytes: number;
  readonly fileCount: number;
  readonly digest: string;
  readonly createdAt: string;
}

export interface RunLink extends RunPath {
  readonly displayName: string;
}

export interface ArtifactDetail extends ArtifactRow {
  /** The collection through which it was found: a portfolio for a link. */
  readonly collection: string;
  /** Its number there. */
  readonly place: number | null;
  readonly description: string;
  readonly metadata: ExtendedObject;
  readonly tags: readonly string[];
  readonly digestAlgorithm: string;
  readonly commitHash: string | null;
  readonly historyStep: number | null;
  readonly updatedAt: string | null;
  /** Seconds from its creation until it is removed; null for never. */
  readonly ttlSeconds: number | null;
  readonly loggedBy: RunLink | string | null;
  /** The first {@link MAX_USERS} runs that used it, and how many there are. */
  readonly usedBy: readonly RunLink[];
  readonly usedByTotal: number;
}

/** A path in a version. */
export interface ArtifactEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly digest: string;
  /** Where the bytes are, or where the reference leads. */
  readonly url: string;
  /** Whether the bytes are elsewhere. */
  readonly isReference: boolean;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly total: number;
  readonly next: string | null;
}

export type Direction = "outputs" | "inputs";

const COLLECTION = "name project { name entityName }";
const ROW = `id state versionIndex size digest fileCount createdAt artifactType { name }
  artifactSequence { ${COLLECTION} } aliases { alias artifactCollection { ${COLLECTION} } }`;
/** Runs that are named as users of a version. */
const MAX_USERS = 50;
const RUN = "name displayName project { name entityName }";

function runArtifacts(name: string, field: string) {
  return operation(
    name,
    `query ${name}($entity: String!, $project: String!, $run: String!, $after: String, $first: Int) {
      project(name: $project, entityName: $entity) { run(name: $run) {
        artifacts: ${field}(after: $after, first: $first) {
          totalCount edges { node { ${ROW} } } pageInfo { endCursor hasNextPage } } } } }`,
  );
}

const RUN_ARTIFACTS = {
  outputs: runArtifacts("WebRunOutputs", "outputArtifacts"),
  inputs: runArtifacts("WebRunInputs", "inputArtifacts"),
} as const;

const ARTIFACT = operation(
  "WebArtifact",
  `query WebArtifact($entity: String!, $project: String!, $name: String!) {
    project(name: $project, entityName: $entity) { artifactCollectionMembership(name: $name) {
      versionIndex aliases { alias } artifactCollection { name }
      artifact { ${ROW} description metadata digestAlgorithm commitHash historyStep updatedAt ttlDurationSeconds
        tags { name } createdBy { __typename ... on Run { ${RUN} } ... on User { username } }
        usedBy(first: ${MAX_USERS}) { totalCount edges { node { ${RUN} } } } } } } }`,
);

const ENTRIES = operation(
  "WebArtifactFiles",
  `query WebArtifactFiles($id: ID!, $after: String, $first: Int) { artifact(id: $id) {
    files(after: $after, first: $first) {
      totalCount edges { node { name sizeBytes digest md5 directUrl } } pageInfo { endCursor hasNextPage } } } }`,
);

const ROWS_OF_A_PAGE = 100;
const ENTRIES_OF_A_PAGE = 500;

/** One page of the versions that a run logged or used. */
export async function fetchRunArtifacts(
  path: RunPath,
  direction: Direction,
  after: string | null,
  signal: AbortSignal,
): Promise<Page<ArtifactRow>> {
  const variables = { ...path, after, first: ROWS_OF_A_PAGE };
  const data = await runOperation(RUN_ARTIFACTS[direction], variables, signal);
  return readPage(data.maybeFields("project")?.maybeFields("run") ?? null, "artifacts", readArtifact);
}

/** The version, or null when it does not exist. */
export async function fetchArtifact(path: ArtifactPath, signal: AbortSignal): Promise<ArtifactDetail | null> {
  const { entity, project } = path;
  const data = await runOperation(
    ARTIFACT,
    { entity, project, name: `${path.name}:${path.version}` },
    signal,
  );
  const membership = data.maybeFields("project")?.maybeFields("artifactCollectionMembership") ?? null;
  const node = membership?.maybeFields("artifact") ?? null;
  if (membership === null || node === null) return null;
  const row = readArtifact(node);
  const creator = node.maybeFields("createdBy");
  const usedBy = node.nodes("usedBy", readRun);
  const ttl = node.maybeNumber("ttlDurationSeconds") ?? 0;
  return {
    ...row,
    collection: membership.maybeFields("artifactCollection")?.maybeText("name") ?? row.name,
    place: membership.maybeNumber("versionIndex"),
    aliases: membership.list("aliases", (alias, at) => new Fields(alias, at).text("alias")),
    description: node.maybeText("description") ?? "",
    metadata: parseExtendedObject(node.maybeText("metadata")),
    tags: node.list("tags", (tag, at) => new Fields(tag, at).text("name")),
    digestAlgorithm: node.maybeText("digestAlgorithm") ?? "MANIFEST_MD5",
    commitHash: node.maybeText("commitHash"),
    historyStep: node.maybeNumber("historyStep"),
    updatedAt: node.maybeText("updatedAt"),
    // negative ones say that it is inherited, or switched off
    ttlSeconds: ttl > 0 ? ttl : null,
    loggedBy: creator === null ? null : readCreator(creator),
    usedBy,
    usedByTotal: node.maybeFields("usedBy")?.maybeNumber("totalCount") ?? usedBy.length,
  };
}

/** One page of what is in a version, by path. */
export async function fetchArtifactEntries(
  id: string,
  after: string | null,
  signal: AbortSignal,
): Promise<Page<ArtifactEntry>> {
  const data = await runOperation(ENTRIES, { id, after, first: ENTRIES_OF_A_PAGE }, signal);
  return readPage(data.maybeFields("artifact"), "files", readEntry);
}

function readPage<Item>(parent: Fields | null, field: string, read: (node: Fields) => Item): Page<Item> {
  const connection = parent?.maybeFields(field) ?? null;
  if (parent === null || connection === null) return { items: [], total: 0, next: null };
  const info = connection.maybeFields("pageInfo");
  const items = parent.nodes(field, read);
  return {
    items,
    total: connection.maybeNumber("totalCount") ?? items.length,
    next: info?.flag("hasNextPage") === true ? info.maybeText("endCursor") : null,
  };
}

function readArtifact(node: Fields): ArtifactRow {
  const { name, home } = readCollection(node.fields("artifactSequence"));
  const aliases = node.list("aliases", (item, at) => {
    const alias = new Fields(item, at);
    const collection = alias.maybeFields("artifactCollection");
    return { name: alias.text("alias"), of: collection === null ? null : readCollection(collection) };
  });
  // a link may be in a collection of the same name in another project
  const isOwn = ({ of }: (typeof aliases)[number]) =>
    of?.name === name && of.home.entity === home.entity && of.home.project === home.project;
  return {
    id: node.text("id"),
    name,
    home,
    type: node.fields("artifactType").text("name"),
    versionIndex: node.maybeNumber("versionIndex"),
    state: node.maybeText("state") ?? "COMMITTED",
    aliases: aliases.filter(isOwn).map((alias) => alias.name),
    sizeBytes: node.maybeNumber("size") ?? 0,
    fileCount: node.maybeNumber("fileCount") ?? 0,
    digest: node.maybeText("digest") ?? "",
    createdAt: node.text("createdAt"),
  };
}

function readCollection(node: Fields): { readonly name: string; readonly home: ProjectPath } {
  // no project where only a link to the version may be seen
  const project = node.maybeFields("project");
  return {
    name: node.text("name"),
    home: { entity: project?.maybeText("entityName") ?? "", project: project?.maybeText("name") ?? "" },
  };
}

function readCreator(creator: Fields): RunLink | string | null {
  return creator.maybeText("__typename") === "Run" ? readRun(creator) : creator.maybeText("username");
}

function readRun(node: Fields): RunLink {
  const run = node.text("name");
  const project = node.fields("project");
  return {
    entity: project.text("entityName"),
    project: project.text("name"),
    run,
    displayName: node.maybeText("displayName") ?? run,
  };
}

function readEntry(node: Fields): ArtifactEntry {
  return {
    path: node.text("name"),
    sizeBytes: node.maybeNumber("sizeBytes") ?? 0,
    digest: node.maybeText("digest") ?? "",
    url: node.maybeText("directUrl") ?? "",
    // the server knows the MD5 of what it has
    isReference: node.maybeText("md5") === null,
  };
}
