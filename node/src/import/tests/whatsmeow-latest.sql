ALTER TABLE whatsmeow_privacy_tokens ADD COLUMN sender_timestamp BIGINT;
UPDATE whatsmeow_privacy_tokens SET sender_timestamp = 1700000009;
CREATE TABLE whatsmeow_nct_salt (our_jid TEXT, salt bytea);
INSERT INTO whatsmeow_nct_salt VALUES ('4915:7@s.whatsapp.net', x'0A');
CREATE TABLE whatsmeow_retry_buffer (our_jid TEXT, plaintext bytea);
INSERT INTO whatsmeow_retry_buffer VALUES ('4915:7@s.whatsapp.net', x'01');
CREATE TABLE whatsmeow_event_buffer (our_jid TEXT, plaintext bytea);
INSERT INTO whatsmeow_event_buffer VALUES ('4915:7@s.whatsapp.net', x'01'), ('4915:7@s.whatsapp.net', NULL);
