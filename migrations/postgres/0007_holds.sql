-- A hold ends when the database may have lost a tail: what its stream has sent may not be in the log any more.
ALTER TABLE consumer ADD COLUMN cluster_epoch bigint NOT NULL DEFAULT 0;
