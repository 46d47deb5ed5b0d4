-- Of a long console log the middle is removed: lines `left_out_from` … `left_out_to - 1` are not kept.
ALTER TABLE streams ADD COLUMN left_out_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE streams ADD COLUMN left_out_to BIGINT NOT NULL DEFAULT 0;
