ALTER TABLE runs DROP COLUMN lost_rows;
ALTER TABLE streams DROP COLUMN lost_rows;
