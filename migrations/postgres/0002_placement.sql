-- What operators wish of placement, and what a plan looks at.

-- Nothing is rebalanced while this is set; take-over, drain and requested moves go on.
ALTER TABLE cluster_control ADD COLUMN placement_frozen boolean NOT NULL DEFAULT false;

-- Of the slot, not of one life: a node that restarts is still cordoned.
ALTER TABLE member ADD COLUMN cordoned boolean NOT NULL DEFAULT false;

-- auto: together while small; devices: hashed by device; strict: also at most half in one failure domain.
ALTER TABLE tenant ADD COLUMN spread text NOT NULL DEFAULT 'auto' CHECK (spread IN ('auto', 'devices', 'strict'));

ALTER TABLE ownership
    ADD COLUMN pin_node text COLLATE "C",
    ADD COLUMN pin_mode text CHECK (pin_mode IN ('require', 'prefer')),
    ADD CONSTRAINT ownership_pin CHECK ((pin_node IS NULL) = (pin_mode IS NULL));

-- When something was last written for the device (an event, an accepted message), Unix milliseconds.
ALTER TABLE event_head ADD COLUMN last_at bigint NOT NULL DEFAULT 0;
