-- The name that others see of a device's account; null while its phone has not told it.
ALTER TABLE device ADD COLUMN status_push_name text;
