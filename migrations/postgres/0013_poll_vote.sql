-- Votes in polls that a device knows, the last one of each voter.
CREATE TABLE poll_vote (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    -- Which poll: 16 bytes of a digest over its secret, its id and its options.
    ballot bytea NOT NULL,
    voter text COLLATE "C" NOT NULL,
    -- By the clock of the voter, Unix milliseconds.
    cast_at bigint NOT NULL,
    -- Sealed: what was chosen, and by whom.
    said bytea NOT NULL,
    PRIMARY KEY (business_id, device_id, ballot, voter)
) WITH (fillfactor = 90);
