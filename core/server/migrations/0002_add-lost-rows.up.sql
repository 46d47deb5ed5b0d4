-- What clients say that they could not keep, each of its own lines; a run shows the sum.
ALTER TABLE streams ADD COLUMN lost_rows BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN lost_rows BIGINT NOT NULL DEFAULT 0;
