-- The whole schema. Forward only: a later change is a new file.
--
-- Every key begins with business_id, but for what belongs to the cluster. Names and keys compare
-- byte by byte (COLLATE "C"), so that an order by key here is the order in the program.
-- Leases are timestamptz and are compared with now() only; what people read is Unix milliseconds.

CREATE TABLE cluster_control (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- Grows with each change of membership or policy.
    view_epoch bigint NOT NULL DEFAULT 1,
    -- An operator may hold back all burials until then.
    takeover_blocked_until timestamptz NOT NULL DEFAULT '-infinity',
    -- A constant sealed with the key-encryption key, to refuse a wrong key at start.
    key_check bytea
);
INSERT INTO cluster_control DEFAULT VALUES;

CREATE TABLE member (
    node_id text COLLATE "C" PRIMARY KEY,
    incarnation bigint NOT NULL,
    address text NOT NULL,
    zone text NOT NULL,
    weight integer NOT NULL,
    version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('joining', 'active', 'draining', 'dead')),
    lease_until timestamptz NOT NULL,
    -- Start of the present unbroken run of renewals.
    lease_since timestamptz NOT NULL,
    beats bigint NOT NULL DEFAULT 0,
    owned bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE tenant (
    business_id text COLLATE "C" PRIMARY KEY,
    display_name text NOT NULL,
    -- The tenant's data key, sealed with the key-encryption key.
    data_key bytea NOT NULL,
    created bigint NOT NULL
);

CREATE TABLE ownership (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    owner_node text COLLATE "C",
    owner_inc bigint,
    -- Grows with every change of owner, also by deletion; the row outlives the device.
    epoch bigint NOT NULL DEFAULT 0,
    desired text NOT NULL CHECK (desired IN ('online', 'offline', 'deleted')),
    owned_since timestamptz,
    PRIMARY KEY (business_id, device_id),
    CHECK ((owner_node IS NULL) = (owner_inc IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX ownership_owner ON ownership (owner_node, owner_inc) WHERE owner_node IS NOT NULL;
CREATE INDEX ownership_free ON ownership (business_id, device_id) WHERE owner_node IS NULL AND desired = 'online';

CREATE TABLE ownership_log (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    owner_node text COLLATE "C",
    owner_inc bigint,
    reason text NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (business_id, device_id, epoch)
);

CREATE TABLE device (
    business_id text COLLATE "C" NOT NULL REFERENCES tenant,
    device_id text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    created bigint NOT NULL,
    -- What the last owner said of it; null before any owner did.
    status_state smallint,
    status_reason text,
    status_code bigint,
    status_pn text,
    status_lid text,
    status_at bigint,
    PRIMARY KEY (business_id, device_id)
) WITH (fillfactor = 80);

CREATE TABLE device_state (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (business_id, device_id, kind, name)
) WITH (fillfactor = 70);

CREATE TABLE message (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    whatsapp_id text COLLATE "C" NOT NULL,
    chat text NOT NULL,
    content bytea NOT NULL,
    wire bytea,
    state smallint NOT NULL,
    -- Place of the state in its order; an update never lowers it.
    rank smallint NOT NULL,
    ordinal bigint NOT NULL,
    failure text,
    accepted bigint NOT NULL,
    sent bigint,
    server_ack bigint,
    delivered bigint,
    read_at bigint,
    PRIMARY KEY (business_id, device_id, message_id),
    UNIQUE (business_id, device_id, request_id)
) WITH (fillfactor = 80);
CREATE INDEX message_whatsapp ON message (business_id, device_id, whatsapp_id);
-- The outbox: what WhatsApp has not acknowledged (accepted, queued, sending).
CREATE INDEX message_outbox ON message (business_id, device_id, ordinal) WHERE state IN (1, 2, 3);

CREATE TABLE event (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    occurred bigint NOT NULL,
    committed bigint NOT NULL,
    origin smallint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (business_id, device_id, seq)
);
CREATE INDEX event_committed ON event (committed);

-- Dedupe keys outlive the events: a key is unique for ever. A digest of 16 bytes each.
CREATE TABLE event_dedupe (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (business_id, device_id, digest)
);

CREATE TABLE event_head (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    earliest bigint NOT NULL DEFAULT 1,
    -- Place of the last accepted message in the order of acceptance.
    last_ordinal bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (business_id, device_id)
) WITH (fillfactor = 50);

CREATE TABLE quarantine (
    business_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    raw bytea NOT NULL,
    reason text NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (business_id, device_id, digest)
);

CREATE TABLE consumer (
    business_id text COLLATE "C" NOT NULL,
    consumer_id text COLLATE "C" NOT NULL,
    -- The stream that has it; null when none.
    holder text,
    until timestamptz NOT NULL,
    PRIMARY KEY (business_id, consumer_id)
);

CREATE TABLE consumer_position (
    business_id text COLLATE "C" NOT NULL,
    consumer_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (business_id, consumer_id, device_id)
) WITH (fillfactor = 70);
