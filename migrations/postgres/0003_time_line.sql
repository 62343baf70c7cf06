-- What shows that the database itself may have lost a tail, and what holds take-overs back then.

-- The time-line that this server writes. A server that does not say may have lost a tail with every start,
-- so there its start is what is compared.
CREATE FUNCTION roost_time_line() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
    RETURN 'start ' || extract(epoch FROM pg_postmaster_start_time());
END $$;

ALTER TABLE cluster_control
    -- The time-line that heartbeats have seen. On any other, nothing is granted and no grant is judged.
    ADD COLUMN time_line text NOT NULL DEFAULT '',
    -- Grows with each new time-line. Epochs and incarnations are minted above it, shifted left by 40.
    ADD COLUMN cluster_epoch bigint NOT NULL DEFAULT 0,
    -- After a gap that everybody had, nobody is buried until then.
    ADD COLUMN hold_off_until timestamptz NOT NULL DEFAULT '-infinity';
UPDATE cluster_control SET time_line = roost_time_line();

-- Milliseconds of the last lease that was granted: one that runs for more than twice as long is from
-- before the clock went back.
ALTER TABLE member ADD COLUMN granted bigint NOT NULL DEFAULT 3600000;

-- Fails while no heartbeat has seen this time-line: the rows may lack their tail. STABLE, so that it reads
-- with the snapshot of the statement that also reads the cluster epoch.
CREATE FUNCTION roost_settled() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF (SELECT time_line <> roost_time_line() FROM cluster_control) THEN
        RAISE EXCEPTION 'the database is on a time-line that the cluster has not seen'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN true;
END $$;
