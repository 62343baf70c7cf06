//! The store in PostgreSQL: for clusters.
//!
//! What must hold: no session state is relied on (no advisory locks, no temporary tables, no LISTEN),
//! so the statements work behind a transaction pooler; every connection carries the name of its life,
//! so that whoever buries that life can end its sessions; a statement or an idle transaction ends
//! after a second, so that a frozen process holds no row for long. Row-level security is not set up:
//! a group commit spans tenants, so a policy by one tenant's setting does not fit it.

/// The next epoch of an ownership row: above everything that a lost tail can have minted, and only on a
/// time-line that a heartbeat has seen.
macro_rules! mint {
    ($row:literal) => {
        concat!(
            "greatest(",
            $row,
            ".epoch, (SELECT cluster_epoch << 40 FROM cluster_control WHERE roost_settled())) + 1"
        )
    };
}

/// `$n` milliseconds as an interval.
macro_rules! span {
    ($n:literal) => {
        concat!("($", $n, "::bigint * interval '1 millisecond')")
    };
}

mod ledger;
mod timeline;
mod writes;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::ledger::Grant;
use roost_proto::id::{Life, NodeId};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Transaction};

use self::writes::PgTx;
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
    (1, "first", include_str!("../../../migrations/postgres/0001_first.sql")),
    (2, "placement", include_str!("../../../migrations/postgres/0002_placement.sql")),
    (3, "time line", include_str!("../../../migrations/postgres/0003_time_line.sql")),
    (4, "media", include_str!("../../../migrations/postgres/0004_media.sql")),
    (5, "protocol", include_str!("../../../migrations/postgres/0005_protocol.sql")),
    (6, "account health", include_str!("../../../migrations/postgres/0006_account_health.sql")),
    (7, "holds", include_str!("../../../migrations/postgres/0007_holds.sql")),
    (8, "egress", include_str!("../../../migrations/postgres/0008_egress.sql")),
    (9, "event age", include_str!("../../../migrations/postgres/0009_event_age.sql")),
    (10, "age", include_str!("../../../migrations/postgres/0010_age.sql")),
    (11, "max version", include_str!("../../../migrations/postgres/0011_max_version.sql")),
    (12, "push name", include_str!("../../../migrations/postgres/0012_push_name.sql")),
    (13, "poll vote", include_str!("../../../migrations/postgres/0013_poll_vote.sql")),
    (14, "proxy", include_str!("../../../migrations/postgres/0014_proxy.sql")),
    (15, "terms", include_str!("../../../migrations/postgres/0015_terms.sql")),
    (16, "quarantine age", include_str!("../../../migrations/postgres/0016_quarantine_age.sql")),
    (17, "log began", include_str!("../../../migrations/postgres/0017_log_began.sql")),
    (18, "imported", include_str!("../../../migrations/postgres/0018_imported.sql")),
];

/// How long a connection that comes back to the pool may take to say that it is well. A connection
/// into a black hole would otherwise keep its place until TCP gives up; one to a server that takes no writes, to which
/// a stale name has led, for as long as it works.
const WELL: Duration = Duration::from_millis(500);

/// How long the server keeps a connection whose other end takes nothing or does not answer. One end of it
/// may be frozen inside a transaction, with rows locked.
const SILENCE: &str = "2s";

/// The longest name that PostgreSQL keeps of an application.
const NAME: usize = 63;

/// The pool of one process. Readers and writers share it.
pub(super) struct Postgres {
    read: PgPool,
}

