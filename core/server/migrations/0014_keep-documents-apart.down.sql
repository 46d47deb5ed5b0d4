--postgres ALTER TABLE runs RESET (toast_tuple_target);
DROP INDEX IF EXISTS runs_by_creation;
