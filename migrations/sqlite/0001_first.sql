-- The whole schema, the same tables and columns as for PostgreSQL. Forward only: a later change is a
-- new file.
--
-- Every key begins with business_id, but for what belongs to the cluster. All times are Unix
-- milliseconds; leases are compared only with the clock that the statement itself reads.

CREATE TABLE cluster_control (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    -- Grows with each change of membership or policy.
    view_epoch integer NOT NULL DEFAULT 1,
    -- An operator may hold back all burials until then.
    takeover_blocked_until integer NOT NULL DEFAULT 0,
    -- A constant sealed with the key-encryption key, to refuse a wrong key at start.
    key_check blob
) STRICT;
INSERT INTO cluster_control (one) VALUES (1);

CREATE TABLE member (
    node_id text PRIMARY KEY,
    incarnation integer NOT NULL,
    address text NOT NULL,
    zone text NOT NULL,
    weight integer NOT NULL,
    version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('joining', 'active', 'draining', 'dead')),
    lease_until integer NOT NULL,
    -- Start of the present unbroken run of renewals.
    lease_since integer NOT NULL,
    beats integer NOT NULL DEFAULT 0,
    owned integer NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tenant (
    business_id text PRIMARY KEY,
    display_name text NOT NULL,
    -- The tenant's data key, sealed with the key-encryption key.
    data_key blob NOT NULL,
    created integer NOT NULL
) STRICT;

CREATE TABLE ownership (
    business_id text NOT NULL,
    device_id text NOT NULL,
    owner_node text,
    owner_inc integer,
    -- Grows with every change of owner, also by deletion; the row outlives the device.
    epoch integer NOT NULL DEFAULT 0,
    desired text NOT NULL CHECK (desired IN ('online', 'offline', 'deleted')),
    owned_since integer,
    PRIMARY KEY (business_id, device_id),
    CHECK ((owner_node IS NULL) = (owner_inc IS NULL))
) STRICT;
CREATE INDEX ownership_owner ON ownership (owner_node, owner_inc) WHERE owner_node IS NOT NULL;
CREATE INDEX ownership_free ON ownership (business_id, device_id) WHERE owner_node IS NULL AND desired = 'online';

CREATE TABLE ownership_log (
    business_id text NOT NULL,
    device_id text NOT NULL,
    epoch integer NOT NULL,
    owner_node text,
    owner_inc integer,
    reason text NOT NULL,
    at integer NOT NULL,
    PRIMARY KEY (business_id, device_id, epoch)
) STRICT;

CREATE TABLE device (
    business_id text NOT NULL REFERENCES tenant (business_id),
    device_id text NOT NULL,
    display_name text NOT NULL,
    created integer NOT NULL,
    -- What the last owner said of it; null before any owner did.
    status_state integer,
    status_reason text,
    status_code integer,
    status_pn text,
    status_lid text,
    status_at integer,
    PRIMARY KEY (business_id, device_id)
) STRICT;

CREATE TABLE device_state (
    business_id text NOT NULL,
    device_id text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    value blob NOT NULL,
    PRIMARY KEY (business_id, device_id, kind, name)
) STRICT;

CREATE TABLE message (
    business_id text NOT NULL,
    device_id text NOT NULL,
    message_id text NOT NULL,
    request_id text NOT NULL,
    request_hash blob NOT NULL,
    whatsapp_id text NOT NULL,
    chat text NOT NULL,
    content blob NOT NULL,
    wire blob,
    state integer NOT NULL,
    -- Place of the state in its order; an update never lowers it.
    rank integer NOT NULL,
    ordinal integer NOT NULL,
    failure text,
    accepted integer NOT NULL,
    sent integer,
    server_ack integer,
    delivered integer,
    read_at integer,
    PRIMARY KEY (business_id, device_id, message_id),
    UNIQUE (business_id, device_id, request_id)
) STRICT;
CREATE INDEX message_whatsapp ON message (business_id, device_id, whatsapp_id);
-- The outbox: what WhatsApp has not acknowledged (accepted, queued, sending).
CREATE INDEX message_outbox ON message (business_id, device_id, ordinal) WHERE state IN (1, 2, 3);

CREATE TABLE event (
    business_id text NOT NULL,
    device_id text NOT NULL,
    seq integer NOT NULL,
    epoch integer NOT NULL,
    occurred integer NOT NULL,
    committed integer NOT NULL,
    origin integer NOT NULL,
    payload blob NOT NULL,
    PRIMARY KEY (business_id, device_id, seq)
) STRICT;
CREATE INDEX event_committed ON event (committed);

-- Dedupe keys outlive the events: a key is unique for ever. A digest of 16 bytes each.
CREATE TABLE event_dedupe (
    business_id text NOT NULL,
    device_id text NOT NULL,
    digest blob NOT NULL,
    PRIMARY KEY (business_id, device_id, digest)
) STRICT;

CREATE TABLE event_head (
    business_id text NOT NULL,
    device_id text NOT NULL,
    last_seq integer NOT NULL DEFAULT 0,
    earliest integer NOT NULL DEFAULT 1,
    -- Place of the last accepted message in the order of acceptance.
    last_ordinal integer NOT NULL DEFAULT 0,
    PRIMARY KEY (business_id, device_id)
) STRICT;

CREATE TABLE quarantine (
    business_id text NOT NULL,
    device_id text NOT NULL,
    digest blob NOT NULL,
    raw blob NOT NULL,
    reason text NOT NULL,
    at integer NOT NULL,
    PRIMARY KEY (business_id, device_id, digest)
) STRICT;

CREATE TABLE consumer (
    business_id text NOT NULL,
    consumer_id text NOT NULL,
    -- The stream that has it; null when none.
    holder text,
    until integer NOT NULL,
    PRIMARY KEY (business_id, consumer_id)
) STRICT;

CREATE TABLE consumer_position (
    business_id text NOT NULL,
    consumer_id text NOT NULL,
    device_id text NOT NULL,
    seq integer NOT NULL,
    PRIMARY KEY (business_id, consumer_id, device_id)
) STRICT;
