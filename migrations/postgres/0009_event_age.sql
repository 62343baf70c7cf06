-- In which age of the database an event was written: the cluster epoch of that moment. A sequence that a lost tail had and
-- that was given out again names two events, and this tells them apart.
ALTER TABLE event ADD COLUMN age bigint NOT NULL DEFAULT 0;
