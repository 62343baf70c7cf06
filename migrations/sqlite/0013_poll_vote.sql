-- Votes in polls that a device knows, the last one of each voter.
CREATE TABLE poll_vote (
    business_id text NOT NULL,
    device_id text NOT NULL,
    -- Which poll: 16 bytes of a digest over its secret, its id and its options.
    ballot blob NOT NULL,
    voter text NOT NULL,
    -- By the clock of the voter, Unix milliseconds.
    cast_at integer NOT NULL,
    -- Sealed: what was chosen, and by whom.
    said blob NOT NULL,
    PRIMARY KEY (business_id, device_id, ballot, voter)
) STRICT, WITHOUT ROWID;
