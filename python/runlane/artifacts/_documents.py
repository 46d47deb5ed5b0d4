"""GraphQL documents of artifacts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PROJECT = """
fragment ProjectInfoFragment on Project { id internalId name entity { name } }"""
_ALIAS = """
fragment ArtifactAliasFragment on ArtifactAlias { __typename id alias }"""
_TAG = """
fragment TagFragment on Tag { __typename id name }"""
_COLLECTION_INFO = """
fragment CollectionInfoFragment on ArtifactCollection { __typename name project { ...ProjectInfoFragment } }"""
_PAGE = """
fragment PageInfoFragment on PageInfo { __typename endCursor hasNextPage }"""
_RUN_INFO = """
fragment RunInfoFragment on Run { __typename id name project { ...ProjectInfoFragment } }"""
_FILE = """
fragment FileFragment on File {
  __typename id name: displayName url sizeBytes storagePath mimetype updatedAt digest md5 directUrl
}"""
_ARTIFACT = (
    """
fragment SourceCollectionInfoFragment on ArtifactSequence { __typename name project { ...ProjectInfoFragment } }
fragment ArtifactFragment on Artifact {
  __typename id artifactSequence { ...SourceCollectionInfoFragment } versionIndex artifactType { name } description metadata
  ttlDurationSeconds ttlIsInherited tags { ...TagFragment } historyStep state size digest digestAlgorithm commitHash fileCount
  createdAt updatedAt aliases @include(if: $includeAliases) {
    artifactCollection { ...CollectionInfoFragment } ...ArtifactAliasFragment
  }
}"""
    + _PROJECT
    + _ALIAS
    + _TAG
    + _COLLECTION_INFO
)
_MEMBERSHIP = (
    """
fragment ArtifactMembershipFragment on ArtifactCollectionMembership {
  __typename id versionIndex createdAt aliases { ...ArtifactAliasFragment }
  artifactCollection { ...CollectionInfoFragment } artifact { ...ArtifactFragment }
}"""
    + _ARTIFACT
)
_COLLECTION = (
    """
