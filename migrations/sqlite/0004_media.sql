-- Uploaded files that wait to be sent, and where WhatsApp keeps files that have moved since their message.
CREATE TABLE media (
    business_id text NOT NULL REFERENCES tenant,
    media_id text NOT NULL,
    -- When it was first written, Unix milliseconds.
    created integer NOT NULL,
    -- Sealed: the key of the file is in it.
    body blob NOT NULL,
    PRIMARY KEY (business_id, media_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_created ON media (created);
