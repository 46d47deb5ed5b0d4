ALTER TABLE streams DROP COLUMN tail_bytes;
