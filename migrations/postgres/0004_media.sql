-- Uploaded files that wait to be sent, and where WhatsApp keeps files that have moved since their message.
CREATE TABLE media (
    business_id text COLLATE "C" NOT NULL REFERENCES tenant,
    media_id text COLLATE "C" NOT NULL,
    -- When it was first written, Unix milliseconds.
    created bigint NOT NULL,
    -- Sealed: the key of the file is in it.
    body bytea NOT NULL,
    PRIMARY KEY (business_id, media_id)
);
CREATE INDEX media_created ON media (created);
