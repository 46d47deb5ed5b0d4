"""GraphQL documents of the Public API."""

from __future__ import annotations

_LIGHT_RUN = """fragment LightweightRunFragment on Run {
  id tags name displayName sweepName state group jobType commit readOnly createdAt heartbeatAt description notes
  historyLineCount user { name username }
}"""

_RUN = """fragment RunFragment on Run {
  id tags name displayName sweepName state config group jobType commit readOnly createdAt heartbeatAt description notes
  systemMetrics summaryMetrics historyLineCount user { name username } historyKeys
}"""

VIEWER = "query Viewer { viewer { id entity username email admin teams { edges { node { name } } } } }"

PROJECTS = """query GetProjects($entity: String, $cursor: String, $perPage: Int = 50) {
  models(entityName: $entity, after: $cursor, first: $perPage) {
    pageInfo { endCursor hasNextPage }
    edges { node { id name entityName createdAt } }
  }
}"""

RUN = (
    """query Run($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { projectId ...RunFragment } }
}
"""
    + _RUN
)

RUNS = """query Runs($project: String!, $entity: String!, $cursor: String, $perPage: Int = 50, $order: String, $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    internalId runCount(filters: $filters) readOnly
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {
      edges { node { projectId ...%s } cursor } pageInfo { endCursor hasNextPage }
    }
  }
}
"""
RUNS_LIGHT = RUNS % "LightweightRunFragment" + _LIGHT_RUN
RUNS_FULL = RUNS % "RunFragment" + _RUN

RUN_STATE = """query RunState($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { state } }
}"""

FULL_HISTORY = """query RunFullHistory($project: String!, $entity: String!, $name: String!, $samples: Int) {
  project(name: $project, entityName: $entity) { run(name: $name) { %s(samples: $samples) } }
}"""

SAMPLED_HISTORY = """query RunSampledHistory($project: String!, $entity: String!, $name: String!, $specs: [JSONString!]!) {
  project(name: $project, entityName: $entity) { run(name: $name) { sampledHistory(specs: $specs) } }
}"""

HISTORY_KEYS = """query RunHistoryKeys($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { historyKeys } }
}"""

HISTORY_PAGE = """query HistoryPage(
  $entity: String!, $project: String!, $run: String!, $minStep: Int64!, $maxStep: Int64!, $pageSize: Int!
) {
  project(name: $project, entityName: $entity) { run(name: $run) { history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize) } }
}"""

FILES = """query RunFiles(
  $project: String!, $entity: String!, $name: String!, $fileCursor: String, $fileLimit: Int = 50, $fileNames: [String] = [],
  $pattern: String
) {
  project(name: $project, entityName: $entity) {
    internalId
    run(name: $name) {
      fileCount
      files(names: $fileNames, after: $fileCursor, first: $fileLimit, pattern: $pattern) {
        edges { node { id name url directUrl sizeBytes mimetype updatedAt md5 } cursor }
        pageInfo { endCursor hasNextPage }
      }
    }
  }
}"""

UPDATE_RUN = (
    """mutation UpsertBucket(
  $id: String!, $description: String, $display_name: String, $notes: String, $tags: [String!], $config: JSONString!,
  $groupName: String, $jobType: String
) {
  upsertBucket(input: {
    id: $id, description: $description, displayName: $display_name, notes: $notes, tags: $tags, config: $config,
    groupName: $groupName, jobType: $jobType
  }) { bucket { ...RunFragment } }
}
"""
    + _RUN
)

UPDATE_SUMMARY = """mutation UpsertBucket($id: String, $summaryMetrics: JSONString) {
  upsertBucket(input: {id: $id, summaryMetrics: $summaryMetrics}) { bucket { id } }
}"""

DELETE_RUN = """mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"""
