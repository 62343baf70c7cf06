-- How WhatsApp judges the account of a device: an encoded `roost.v1.AccountHealth`; null while nothing is known.
ALTER TABLE device ADD COLUMN status_health blob;
