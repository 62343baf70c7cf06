-- Devices that were imported, so that none comes a second time: the keys of its ratchets would be used again. Of the whole
-- cluster, so `business_id` is no part of the key.
CREATE TABLE imported_device (
    -- SHA-256 of its public identity key.
    identity blob NOT NULL PRIMARY KEY,
    -- As which device; both are empty once that is deleted.
    business_id text NOT NULL,
    device_id text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX imported_device_as ON imported_device (business_id, device_id);
