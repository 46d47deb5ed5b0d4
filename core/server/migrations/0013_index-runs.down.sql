DROP INDEX runs_by_version;
CREATE INDEX runs_by_creation ON runs (project_id, created_at_micros);
DROP INDEX runs_by_heartbeat;
DROP INDEX runs_shown;
