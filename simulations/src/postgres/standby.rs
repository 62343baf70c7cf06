//! A standby of our own server, and the failover to it, with or without its tail.
//!
//! What must hold: until it is cut off, the standby streams from the server that it was copied from; once
//! cut off, what the server commits is lost to it, which is how an asynchronous failover loses a tail; it
//! takes the place of the server on the same port, so clients only see a server that went away and came
//! back. It says nothing of who ought to fail over, and when.

use std::fs;
use std::time::{Duration, Instant};

use super::{PostgresError, STARTING, TempPostgres, command, free_port, fresh_folder, io, serve, succeeded};

impl TempPostgres {
    /// A hot standby of this server, which streams from it asynchronously. About two seconds. Blocks.
    ///
    /// To make commits wait for it, see [`TempPostgres::wait_for_standbys`].
    pub fn standby(&self) -> Result<TempPostgres, PostgresError> {
        let folder = fresh_folder(self.user, &std::env::temp_dir())?;
        let made = command(&self.programs, "pg_basebackup", self.user, folder.path())
            .args(["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"])
            .args(["-h", "127.0.0.1", "-U", "roost", "-p", &self.port.to_string(), "-D"])
            .arg(folder.path().join("data"))
            .output();
        let made = made.map_err(io("running pg_basebackup"))?;
        succeeded("pg_basebackup", made)?;
        let port = free_port().map_err(io("finding a free port"))?;
        let server = serve(&self.programs, self.user, folder.path(), port)?;
        let mut standby =
            TempPostgres { programs: self.programs.clone(), user: self.user, port, server, folder };
        standby.wait_until_ready()?;
        standby.wait_for("a stream from the primary", "SELECT count(*) > 0 FROM pg_stat_wal_receiver")?;
        Ok(standby)
    }

    /// Makes every commit from now on wait until one standby has it on disk, or no longer.
    pub fn wait_for_standbys(&self, wait: bool) -> Result<(), PostgresError> {
        let names = if wait { "ANY 1 (*)" } else { "" };
        self.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"))?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        self.wait_for(
            "the new setting",
            &format!("SELECT current_setting('synchronous_standby_names') = '{names}'"),
        )
    }

    /// A standby that hears nothing of its primary any more: what is committed from now on is its lost
    /// tail.
    pub fn cut_off(&self) -> Result<(), PostgresError> {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        self.wait_for("the end of the stream", "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
    }

    /// Promotes a standby at the place of its primary, which is killed at once and never comes back. The
    /// standby answers on the primary's port from then on, on a new time-line.
    pub fn take_the_place_of(&mut self, mut primary: TempPostgres) -> Result<(), PostgresError> {
        primary.kill();
        self.stop();
        self.port = primary.port;
        drop(primary);
        self.resume()?;
        self.sql("postgres", "SELECT pg_promote()")?;
        self.wait_for("the promotion", "SELECT NOT pg_is_in_recovery()")
    }

    /// Waits until a query says yes.
    fn wait_for(&self, what: &str, query: &str) -> Result<(), PostgresError> {
        let deadline = Instant::now() + STARTING;
        while self.sql("postgres", query)? != "t" {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let tail: String = log.lines().rev().take(3).collect::<Vec<_>>().join("; ");
                return Err(PostgresError::NotStarted { log: format!("no sign of {what}: {tail}") });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
