-- The last number of an earlier device of this name: where the log of the one that there is now begins.
ALTER TABLE event_head ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
