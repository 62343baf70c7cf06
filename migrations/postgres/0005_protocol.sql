-- The version of WhatsApp Web that devices log in with. It stands beside the view epoch, because a change of
-- it moves that.
ALTER TABLE cluster_control
    -- Null: the one that is built into the program.
    ADD COLUMN protocol_stable text,
    -- A version that is tried on some devices.
    ADD COLUMN protocol_canary text,
    -- So many of a hundred devices.
    ADD COLUMN protocol_percent smallint NOT NULL DEFAULT 0 CHECK (protocol_percent BETWEEN 0 AND 100),
    -- And these: their names, one a line.
    ADD COLUMN protocol_devices text NOT NULL DEFAULT '',
    -- Unix milliseconds; 0 when it was never changed.
    ADD COLUMN protocol_changed bigint NOT NULL DEFAULT 0;
