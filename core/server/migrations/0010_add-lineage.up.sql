-- Runs that go on from the history of another one. A rewind leaves the state before it as a run of its own, `<id>:<generation>`,
-- which `archive_of` keeps out of lists.
ALTER TABLE runs ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN archive_of BIGINT REFERENCES runs (id);

CREATE INDEX runs_by_archive ON runs (archive_of) WHERE archive_of IS NOT NULL;

-- Lines with smaller numbers are the run's inherited rows, stored in `run_segments`.
ALTER TABLE streams ADD COLUMN first_line BIGINT NOT NULL DEFAULT 0;

-- Where a run was forked, or to which step it was rewound, and the summary of the rows that it began with: what its client
-- sends comes on top of that.
CREATE TABLE run_origins (
    run_id BIGINT PRIMARY KEY REFERENCES runs (id),
    parent_id BIGINT NOT NULL REFERENCES runs (id),
    step BIGINT NOT NULL,
    base_summary TEXT
);

CREATE INDEX run_origins_by_parent ON run_origins (parent_id);

-- The inherited rows of a run, in order: lines of other runs' streams before `line_count`, those with a step above `max_step` left
-- out. Written once; lines do not change either.
CREATE TABLE run_segments (
    run_id BIGINT NOT NULL REFERENCES runs (id),
    position BIGINT NOT NULL,
    stream_id BIGINT NOT NULL REFERENCES streams (id),
    line_count BIGINT NOT NULL,
    max_step BIGINT,
    row_count BIGINT NOT NULL,
    key_table TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
);

CREATE INDEX run_segments_by_stream ON run_segments (stream_id);
