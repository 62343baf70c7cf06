-- The highest version that devices are given to while members of several versions are there; NULL: any.
ALTER TABLE cluster_control ADD COLUMN max_version integer CHECK (max_version > 0);
