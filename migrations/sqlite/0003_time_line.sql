-- What holds take-overs back after a gap. A file has no time-line: it loses no tail by itself, and a copy
-- that is put back in its place is not noticed.

-- After a gap that everybody had, nobody is buried until then.
ALTER TABLE cluster_control ADD COLUMN hold_off_until INTEGER NOT NULL DEFAULT 0;

-- Milliseconds of the last lease that was granted: one that runs for more than twice as long is from
-- before the clock went back.
ALTER TABLE member ADD COLUMN granted INTEGER NOT NULL DEFAULT 3600000;
