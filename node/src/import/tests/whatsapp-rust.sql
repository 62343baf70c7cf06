CREATE TABLE device (id INTEGER, lid TEXT, pn TEXT, registration_id INTEGER, noise_key BLOB, identity_key BLOB,
    signed_pre_key BLOB, signed_pre_key_id INTEGER, signed_pre_key_signature BLOB, adv_secret_key BLOB, account BLOB,
    push_name TEXT);
CREATE TABLE prekeys (id INTEGER, key BLOB, uploaded BOOLEAN, device_id INTEGER);
CREATE TABLE sessions (address TEXT, record BLOB, device_id INTEGER);
CREATE TABLE identities (address TEXT, key BLOB, device_id INTEGER);
CREATE TABLE sender_keys (address TEXT, record BLOB, device_id INTEGER);
INSERT INTO device (id, pn, lid, registration_id, account) VALUES (1, '4915:7@s.whatsapp.net', '555:7@lid', 5, x'01');