impl Postgres {
    /// A pool that connects when it is first used, in the runtime that uses it.
    pub(super) fn lazy(options: &StoreOptions, connections: u32) -> Result<Postgres, OpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    let well = sqlx::query_scalar("SELECT NOT pg_is_in_recovery()").fetch_one(connection);
                    match tokio::time::timeout(WELL, well).await {
                        Ok(well) => well,
                        Err(_) => Err(sqlx::Error::PoolTimedOut),
                    }
                })
            });
        Ok(Postgres { read: pool.connect_lazy_with(connect_options(options, true)?) })
    }

    async fn begin_write(&self) -> SqlResult<Transaction<'static, sqlx::Postgres>> {
        self.read.begin().await
    }

    async fn begin_snapshot(&self) -> SqlResult<Transaction<'static, sqlx::Postgres>> {
        self.read.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// One statement, so that a log is held no longer than the server takes for it, whatever the network does, and never
    /// more than one: a commit that needs it has it in a moment. Who is chosen is found from `from` on, because before it
    /// there is little but the traces of what has gone.
    async fn expire_log(&self, retention: i64, from: i64, limit: i64) -> SqlResult<Option<ExpiredRow>> {
        let sql = "WITH due AS MATERIALIZED (
                     SELECT e.business_id, e.device_id, e.seq, e.committed FROM event e
                     JOIN event_head h ON h.business_id = e.business_id AND h.device_id = e.device_id
                     WHERE e.committed <= (extract(epoch FROM now()) * 1000)::bigint - $1 AND e.committed >= $2
                     ORDER BY e.committed LIMIT 1 FOR UPDATE OF h SKIP LOCKED),
                   front AS (
                     SELECT e.seq, e.committed FROM event e
                     WHERE e.business_id = (SELECT business_id FROM due) AND e.device_id = (SELECT device_id FROM due)
                     ORDER BY e.seq LIMIT $3),
                   last AS MATERIALIZED (
                     SELECT max(seq) AS seq FROM front
                     WHERE seq <= (SELECT seq FROM due)
                       OR committed <= (extract(epoch FROM now()) * 1000)::bigint - $1),
                   gone AS (
                     DELETE FROM event e
                     WHERE e.business_id = (SELECT business_id FROM due) AND e.device_id = (SELECT device_id FROM due)
                       AND e.seq <= (SELECT seq FROM last) RETURNING 1),
                   moved AS (
                     UPDATE event_head h SET earliest = (SELECT seq FROM last) + 1
                     WHERE h.business_id = (SELECT business_id FROM due) AND h.device_id = (SELECT device_id FROM due)
                       AND h.earliest <= (SELECT seq FROM last))
                   SELECT committed, (SELECT count(*) FROM gone) AS gone FROM due";
        sqlx::query_as(sql).bind(retention).bind(from).bind(limit).fetch_optional(&self.read).await
    }

    /// What a writer or another node is removing is left to it.
    async fn clear_quarantine(&self, retention: i64, limit: i64) -> SqlResult<u64> {
        let sql = "DELETE FROM quarantine WHERE (business_id, device_id, digest) IN
                     (SELECT business_id, device_id, digest FROM quarantine
                      WHERE at <= (extract(epoch FROM now()) * 1000)::bigint - $1
                      ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let mut tx = self.begin_write().await?;
        let done = sqlx::query(sql).bind(retention).bind(limit).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    async fn begin_rows(&self) -> SqlResult<Box<dyn Rows>> {
        Ok(Box::new(PgTx(self.read.begin().await?)))
    }
}

/// The options of a connection. Migrations run without `limits`.
pub(super) fn connect_options(options: &StoreOptions, limits: bool) -> Result<PgConnectOptions, OpenError> {
    let parsed = PgConnectOptions::from_str(&options.url);
    let mut connect = parsed.map_err(|error| OpenError::BadUrl { why: error.to_string() })?;
    connect =
        connect.application_name(&options.application.as_ref().map_or("roost".to_owned(), session_name));
    if limits {
        let limit = format!("{}ms", options.statement_timeout.as_millis().max(1));
        connect = connect.options([
            ("statement_timeout", limit.as_str()),
            ("idle_in_transaction_session_timeout", limit.as_str()),
            // A statement that waits for its client to take the answer ends by none of the two.
            ("tcp_user_timeout", SILENCE),
            ("tcp_keepalives_idle", "2s"),
            ("tcp_keepalives_interval", "1s"),
            ("tcp_keepalives_count", "3"),
        ]);
    }
    Ok(connect)
}

/// What the connections of a life are called: `roost/<node>/<incarnation>`, or with a digest of the
/// node id where that would be too long to be kept.
pub(super) fn session_name(life: &Life) -> String {
    let [plain, digest] = session_names(&life.node).map(|names| format!("{names}{}", life.incarnation));
    if plain.len() <= NAME { plain } else { digest }
}

/// How the names of the connections of all lives of a node begin, whichever way they are written.
pub(super) fn session_names(node: &NodeId) -> [String; 2] {
    let digest = hex::encode(&Sha256::digest(node.as_str().as_bytes())[..16]);
    [format!("roost/{node}/"), format!("roost/~{digest}/")]
}

near!(Postgres, now: "now()");

wishes!(Postgres, now_millis: "(extract(epoch FROM now()) * 1000)::bigint");
files!(Postgres, now_millis: "(extract(epoch FROM now()) * 1000)::bigint");
ballots!(
    Postgres,
    names: "(SELECT at, e ->> 0 AS kind, e ->> 1 AS name
             FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY AS x(e, at))"
);

claims!(Postgres);
leftovers!(Postgres);

versions!(Postgres, now_millis: "(extract(epoch FROM now()) * 1000)::bigint");

plain_backend! {
    Postgres,
    now_millis: "(extract(epoch FROM now()) * 1000)::bigint",
    now: "now()",
    later: "now() + $4 * interval '1 millisecond'",
    share: " FOR SHARE",
    epoch: "greatest(epoch, (SELECT cluster_epoch << 40 FROM cluster_control WHERE roost_settled())) + 1",
    positions: "(SELECT e ->> 0 AS d, (e ->> 1)::bigint AS s FROM jsonb_array_elements($2::jsonb) AS x(e))",
    names: "(SELECT at, e ->> 0 AS kind, e ->> 1 AS name
             FROM jsonb_array_elements($6::jsonb) WITH ORDINALITY AS x(e, at))",
    ids: "(SELECT jsonb_array_elements_text($3::jsonb))",
    age: "SELECT cluster_epoch FROM cluster_control WHERE roost_settled()",
    in_age: "(SELECT roost_in_age($7))",
}

#[cfg(test)]
mod tests {
    use super::*;
    use roost_proto::id::Incarnation;

    #[test]
    fn the_name_of_a_session_is_never_cut_off() {
        let life = |node: &str| Life { node: node.parse().expect("id"), incarnation: Incarnation(i64::MAX) };
        assert_eq!(session_name(&life("a")), format!("roost/a/{}", i64::MAX));
        let (long, other) = (format!("{}a", "n".repeat(62)), format!("{}b", "n".repeat(62)));
        assert!(session_name(&life(&long)).len() <= NAME);
        assert_ne!(session_name(&life(&long)), session_name(&life(&other)));
    }
}
