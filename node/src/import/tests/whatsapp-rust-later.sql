ALTER TABLE device ADD COLUMN next_pre_key_id INTEGER NOT NULL DEFAULT 9;
ALTER TABLE device ADD COLUMN nct_salt BLOB;
UPDATE device SET nct_salt = x'0A';
CREATE TABLE tc_tokens (jid TEXT, token BLOB, token_timestamp BIGINT, sender_timestamp BIGINT, device_id INTEGER);
INSERT INTO tc_tokens VALUES ('777@lid', x'0102', 1700000000, 1700000009, 1);
CREATE TABLE msg_secrets (secret BLOB, device_id INTEGER);
INSERT INTO msg_secrets VALUES (x'01', 1), (x'01', 2);
CREATE TABLE sent_messages (payload BLOB, device_id INTEGER);
INSERT INTO sent_messages VALUES (x'01', 1);
