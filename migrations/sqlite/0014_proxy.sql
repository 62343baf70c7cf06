-- The proxy through which a device connects to WhatsApp, sealed like its state; null for its node's own way.
ALTER TABLE device ADD COLUMN proxy blob;
