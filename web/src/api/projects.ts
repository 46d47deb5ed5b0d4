/** Projects over GraphQL. */

import type { Fields } from "./decode";
import { operation, runOperation } from "./graphql";
import type { ProjectPath } from "./runs";

export interface ProjectSummary {
  readonly name: string;
  readonly entity: string;
  readonly description: string;
  readonly createdAt: string;
  readonly lastActivityAt: string | null;
  readonly runCount: number;
}

export interface ProjectDetail extends ProjectSummary {
  readonly access: string | null;
}

const PROJECT = "name entityName description createdAt lastActivityAt runCount";

function readProject(node: Fields): ProjectSummary {
  return {
    name: node.text("name"),
    entity: node.text("entityName"),
    description: node.maybeText("description") ?? "",
    createdAt: node.text("createdAt"),
    lastActivityAt: node.maybeText("lastActivityAt"),
    runCount: node.maybeNumber("runCount") ?? 0,
  };
}

const PROJECTS = operation(
  "WebProjects",
  `query WebProjects($entity: String, $first: Int) {
    models(entityName: $entity, first: $first) { edges { node { ${PROJECT} } } } }`,
);

/** Projects of an entity, the most recently active first. */
export async function fetchProjects(entity: string, signal: AbortSignal): Promise<ProjectSummary[]> {
  const data = await runOperation(PROJECTS, { entity, first: 500 }, signal);
  const activity = (project: ProjectSummary) => project.lastActivityAt ?? project.createdAt;
  return data.nodes("models", readProject).sort((a, b) => activity(b).localeCompare(activity(a)));
}

const PROJECT_DETAIL = operation(
  "WebProject",
  `query WebProject($entity: String!, $project: String!) {
    project(name: $project, entityName: $entity) { ${PROJECT} access } }`,
);

/** The project, or null when there is none of that name that the viewer may see. */
export async function fetchProject(path: ProjectPath, signal: AbortSignal): Promise<ProjectDetail | null> {
  const data = await runOperation(PROJECT_DETAIL, { ...path }, signal);
  const node = data.maybeFields("project");
  return node === null ? null : { ...readProject(node), access: node.maybeText("access") };
}
