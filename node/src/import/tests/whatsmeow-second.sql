INSERT INTO whatsmeow_device (jid, registration_id) VALUES ('4915:9@s.whatsapp.net', 6);
