-- Fails unless the database is in this age: the cluster epoch of a time-line that a heartbeat has seen. Who knows of another
-- age has not posted yet what it owns, or was told before the tail was lost. STABLE, as `roost_settled` is.
CREATE FUNCTION roost_in_age(known bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF (SELECT cluster_epoch <> known FROM cluster_control WHERE roost_settled()) THEN
        RAISE EXCEPTION 'the database is in another age than %', known
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN true;
END $$;