fragment ArtifactCollectionFragment on ArtifactCollection {
  __typename id name description createdAt updatedAt project { ...ProjectInfoFragment }
  type: defaultArtifactType { name } tags { edges { node { ...TagFragment } } }
}"""
    + _PROJECT
    + _TAG
)
_TYPE = """
fragment ArtifactTypeFragment on ArtifactType { __typename id name description createdAt }"""


def fitting(document: str, has_feature: Callable[[str], bool]) -> str:
    """A document without the members that a server does not have."""
    for feature, member, without in (
        ("ARTIFACT_DIGEST_ALGORITHM", " digestAlgorithm commitHash", " commitHash"),
        ("TOTAL_COUNT_IN_FILE_CONNECTION", " fileTotal: totalCount", ""),
    ):
        if member in document and not has_feature(feature):
            document = document.replace(member, without)
    if "# filtered" in document and not has_feature("ARTIFACT_COLLECTIONS_FILTERING_SORTING"):
        for member in (
            ", $filters: JSONString, $order: String",
            ", filters: $filters, order: $order",
            "totalCount ",
        ):
            document = document.replace(member, "")
    return document


# --- one version ----------------------------------------------------------------------------------------------------

BY_NAME = (
    """query ArtifactMembershipByName($entity: String!, $project: String!, $name: String!, $includeAliases: Boolean = false) {
  project(name: $project, entityName: $entity) { artifactCollectionMembership(name: $name) { ...ArtifactMembershipFragment } }
}"""
    + _MEMBERSHIP
)

BY_ID = (
    """query ArtifactByID($id: ID!, $includeAliases: Boolean = true) { artifact(id: $id) { ...ArtifactFragment } }"""
    + _ARTIFACT
)

BY_CLIENT_ID = (
    """query ClientIDMapping($clientID: ID!) { clientIDMapping(clientID: $clientID) { serverID } }"""
)

MANIFEST = """query FetchArtifactManifest($id: ID!) { artifact(id: $id) { currentManifest { file { directUrl } } } }"""

FILE_URLS = (
    """query GetArtifactMembershipFileUrls(
  $entity: String!, $project: String!, $collection: String!, $alias: String!, $cursor: String, $perPage: Int
) {
  project(name: $project, entityName: $entity) { artifactCollection(name: $collection) {
    __typename artifactMembership(aliasName: $alias) { files(after: $cursor, first: $perPage) {
      pageInfo { ...PageInfoFragment } edges { node { __typename name directUrl } }
    } }
  } }
}"""
    + _PAGE
)

FILES = (
    """query ArtifactMembershipFiles(
  $entity: String!, $project: String!, $collection: String!, $alias: String!, $fileNames: [String!], $cursor: String,
  $perPage: Int = 50
) {
  project(name: $project, entityName: $entity) { artifactCollection(name: $collection) {
    __typename artifactMembership(aliasName: $alias) { files(names: $fileNames, after: $cursor, first: $perPage) {
      fileTotal: totalCount pageInfo { ...PageInfoFragment } edges { node { ...FileFragment } }
    } }
  } }
}"""
    + _PAGE
    + _FILE
)

USED_BY = (
    """query ArtifactUsedBy($id: ID!) { artifact(id: $id) { usedBy { edges { node { ...RunInfoFragment } } } } }"""
    + _RUN_INFO
    + _PROJECT
)

CREATED_BY = (
    """query ArtifactCreatedBy($id: ID!) {
  artifact(id: $id) { createdBy { __typename ... on Run { ...RunInfoFragment } } }
}"""
    + _RUN_INFO
    + _PROJECT
)

LINKED = (
    """query FetchLinkedArtifacts($artifactID: ID!) {
  artifact(id: $artifactID) { artifactMemberships { edges { node {
    versionIndex createdAt aliases { ...ArtifactAliasFragment } artifactCollection { ...CollectionInfoFragment }
  } } } }
}"""
    + _ALIAS
    + _COLLECTION_INFO
    + _PROJECT
)

ARTIFACT_TYPE = """query ArtifactType($entity: String, $project: String, $name: String!) {
  project(name: $project, entityName: $entity) { artifact(name: $name) { artifactType { name } } }
}"""

# --- changing one ---------------------------------------------------------------------------------------------------

ADD_ALIASES = (
    """mutation AddAliases($input: AddAliasesInput!) { result: addAliases(input: $input) { success } }"""
)
DELETE_ALIASES = """mutation DeleteAliases($input: DeleteAliasesInput!) { result: deleteAliases(input: $input) { success } }"""
UPDATE = (
    """mutation UpdateArtifact($input: UpdateArtifactInput!, $includeAliases: Boolean = true) {
  result: updateArtifact(input: $input) { artifact { ...ArtifactFragment } }
}"""
    + _ARTIFACT
)
DELETE = """mutation DeleteArtifact($input: DeleteArtifactInput!) {
  result: deleteArtifact(input: $input) { artifact { id } }
}"""
LINK = """mutation LinkArtifact($input: LinkArtifactInput!) { result: linkArtifact(input: $input) { versionIndex } }"""
UNLINK = """mutation UnlinkArtifact($input: UnlinkArtifactInput!) { result: unlinkArtifact(input: $input) { success } }"""
READ_ONLY = """query IsProjectReadOnly($entity: String!, $project: String!) {
  project(entityName: $entity, name: $project) { readOnly }
}"""
USE = """mutation UseArtifact(
  $entityName: String!, $projectName: String!, $runName: String!, $artifactID: ID!, $usedAs: String,
  $artifactEntityName: String, $artifactProjectName: String
) {
  useArtifact(input: {
    entityName: $entityName, projectName: $projectName, runName: $runName, artifactID: $artifactID, usedAs: $usedAs,
    artifactEntityName: $artifactEntityName, artifactProjectName: $artifactProjectName
  }) { artifact { id } }
}"""
USE_PLAIN = """mutation UseArtifact($entityName: String!, $projectName: String!, $runName: String!, $artifactID: ID!) {
  useArtifact(input: {
    entityName: $entityName, projectName: $projectName, runName: $runName, artifactID: $artifactID
  }) { artifact { id } }
}"""
CREATE = """mutation CreateArtifact(
  $artifactTypeName: String!, $artifactCollectionNames: [String!], $entityName: String!, $projectName: String!, $runName: String,
  $description: String, $digest: String!, $digestAlgorithm: ArtifactDigestAlgorithm!, $aliases: [ArtifactAliasInput!],
  $metadata: JSONString, $clientID: ID, $sequenceClientID: ID, $tags: [TagInput!]
) {
  createArtifact(input: {
    artifactTypeName: $artifactTypeName, artifactCollectionNames: $artifactCollectionNames, entityName: $entityName,
    projectName: $projectName, runName: $runName, description: $description, digest: $digest, digestAlgorithm: $digestAlgorithm,
    aliases: $aliases, metadata: $metadata, clientID: $clientID, sequenceClientID: $sequenceClientID,
    enableDigestDeduplication: true, tags: $tags
  }) { artifact { id state } }
}"""

# --- types and collections ------------------------------------------------------------------------------------------

TYPES = (
    """query ProjectArtifactTypes($entity: String!, $project: String!, $cursor: String, $perPage: Int) {
  project(name: $project, entityName: $entity) { artifactTypes(after: $cursor, first: $perPage) {
    edges { node { ...ArtifactTypeFragment } } pageInfo { ...PageInfoFragment }
  } }
}"""
    + _TYPE
    + _PAGE
)
TYPE = (
    """query ProjectArtifactType($entity: String!, $project: String!, $type: String!) {
  project(entityName: $entity, name: $project) { artifactType(name: $type) { ...ArtifactTypeFragment } }
}"""
    + _TYPE
)
PROJECT_COLLECTIONS = (
    """query ProjectArtifactCollections(
  $entity: String!, $project: String!, $cursor: String, $perPage: Int, $filters: JSONString, $order: String
) { # filtered
  project(entityName: $entity, name: $project) {
    artifactCollections(after: $cursor, first: $perPage, filters: $filters, order: $order) {
      totalCount pageInfo { ...PageInfoFragment } edges { node { __typename ...ArtifactCollectionFragment } }
    }
  }
}"""
    + _COLLECTION
    + _PAGE
)
TYPE_COLLECTIONS = (
    """query ArtifactTypeArtifactCollections(
  $entity: String!, $project: String!, $type: String!, $cursor: String, $perPage: Int, $filters: JSONString, $order: String
) { # filtered
  project(entityName: $entity, name: $project) { artifactType(name: $type) {
    artifactCollections(after: $cursor, first: $perPage, filters: $filters, order: $order) {
      totalCount pageInfo { ...PageInfoFragment } edges { node { __typename ...ArtifactCollectionFragment } }
    }
  } }
}"""
    + _COLLECTION
    + _PAGE
)
COLLECTION = (
    """query ProjectArtifactCollection($entity: String!, $project: String!, $type: String!, $name: String!) {
  project(entityName: $entity, name: $project) { artifactType(name: $type) {
    artifactCollection(name: $name) { __typename ...ArtifactCollectionFragment }
  } }
}"""
    + _COLLECTION
)
COLLECTION_ALIASES = (
    """query ArtifactCollectionAliases($id: ID!, $cursor: String, $perPage: Int = 1000) {
  artifactCollection(id: $id) { __typename aliases(after: $cursor, first: $perPage) {
    pageInfo { ...PageInfoFragment } edges { node { ...ArtifactAliasFragment } }
  } }
}"""
    + _PAGE
    + _ALIAS
)
VERSIONS = (
    """query ProjectArtifacts(
  $entity: String!, $project: String!, $type: String!, $collection: String!, $cursor: String, $perPage: Int = 50, $order: String,
  $filters: JSONString, $includeAliases: Boolean = true
) {
  project(entityName: $entity, name: $project) { artifactType(name: $type) { artifactCollection(name: $collection) {
    __typename artifacts(after: $cursor, first: $perPage, order: $order, filters: $filters) {
      totalCount pageInfo { ...PageInfoFragment } edges { version node { ...ArtifactFragment } }
    }
  } } }
}"""
    + _ARTIFACT
    + _PAGE
)


def run_artifacts(member: str, name: str) -> str:
    """What a run logged (`outputArtifacts`) or used (`inputArtifacts`)."""
    return (
        f"""query {name}(
  $entity: String!, $project: String!, $run: String!, $cursor: String, $perPage: Int, $includeAliases: Boolean = true
) {{
  project(entityName: $entity, name: $project) {{ run(name: $run) {{
    artifacts: {member}(after: $cursor, first: $perPage) {{
      totalCount pageInfo {{ ...PageInfoFragment }} edges {{ node {{ ...ArtifactFragment }} }}
    }}
  }} }}
}}"""
        + _ARTIFACT
        + _PAGE
    )


RUN_LOGGED = run_artifacts("outputArtifacts", "RunOutputArtifacts")
RUN_USED = run_artifacts("inputArtifacts", "RunInputArtifacts")

UPDATE_SEQUENCE = (
    """mutation UpdateArtifactSequence($input: UpdateArtifactSequenceInput!) {
  result: updateArtifactSequence(input: $input) { artifactCollection { __typename ...ArtifactCollectionFragment } }
}"""
    + _COLLECTION
)
UPDATE_PORTFOLIO = (
    """mutation UpdateArtifactPortfolio($input: UpdateArtifactPortfolioInput!) {
  result: updateArtifactPortfolio(input: $input) { artifactCollection { __typename ...ArtifactCollectionFragment } }
}"""
    + _COLLECTION
)
MOVE_SEQUENCE = (
    """mutation UpdateArtifactSequenceType($input: MoveArtifactSequenceInput!) {
  result: moveArtifactSequence(input: $input) { artifactCollection { __typename ...ArtifactCollectionFragment } }
}"""
    + _COLLECTION
)
ADD_COLLECTION_TAGS = (
    """mutation AddArtifactCollectionTags($input: CreateArtifactCollectionTagAssignmentsInput!) {
  result: createArtifactCollectionTagAssignments(input: $input) { tags { ...TagFragment } }
}"""
    + _TAG
)
DELETE_COLLECTION_TAGS = """mutation DeleteArtifactCollectionTags(
  $input: DeleteArtifactCollectionTagAssignmentsInput!
) { result: deleteArtifactCollectionTagAssignments(input: $input) { success } }"""
DELETE_SEQUENCE = """mutation DeleteArtifactSequence($id: ID!) {
  result: deleteArtifactSequence(input: {artifactSequenceID: $id}) { artifactCollection { __typename state } }
}"""
DELETE_PORTFOLIO = """mutation DeleteArtifactPortfolio($id: ID!) {
  result: deleteArtifactPortfolio(input: {artifactPortfolioID: $id}) { artifactCollection { __typename state } }
}"""
