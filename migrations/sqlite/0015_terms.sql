-- What the sender of a message allows: until when it may be sent, and whether it may go out again when nobody knows
-- whether it has arrived.
ALTER TABLE message ADD COLUMN expires INTEGER;
ALTER TABLE message ADD COLUMN once INTEGER NOT NULL DEFAULT 0;
