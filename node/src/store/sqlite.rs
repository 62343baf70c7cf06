//! The store in one SQLite file: the embedded default on one machine, for one or several processes.
//!
//! What must hold: write-ahead log with `synchronous = FULL`, so a commit that was answered is on
//! disk; every write transaction is `BEGIN IMMEDIATE` on one connection, and none waits for anything
//! but the file. SQLite's own busy handler sleeps ever longer and is not fair, so a heartbeat could
//! starve behind busy writers; we ask again every few milliseconds instead, up to a bound.

mod ledger;
mod slot;
mod timeline;
mod writes;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;
use roost_placement::ledger::Grant;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::Instant;

use self::writes::LiteTx;
use super::backend::{Creation, ExpiredRow, LoadedRows, LogHeadRow};
use super::fenced::Rows;
use super::imported::claims;
use super::leftovers::leftovers;
use super::media::files;
use super::near::near;
use super::options::{OpenError, StoreOptions};
use super::plain::plain_backend;
use super::polls::ballots;
use super::protocol::{VersionRow, versions};
use super::rows::{DeviceRow, EventRow, MessageRow, SqlResult, TenantRow};
use super::schema::Migrations;
use super::wishes::{SurveyRow, wishes};

pub(super) const MIGRATIONS: &Migrations = &[
    (1, "first", include_str!("../../../migrations/sqlite/0001_first.sql")),
    (2, "placement", include_str!("../../../migrations/sqlite/0002_placement.sql")),
    (3, "time line", include_str!("../../../migrations/sqlite/0003_time_line.sql")),
    (4, "media", include_str!("../../../migrations/sqlite/0004_media.sql")),
    (5, "protocol", include_str!("../../../migrations/sqlite/0005_protocol.sql")),
    (6, "account health", include_str!("../../../migrations/sqlite/0006_account_health.sql")),
    (7, "holds", include_str!("../../../migrations/sqlite/0007_holds.sql")),
    (8, "egress", include_str!("../../../migrations/sqlite/0008_egress.sql")),
    (9, "event age", include_str!("../../../migrations/sqlite/0009_event_age.sql")),
    (11, "max version", include_str!("../../../migrations/sqlite/0011_max_version.sql")),
    (12, "push name", include_str!("../../../migrations/sqlite/0012_push_name.sql")),
    (13, "poll vote", include_str!("../../../migrations/sqlite/0013_poll_vote.sql")),
    (14, "proxy", include_str!("../../../migrations/sqlite/0014_proxy.sql")),
    (15, "terms", include_str!("../../../migrations/sqlite/0015_terms.sql")),
    (16, "quarantine age", include_str!("../../../migrations/sqlite/0016_quarantine_age.sql")),
    (17, "log began", include_str!("../../../migrations/sqlite/0017_log_began.sql")),
    (18, "imported", include_str!("../../../migrations/sqlite/0018_imported.sql")),
];

/// How long a reader waits for the rare moments in which a writer excludes it.
const READ_BUSY: Duration = Duration::from_secs(1);
/// How long one attempt to begin a write transaction waits inside SQLite.
const WRITE_BUSY: Duration = Duration::from_millis(2);

/// The pools of one process on one file.
pub(super) struct Lite {
    write: SqlitePool,
    read: SqlitePool,
    /// How long a write transaction may wait for its turn.
    wait: Duration,
}

impl Lite {
    /// Pools that connect when they are first used, in the runtime that uses them.
    pub(super) fn lazy(options: &StoreOptions, readers: u32) -> Result<Lite, OpenError> {
        let base = connect_options(&options.url)?;
        let pool = |max| {
            SqlitePoolOptions::new()
                .max_connections(max)
                .acquire_timeout(options.acquire_timeout)
                .test_before_acquire(false)
        };
        Ok(Lite {
            write: pool(1).connect_lazy_with(base.clone().busy_timeout(WRITE_BUSY)),
            read: pool(readers).connect_lazy_with(base.busy_timeout(READ_BUSY)),
            wait: options.statement_timeout,
        })
    }

