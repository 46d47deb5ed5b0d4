CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    admin BOOLEAN NOT NULL,
    created_at_micros BIGINT NOT NULL
);

CREATE TABLE entities (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_id BIGINT NOT NULL REFERENCES users (id)
);

-- `public_id` is derived from the secret's hash and finds the row; the secret itself is never stored.
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    public_id TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,
    description TEXT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    revoked_at_micros BIGINT
);

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    created_at_micros BIGINT NOT NULL,
    last_seen_at_micros BIGINT NOT NULL
);

CREATE TABLE login_links (
    token_hash BLOB PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    expires_at_micros BIGINT NOT NULL
);

CREATE TABLE server_secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    entity_id BIGINT NOT NULL REFERENCES entities (id),
    name TEXT NOT NULL,
    description TEXT,
    access TEXT NOT NULL,
    views TEXT,
    created_at_micros BIGINT NOT NULL,
    last_activity_at_micros BIGINT NOT NULL,
    UNIQUE (entity_id, name)
);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT,
    notes TEXT,
    tags TEXT NOT NULL,
    state TEXT NOT NULL,
    group_name TEXT,
    job_type TEXT,
    commit_hash TEXT,
    host TEXT,
    program TEXT,
    repo TEXT,
    sweep_name TEXT,
    config TEXT NOT NULL,
    summary TEXT NOT NULL,
    exit_code BIGINT,
    stop_requested BOOLEAN NOT NULL,
    created_at_micros BIGINT NOT NULL,
    heartbeat_at_micros BIGINT NOT NULL,
    history_line_count BIGINT NOT NULL,
    events_line_count BIGINT NOT NULL,
    log_line_count BIGINT NOT NULL,
    last_step BIGINT,
    -- Grows by one with every change, so that watchers can tell old from new.
    version BIGINT NOT NULL,
    deleted_at_micros BIGINT,
    UNIQUE (project_id, name)
);

CREATE INDEX runs_by_creation ON runs (project_id, created_at_micros);
CREATE INDEX runs_by_state ON runs (state, heartbeat_at_micros);

-- One append-only or rewritable line stream per run, kind and writer (`client` is empty outside shared mode).
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    run_id BIGINT NOT NULL REFERENCES runs (id),
    kind SMALLINT NOT NULL,
    client TEXT NOT NULL,
    contiguous_lines BIGINT NOT NULL,
    end_line BIGINT NOT NULL,
    conflict_count BIGINT NOT NULL,
    -- Lines from 0 that are in Parquet objects, and what their keys are (JSON).
    compacted_lines BIGINT NOT NULL,
    key_table TEXT,
    UNIQUE (run_id, kind, client)
);

-- The tail: lines as they came, in blobs (layout in history/lines.rs).
CREATE TABLE stream_chunks (
    id INTEGER PRIMARY KEY,
    stream_id BIGINT NOT NULL REFERENCES streams (id),
    start_line BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    min_step BIGINT,
    max_step BIGINT,
    lines BLOB NOT NULL
);

CREATE UNIQUE INDEX stream_chunks_by_line ON stream_chunks (stream_id, start_line);

-- Contiguous history moved out of the tail into a Parquet object.
CREATE TABLE history_objects (
    id INTEGER PRIMARY KEY,
    stream_id BIGINT NOT NULL REFERENCES streams (id),
    start_line BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    min_step BIGINT,
    max_step BIGINT,
    object_key TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- Four bytes a line, little-endian CRC-32 of its text: tells a repeated line from a different one.
    line_checksums BLOB NOT NULL
);

CREATE UNIQUE INDEX history_objects_by_line ON history_objects (stream_id, start_line);

CREATE TABLE run_files (
    id INTEGER PRIMARY KEY,
    run_id BIGINT NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    object_key TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    md5 TEXT NOT NULL,
    mimetype TEXT NOT NULL,
    updated_at_micros BIGINT NOT NULL,
    UNIQUE (run_id, name)
);

CREATE INDEX run_files_by_object ON run_files (object_key);
CREATE INDEX history_objects_by_object ON history_objects (object_key);

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    run_id BIGINT NOT NULL REFERENCES runs (id),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    severity TEXT NOT NULL,
    wait_millis BIGINT NOT NULL,
    created_at_micros BIGINT NOT NULL
);

CREATE INDEX alerts_by_run ON alerts (run_id, title, created_at_micros);
