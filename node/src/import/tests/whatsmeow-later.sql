CREATE TABLE whatsmeow_privacy_tokens (our_jid TEXT, their_jid TEXT, token bytea, timestamp BIGINT);
INSERT INTO whatsmeow_privacy_tokens VALUES ('4915:7@s.whatsapp.net', '777@lid', x'0102', 1700000000);
CREATE TABLE whatsmeow_message_secrets (our_jid TEXT, key bytea);
INSERT INTO whatsmeow_message_secrets VALUES ('4915:7@s.whatsapp.net', x'01'), ('another', x'01');