    async fn begin_write(&self) -> SqlResult<Transaction<'static, Sqlite>> {
        let deadline = Instant::now() + self.wait;
        loop {
            match self.write.begin_with("BEGIN IMMEDIATE").await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    let pause = rand::rng().random_range(500..3_000);
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                }
                result => return result,
            }
        }
    }

    async fn begin_snapshot(&self) -> SqlResult<Transaction<'static, Sqlite>> {
        self.read.begin().await
    }

    async fn begin_rows(&self) -> SqlResult<Box<dyn Rows>> {
        Ok(Box::new(LiteTx(self.begin_write().await?)))
    }

    /// In a transaction of its own: other writers have their turn between two logs.
    async fn expire_log(&self, retention: i64, from: i64, limit: i64) -> SqlResult<Option<ExpiredRow>> {
        let mut tx = self.begin_write().await?;
        let sql = "SELECT business_id, device_id, seq, committed FROM event
                   WHERE committed <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - $1 AND committed >= $2
                   ORDER BY committed LIMIT 1";
        let query = sqlx::query_as(sql).bind(retention).bind(from);
        let due: Option<(String, String, i64, i64)> = query.fetch_optional(&mut *tx).await?;
        let Some((b, d, seq, committed)) = due else { return Ok(None) };
        let sql =
            "SELECT max(seq) FROM (SELECT seq, committed FROM event WHERE business_id = $1 AND device_id = $2
                                         ORDER BY seq LIMIT $3) AS front
                   WHERE seq <= $4 OR committed <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - $5";
        let query = sqlx::query_scalar(sql).bind(&b).bind(&d).bind(limit).bind(seq).bind(retention);
        let last: Option<i64> = query.fetch_one(&mut *tx).await?;
        let sql = "DELETE FROM event WHERE business_id = $1 AND device_id = $2 AND seq <= $3";
        let query = sqlx::query(sql).bind(&b).bind(&d).bind(last);
        let gone = query.execute(&mut *tx).await?.rows_affected();
        let sql = "UPDATE event_head SET earliest = $3 + 1
                   WHERE business_id = $1 AND device_id = $2 AND earliest <= $3";
        sqlx::query(sql).bind(&b).bind(&d).bind(last).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(ExpiredRow { committed, gone: i64::try_from(gone).unwrap_or(i64::MAX) }))
    }

    async fn clear_quarantine(&self, retention: i64, limit: i64) -> SqlResult<u64> {
        let sql = "DELETE FROM quarantine WHERE rowid IN
                     (SELECT rowid FROM quarantine WHERE at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - $1
                      ORDER BY at LIMIT $2)";
        let mut tx = self.begin_write().await?;
        let done = sqlx::query(sql).bind(retention).bind(limit).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}

/// The options for a `sqlite:///path/file.db` URL.
pub(super) fn connect_options(url: &str) -> Result<SqliteConnectOptions, OpenError> {
    let bad = |why: String| OpenError::BadUrl { why };
    let options = SqliteConnectOptions::from_str(url).map_err(|error| bad(error.to_string()))?;
    let path: PathBuf = options.get_filename().to_owned();
    if url.contains(":memory:") || url.contains("mode=memory") || path.as_os_str().is_empty() {
        return Err(bad("a SQLite store needs a file: sqlite:///path/file.db".to_owned()));
    }
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true))
}

/// Whether another connection holds the file (`SQLITE_BUSY` and its extended codes).
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|db| db.code());
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

near!(Lite, now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)");

wishes!(Lite, now_millis: "CAST(unixepoch('subsec') * 1000 AS INTEGER)");
files!(Lite, now_millis: "CAST(unixepoch('subsec') * 1000 AS INTEGER)");
ballots!(Lite, names: "(SELECT key AS at, value ->> 0 AS kind, value ->> 1 AS name FROM json_each($3))");

claims!(Lite);
leftovers!(Lite);

versions!(Lite, now_millis: "CAST(unixepoch('subsec') * 1000 AS INTEGER)");

plain_backend! {
    Lite,
    now_millis: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    later: "CAST(unixepoch('subsec') * 1000 AS INTEGER) + $4",
    share: "",
    epoch: "epoch + 1",
    positions: "(SELECT value ->> 0 AS d, value ->> 1 AS s FROM json_each($2))",
    names: "(SELECT key AS at, value ->> 0 AS kind, value ->> 1 AS name FROM json_each($6))",
    ids: "(SELECT value FROM json_each($3))",
    age: "SELECT 0",
    // A file loses no tail.
    in_age: "$7 >= 0",
}
