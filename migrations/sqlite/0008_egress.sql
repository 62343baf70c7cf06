-- How the devices of a member get through to WhatsApp, as its last heartbeat said: connected ones, those that have
-- failed to for a while, milliseconds since WhatsApp was last heard there (null: never).
ALTER TABLE member ADD COLUMN connected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN failing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN heard INTEGER;
-- It drains because others reach WhatsApp and it does not, and comes back by itself.
ALTER TABLE member ADD COLUMN cut_off INTEGER NOT NULL DEFAULT 0;
