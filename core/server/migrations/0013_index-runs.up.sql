-- Lists and counts of a project's runs, by creation and by their last sign of life, without reading the runs.
CREATE INDEX runs_shown ON runs (project_id, created_at_micros)
    WHERE deleted_at_micros IS NULL AND archive_of IS NULL;
CREATE INDEX runs_by_heartbeat ON runs (project_id, heartbeat_at_micros)
    WHERE deleted_at_micros IS NULL AND archive_of IS NULL;
DROP INDEX runs_by_creation;

-- Which runs have changed: the sum of the versions of some runs grows with every change of one of them.
CREATE INDEX runs_by_version ON runs (project_id, id, version);
