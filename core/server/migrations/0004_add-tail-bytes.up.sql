-- Bytes of a stream's lines that are not in Parquet objects: rows with hundreds of keys are moved there long before there
-- are thousands of them. Lines stored before this column are not counted.
ALTER TABLE streams ADD COLUMN tail_bytes BIGINT NOT NULL DEFAULT 0;
