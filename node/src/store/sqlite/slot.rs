//! Taking a slot on SQLite: the statement behind a join.
//!
//! What must hold: what makes a slot free stands in the predicate of the write itself, in one transaction with it.

use roost_placement::ledger::{Candidate, Holder, Timing};

use super::Lite;
use super::ledger::{next_view, now};
use crate::store::rows::{InUseRow, SqlResult, millis};

impl Lite {
    pub(super) async fn try_join(
        &self,
        c: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> SqlResult<Result<i64, InUseRow>> {
        let mut tx = self.begin_write().await?;
        let sql = concat!(
            "INSERT INTO member (node_id, incarnation, address, zone, weight, version, state, lease_until, lease_since,
               granted)
             VALUES ($1, 1, $2, $3, $4, $5, 'joining', ", now!(), " + $6, ", now!(), ", $6)
             ON CONFLICT (node_id) DO UPDATE SET incarnation = member.incarnation + 1, address = excluded.address,
               zone = excluded.zone, weight = excluded.weight, version = excluded.version, state = 'joining',
               lease_until = excluded.lease_until, lease_since = excluded.lease_since,
               granted = excluded.granted, beats = 0, owned = 0, connected = 0, failing = 0, heard = NULL,
               cut_off = 0
             WHERE member.state = 'dead' OR (member.lease_until + $7 < ", now!(), "
               AND member.incarnation = $8 AND member.beats = $9)
             RETURNING incarnation"
        );
        let wait = millis(timing.grace + timing.quarantine());
        let row: Option<i64> = sqlx::query_scalar(sql)
            .bind(c.node.as_str())
            .bind(&c.address)
            .bind(&c.zone)
            .bind(c.weight.max(1))
            .bind(c.version)
            .bind(millis(timing.ttl))
            .bind(wait)
            .bind(silent.map(|holder| holder.life.incarnation.0))
            .bind(silent.map(|holder| holder.beats))
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(incarnation) = row {
            next_view(&mut tx).await?;
            tx.commit().await?;
            return Ok(Ok(incarnation));
        }
        let sql = concat!(
            "SELECT incarnation, beats, max(0, lease_until + $2 - ",
            now!(),
            ") AS wait FROM member WHERE node_id = $1"
        );
        Ok(Err(sqlx::query_as(sql).bind(c.node.as_str()).bind(wait).fetch_one(&mut *tx).await?))
    }
}
