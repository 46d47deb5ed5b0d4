ALTER TABLE streams DROP COLUMN left_out_to;
ALTER TABLE streams DROP COLUMN left_out_from;
