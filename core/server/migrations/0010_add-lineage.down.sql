DROP TABLE run_segments;
DROP TABLE run_origins;
DROP INDEX runs_by_archive;
ALTER TABLE streams DROP COLUMN first_line;
ALTER TABLE runs DROP COLUMN archive_of;
ALTER TABLE runs DROP COLUMN generation;
