-- Config and summary of a few KB would lie in the rows of runs: with PostgreSQL they go to where large values are kept, so that rows
-- are small to walk over and to write anew with every heartbeat.
--postgres ALTER TABLE runs SET (toast_tuple_target = 128);
DROP INDEX IF EXISTS runs_by_creation;
