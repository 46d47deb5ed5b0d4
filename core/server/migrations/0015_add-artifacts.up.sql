-- Content of artifacts: bytes that an entity has proven to have, once. Two entities that have the same bytes have a row each, which
-- may name the same object. `wanted_at_micros`: when somebody last relied on it, upkeep leaves younger ones alone.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    entity_id BIGINT NOT NULL REFERENCES entities (id),
    -- Both digests as 32 hexadecimal digits, computed from the bytes that arrived.
    md5 TEXT NOT NULL,
    xxh128 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    object_key TEXT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    wanted_at_micros BIGINT NOT NULL,
    UNIQUE (md5, entity_id, xxh128)
);

CREATE INDEX blobs_by_xxh128 ON blobs (xxh128, entity_id);
CREATE INDEX blobs_by_size ON blobs (entity_id, size_bytes);
CREATE INDEX blobs_by_object ON blobs (object_key);

CREATE TABLE artifact_types (
    id INTEGER PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    description TEXT,
    created_at_micros BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- `kind`: `sequence` (artifacts are logged to it) or `portfolio` (they are linked to it).
CREATE TABLE artifact_collections (
    id INTEGER PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    type_id BIGINT NOT NULL REFERENCES artifact_types (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    digest_algorithm TEXT NOT NULL,
    -- The index of the next version, indexes are not used again.
    next_version BIGINT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    updated_at_micros BIGINT,
    deleted_at_micros BIGINT
);

-- A deleted collection gives its name back.
CREATE UNIQUE INDEX artifact_collections_by_name ON artifact_collections (project_id, name) WHERE deleted_at_micros IS NULL;
CREATE INDEX artifact_collections_by_type ON artifact_collections (type_id);
CREATE INDEX artifact_collections_deleted ON artifact_collections (deleted_at_micros) WHERE deleted_at_micros IS NOT NULL;

-- Names by which clients refer to what they make before they know its id, kept for good.
CREATE TABLE artifact_client_ids (
    client_id TEXT PRIMARY KEY,
    artifact_id BIGINT,
    collection_id BIGINT
);

-- A version of a sequence. `version_index`, size and files are known from the commit on.
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY,
    sequence_id BIGINT NOT NULL REFERENCES artifact_collections (id),
    state TEXT NOT NULL,
    version_index BIGINT,
    digest TEXT NOT NULL,
    digest_algorithm TEXT NOT NULL,
    commit_hash TEXT,
    description TEXT,
    metadata TEXT,
    -- Seconds, NULL: as the collection's, -2: never.
    ttl_seconds BIGINT,
    history_step BIGINT,
    -- Whose output it is: a run, or else a user.
    run_id BIGINT REFERENCES runs (id),
    user_id BIGINT REFERENCES users (id),
    -- Writers of one distributed artifact share it while it is pending.
    distributed_id TEXT,
    base_id BIGINT,
    -- Its content was there already when it was to be committed: the version that stands for it.
    same_as BIGINT,
    -- JSON list: what is set at the commit.
    pending_aliases TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    file_count BIGINT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    -- When bytes for it last arrived, about: a pending one that is silent for long is given up.
    active_at_micros BIGINT NOT NULL DEFAULT 0,
    updated_at_micros BIGINT,
    committed_at_micros BIGINT,
    deleted_at_micros BIGINT
);

CREATE UNIQUE INDEX artifacts_by_version ON artifacts (sequence_id, version_index);
CREATE INDEX artifacts_by_digest ON artifacts (sequence_id, digest);
CREATE INDEX artifacts_by_distributed ON artifacts (sequence_id, distributed_id) WHERE distributed_id IS NOT NULL;
CREATE INDEX artifacts_by_run ON artifacts (run_id);
CREATE INDEX artifacts_by_state ON artifacts (state, created_at_micros);
CREATE INDEX artifacts_with_ttl ON artifacts (state, ttl_seconds) WHERE ttl_seconds > 0;

CREATE TABLE artifact_tags (
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    name TEXT NOT NULL,
    PRIMARY KEY (artifact_id, name)
);

CREATE TABLE artifact_collection_tags (
    collection_id BIGINT NOT NULL REFERENCES artifact_collections (id),
    name TEXT NOT NULL,
    PRIMARY KEY (collection_id, name)
);

-- A version's place in its sequence and in every portfolio that it is linked to.
CREATE TABLE artifact_memberships (
    id INTEGER PRIMARY KEY,
    collection_id BIGINT NOT NULL REFERENCES artifact_collections (id),
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    version_index BIGINT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    UNIQUE (collection_id, version_index),
    UNIQUE (collection_id, artifact_id)
);

CREATE INDEX artifact_memberships_by_artifact ON artifact_memberships (artifact_id);

CREATE TABLE artifact_aliases (
    id INTEGER PRIMARY KEY,
    collection_id BIGINT NOT NULL REFERENCES artifact_collections (id),
    membership_id BIGINT NOT NULL REFERENCES artifact_memberships (id),
    alias TEXT NOT NULL,
    UNIQUE (collection_id, alias)
);

CREATE INDEX artifact_aliases_by_membership ON artifact_aliases (membership_id);

-- Manifest files. `kind`: `FULL`, `PATCH` or `INCREMENTAL`, `object_key` once the file is stored. The current one is what readers get.
CREATE TABLE artifact_manifests (
    id INTEGER PRIMARY KEY,
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Base64 of the MD5 of the file, as announced, empty before.
    digest TEXT NOT NULL,
    base_id BIGINT,
    object_key TEXT,
    size_bytes BIGINT NOT NULL,
    is_current BOOLEAN NOT NULL,
    created_at_micros BIGINT NOT NULL
);

CREATE INDEX artifact_manifests_by_artifact ON artifact_manifests (artifact_id);
CREATE INDEX artifact_manifests_by_object ON artifact_manifests (object_key);

-- The entries of committed versions. `blob_id` of files, `ref` of references.
CREATE TABLE artifact_entries (
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    blob_id BIGINT REFERENCES blobs (id),
    ref TEXT,
    birth_artifact_id BIGINT,
    PRIMARY KEY (artifact_id, path)
);

CREATE INDEX artifact_entries_by_blob ON artifact_entries (blob_id);

-- Files in many parts: of which version, and what the whole has to be.
CREATE TABLE artifact_uploads (
    id INTEGER PRIMARY KEY,
    upload_id TEXT NOT NULL UNIQUE,
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    digest_algorithm TEXT NOT NULL,
    -- JSON list of the parts' MD5, hexadecimal.
    parts TEXT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    -- The parts have become a blob, who asks again for that hears so.
    completed_at_micros BIGINT,
    UNIQUE (artifact_id, path, digest)
);

CREATE TABLE artifact_upload_parts (
    upload_id BIGINT NOT NULL REFERENCES artifact_uploads (id),
    part_number BIGINT NOT NULL,
    md5 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    object_key TEXT NOT NULL,
    PRIMARY KEY (upload_id, part_number)
);

CREATE INDEX artifact_upload_parts_by_object ON artifact_upload_parts (object_key);

-- The inputs of runs.
CREATE TABLE artifact_uses (
    run_id BIGINT NOT NULL REFERENCES runs (id),
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    used_as TEXT,
    created_at_micros BIGINT NOT NULL,
    PRIMARY KEY (run_id, artifact_id)
);

CREATE INDEX artifact_uses_by_artifact ON artifact_uses (artifact_id);

-- Runs that logged content which was there already: outputs of theirs, too.
CREATE TABLE artifact_outputs (
    run_id BIGINT NOT NULL REFERENCES runs (id),
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    created_at_micros BIGINT NOT NULL,
    PRIMARY KEY (run_id, artifact_id)
);

CREATE INDEX artifact_outputs_by_artifact ON artifact_outputs (artifact_id);
