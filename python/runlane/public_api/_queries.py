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

_USER = """fragment UserFragment on User {
  id name username email admin flags entity deletedAt
  apiKeys { edges { node { id name description } } } teams { edges { node { name } } }
}"""

VIEWER = "query GetViewer { viewer { ...UserFragment } }\n" + _USER

DEFAULT_ENTITY = "query GetDefaultEntity { viewer { id entity } }"

USERS = (
    "query SearchUsers($query: String) { users(query: $query) { edges { node { ...UserFragment } } } }\n"
    + _USER
)

FEATURES = "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } }"

CREATE_USER = """mutation CreateUserFromAdmin($email: String!, $admin: Boolean) {
  result: createUser(input: {email: $email, admin: $admin}) { user { id name username email admin } }
}"""

GENERATE_API_KEY = """mutation GenerateApiKey($description: String) {
  result: generateApiKey(input: {description: $description}) { apiKey { id name description } }
}"""

DELETE_API_KEY = (
    """mutation DeleteApiKey($id: String!) { result: deleteApiKey(input: {id: $id}) { success } }"""
)

TEAM = """query GetTeamEntity($name: String!) {
  entity(name: $name) {
    id name available photoUrl readOnly readOnlyAdmin isTeam entityType privateOnly storageBytes codeSavingEnabled defaultAccess
    isPaid members { id admin pending email username name photoUrl accountType apiKey }
  }
}"""

CREATE_TEAM = """mutation CreateTeam($teamName: String!, $teamAdminUserName: String) {
  result: createTeam(input: {teamName: $teamName, teamAdminUserName: $teamAdminUserName}) { entity { id name } }
}"""

CREATE_INVITE = """mutation CreateInvite($entity: String!, $email: String, $username: String, $admin: Boolean) {
  result: createInvite(input: {entityName: $entity, email: $email, username: $username, admin: $admin}) { invite { id } }
}"""

DELETE_INVITE = """mutation DeleteInvite($id: String, $entity: String) {
  result: deleteInvite(input: {id: $id, entityName: $entity}) { success }
}"""

CREATE_SERVICE_ACCOUNT = """mutation CreateServiceAccount($entity: String!, $description: String!) {
  result: createServiceAccount(input: {description: $description, entityName: $entity}) { user { id } }
}"""

PROJECT = (
    """query GetProject($name: String!, $entity: String!) {
  project(name: $name, entityName: $entity) { id name entityName createdAt isBenchmark user { ...UserFragment } }
}
"""
    + _USER
)

CREATE_PROJECT = """mutation CreateProject($input: UpsertModelInput!) {
  result: upsertModel(input: $input) { project { id name entityName } inserted }
}"""

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

CREATE_RUN = """mutation UpsertBucket($entity: String, $project: String, $name: String!, $state: String) {
  upsertBucket(input: {entityName: $entity, modelName: $project, name: $name, state: $state}) {
    bucket { id name project { name entity { name } } } inserted
  }
}"""

STOP_RUN = """mutation StopRun($id: ID!) { stopRun(input: {id: $id}) { success } }"""

UPDATE_STATE = (
    """mutation UpdateRunState($input: UpdateRunStateInput!) { updateRunState(input: $input) { success } }"""
)

PARQUET_HISTORY = """query RunParquetHistory($entity: String!, $project: String!, $runName: String!, $liveKeys: [String!]!) {
  project(name: $project, entityName: $entity) {
    run(name: $runName) { parquetHistory(liveKeys: $liveKeys) { parquetUrls liveData } }
  }
}"""

LOG_PAGE = """query RunConsoleLogPage($entity: String!, $project: String!, $runName: String!, $first: Int, $after: String) {
  project(name: $project, entityName: $entity) {
    run(name: $runName) {
      logLineCount
      logLines(first: $first, after: $after, useImprovedPagination: true) {
        edges { node { number timestamp level label line } } pageInfo { endCursor hasNextPage }
      }
    }
  }
}"""

LOG_TAIL = """query RunConsoleLogTail($entity: String!, $project: String!, $runName: String!, $last: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $runName) { logLineCount logLines(last: $last) { edges { node { number timestamp level label line } } } }
  }
}"""

DELETE_FILES = """mutation deleteFiles($files: [ID!]!, $projectId: Int) {
  deleteFiles(input: {files: $files, projectId: $projectId}) { success }
}"""

CREATE_RUN_FILES = """mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) {
    runID uploadHeaders files { name uploadUrl }
  }
}"""

MARK_UPLOADED = """mutation MarkRunFilesUploaded($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  markRunFilesUploaded(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) { success }
}"""

DELETE_RUN_AND_ARTIFACTS = """mutation DeleteRun($id: ID!, $deleteArtifacts: Boolean) {
  deleteRun(input: {id: $id, deleteArtifacts: $deleteArtifacts}) { clientMutationId }
}"""

DELETE_RUN = """mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"""
