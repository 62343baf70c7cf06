-- What operators wish of placement, and what a plan looks at.

-- Nothing is rebalanced while this is set; take-over, drain and requested moves go on.
ALTER TABLE cluster_control ADD COLUMN placement_frozen INTEGER NOT NULL DEFAULT 0;

-- Of the slot, not of one life: a node that restarts is still cordoned.
ALTER TABLE member ADD COLUMN cordoned INTEGER NOT NULL DEFAULT 0;

-- auto: together while small; devices: hashed by device; strict: also at most half in one failure domain.
ALTER TABLE tenant ADD COLUMN spread TEXT NOT NULL DEFAULT 'auto' CHECK (spread IN ('auto', 'devices', 'strict'));

ALTER TABLE ownership ADD COLUMN pin_node TEXT;
ALTER TABLE ownership ADD COLUMN pin_mode TEXT
    CHECK (pin_mode IN ('require', 'prefer') AND pin_node IS NOT NULL OR pin_mode IS NULL AND pin_node IS NULL);

-- When something was last written for the device (an event, an accepted message), Unix milliseconds.
ALTER TABLE event_head ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0;
