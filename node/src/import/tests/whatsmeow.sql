CREATE TABLE whatsmeow_device (jid TEXT, lid TEXT, push_name TEXT, registration_id BIGINT, noise_key bytea,
    identity_key bytea, signed_pre_key bytea, signed_pre_key_id INTEGER, signed_pre_key_sig bytea, adv_key bytea,
    adv_details bytea, adv_account_sig bytea, adv_account_sig_key bytea, adv_device_sig bytea);
CREATE TABLE whatsmeow_pre_keys (jid TEXT, key_id INTEGER, key bytea, uploaded BOOLEAN);
CREATE TABLE whatsmeow_sessions (our_jid TEXT, their_id TEXT, session bytea);
CREATE TABLE whatsmeow_identity_keys (our_jid TEXT, their_id TEXT, identity bytea);
CREATE TABLE whatsmeow_sender_keys (our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key bytea);
INSERT INTO whatsmeow_device (jid, registration_id) VALUES ('4915:7@s.whatsapp.net', 5);
