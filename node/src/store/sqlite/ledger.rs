//! The ownership statements on SQLite.
//!
//! What must hold: every change runs in a `BEGIN IMMEDIATE` transaction, so nothing moves between a
//! check and the write that depends on it; the clock is read inside the statement that compares it.
//! The predicates are those of `ownership.md` section 3; only the row locks are missing, because the
//! file has a single writer.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, Holder, JoinError, Ledger, MemberState, Ownership, Permit, Posted,
    Timing, Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{Age, DeviceKey, Epoch, Incarnation, Life};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::Lite;
use super::timeline::look_around;
use crate::store::rows::{
    GrantRow, MemberRow, OwnershipRow, PermitRow, SqlResult, TransitionRow, millis, state_text, unavailable,
    view,
};
use crate::store::wishes::{pin_allows, placeable, survey, wished};

/// The host's clock in Unix milliseconds, read by the statement.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}
pub(super) use now;

pub(super) type Tx = Transaction<'static, Sqlite>;

impl Lite {
    async fn try_beat(
        &self,
        life: &Life,
        said: &Report,
        timing: &Timing,
    ) -> SqlResult<Option<Vec<MemberRow>>> {
        let mut tx = self.begin_write().await?;
        let sql = concat!(
            "UPDATE member SET lease_since = iif(lease_until < ",
            now!(),
            " OR lease_since > ",
            now!(),
            ", ",
            now!(),
            ", lease_since),
               lease_until = ",
            now!(),
            " + $3, granted = $3, beats = beats + 1, owned = $4,
               connected = $5, failing = $6, heard = $7, cut_off = $8
             WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead'"
        );
        let query = sqlx::query(sql).bind(life.node.as_str()).bind(life.incarnation.0);
        let query = query.bind(millis(timing.ttl)).bind(said.owned);
        let query = query.bind(said.reach.connected).bind(said.reach.failing);
        let query = query.bind(said.reach.heard.map(millis)).bind(said.cut_off);
        let done = query.execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        look_around(&mut tx, life, timing).await?;
        let sql =
            concat!(
            "SELECT c.view_epoch, 0 AS cluster_epoch, max(0, c.takeover_blocked_until - ", now!(), ") AS blocked,
               c.placement_frozen AS frozen, c.max_version, n.cordoned, n.node_id, n.incarnation, n.address, n.zone, n.weight, n.version, n.state,
               max(0, n.lease_until - ", now!(), ") AS remaining, n.beats, n.owned, n.connected, n.failing, n.heard, n.cut_off
             FROM cluster_control c, member n WHERE n.state <> 'dead' ORDER BY n.node_id"
        );
        let rows = sqlx::query_as(sql).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(rows))
    }

    /// Runs an update of `member` that changes the membership when it changes a row.
    async fn change(&self, sql: &'static str, binds: &[Value]) -> SqlResult<bool> {
        let mut tx = self.begin_write().await?;
        let mut query = sqlx::query(sql);
        for bind in binds {
            query = match bind {
                Value::Number(n) => query.bind(n.as_i64()),
                other => query.bind(other.as_str()),
            };
        }
        let changed = query.execute(&mut *tx).await?.rows_affected() == 1;
        if changed {
            next_view(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(changed)
    }

    async fn try_claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> SqlResult<Vec<GrantRow>> {
        let mut tx = self.begin_write().await?;
        // The literal owner pair, and a death that is a fact: once dead, always dead.
        let sql = concat!(
            "UPDATE ownership AS o SET owner_node = $2, owner_inc = $3, epoch = epoch + 1, owned_since = ",
            now!(),
            "
             FROM json_each($1) q
             WHERE o.business_id = q.value ->> 0 AND o.device_id = q.value ->> 1 AND o.desired = 'online'
               AND o.owner_node IS $4 AND o.owner_inc IS $5 AND ",
            pin_allows!("o", "$2"),
            "
               AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $2 AND m.incarnation = $3
                           AND m.state = 'active' AND NOT m.cordoned AND m.lease_until > ",
            now!(),
            ")
               AND (SELECT takeover_blocked_until < ",
            now!(),
            " FROM cluster_control)
               AND ($4 IS NULL OR EXISTS (SELECT 1 FROM member v WHERE v.node_id = $4
                           AND (v.incarnation > $5 OR (v.incarnation = $5 AND v.state = 'dead'))))
             RETURNING business_id, device_id, epoch"
        );
        let rows =
            json!(keys.iter().map(|k| [k.business_id.as_str(), k.device_id.as_str()]).collect::<Vec<_>>());
        let won: Vec<GrantRow> = sqlx::query_as(sql)
            .bind(rows.to_string())
            .bind(me.node.as_str())
            .bind(me.incarnation.0)
            .bind(from.map(|life| life.node.as_str()))
            .bind(from.map(|life| life.incarnation.0))
            .fetch_all(&mut *tx)
            .await?;
        if !won.is_empty() {
            let reason = if from.is_some() { "take-over" } else { "claim" };
            log(&mut tx, &won, Some(me), reason).await?;
            tx.commit().await?;
        }
        Ok(won)
    }

    async fn hand_over(&self, grant: &Grant, to: Option<&Life>) -> SqlResult<Option<GrantRow>> {
        let mut tx = self.begin_write().await?;
        let sql = concat!(
            "UPDATE ownership SET owner_node = $6, owner_inc = $7, epoch = epoch + 1, owned_since = iif($6 IS NULL, NULL, ", now!(), ")
             WHERE business_id = $1 AND device_id = $2 AND epoch = $3 AND owner_node = $4 AND owner_inc = $5
               AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $4 AND m.incarnation = $5 AND m.state <> 'dead')
               AND ($6 IS NULL OR ", pin_allows!("ownership", "$6"), "
                   AND EXISTS (SELECT 1 FROM member t WHERE t.node_id = $6 AND t.incarnation = $7
                           AND t.state = 'active' AND NOT t.cordoned AND t.lease_until > ", now!(), " + 500))
             RETURNING business_id, device_id, epoch"
        );
        let row: Option<GrantRow> = sqlx::query_as(sql)
            .bind(grant.key.business_id.as_str())
            .bind(grant.key.device_id.as_str())
            .bind(grant.epoch.0)
            .bind(grant.life.node.as_str())
            .bind(grant.life.incarnation.0)
            .bind(to.map(|life| life.node.as_str()))
            .bind(to.map(|life| life.incarnation.0))
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = &row {
            let reason = if to.is_some() { "give" } else { "release" };
            log(&mut tx, std::slice::from_ref(row), to, reason).await?;
            tx.commit().await?;
        }
        Ok(row)
    }
}

pub(super) async fn next_view(tx: &mut Tx) -> SqlResult<()> {
    sqlx::query("UPDATE cluster_control SET view_epoch = view_epoch + 1").execute(&mut **tx).await?;
    Ok(())
}

async fn log(tx: &mut Tx, rows: &[GrantRow], owner: Option<&Life>, reason: &str) -> SqlResult<()> {
    let sql = concat!(
        "INSERT INTO ownership_log (business_id, device_id, epoch, owner_node, owner_inc, reason, at)
         SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3, $4, ",
        now!(),
        " FROM json_each($1)"
    );
    let rows: Vec<Value> = rows.iter().map(|r| json!([r.business_id, r.device_id, r.epoch])).collect();
    sqlx::query(sql)
        .bind(Value::Array(rows).to_string())
        .bind(owner.map(|life| life.node.as_str()))
        .bind(owner.map(|life| life.incarnation.0))
        .bind(reason)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[async_trait]
impl Ledger for Lite {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        self.keep_near(candidate).await?;
        match self.try_join(candidate, silent, timing).await.map_err(unavailable)? {
            Ok(incarnation) => {
                Ok(Life { node: candidate.node.clone(), incarnation: Incarnation(incarnation) })
            }
            Err(row) => Err(row.read(&candidate.node)),
        }
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        match self.try_beat(life, said, timing).await.map_err(unavailable)? {
            Some(rows) => Ok(Beaten::Renewed(view(rows).map_err(unavailable)?)),
            None => Ok(Beaten::Dead),
        }
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        let sql = "UPDATE member SET state = $3 WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead'";
        let binds = [json!(life.node.as_str()), json!(life.incarnation.0), json!(state_text(state))];
        self.change(sql, &binds).await.map_err(unavailable)
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let sql = concat!(
            "UPDATE member SET state = 'dead'
             WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead' AND lease_until + $5 < ",
            now!(),
            "
               AND EXISTS (SELECT 1 FROM member me WHERE me.node_id = $3 AND me.incarnation = $4
                           AND me.state <> 'dead' AND me.lease_until > ",
            now!(),
            "
                           AND me.lease_since + $6 < ",
            now!(),
            ")
               AND (SELECT max(takeover_blocked_until, hold_off_until) < ",
            now!(),
            " FROM cluster_control)"
        );
        let binds = [
            json!(victim.node.as_str()),
            json!(victim.incarnation.0),
            json!(me.node.as_str()),
            json!(me.incarnation.0),
            json!(millis(timing.grace)),
            json!(millis(timing.quarantine())),
        ];
        self.change(sql, &binds).await.map_err(unavailable)
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let sql =
            "UPDATE member SET state = 'dead' WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead'";
        let binds = [json!(life.node.as_str()), json!(life.incarnation.0)];
        self.change(sql, &binds).await.map_err(unavailable)
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let kept = self.attach(me, posts).await.map_err(unavailable)?;
        kept.into_iter().map(|row| row.read(me)).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        let sql = concat!(
            "SELECT ",
            wished!(),
            " FROM ownership o LEFT JOIN tenant t USING (business_id)
             WHERE o.owner_node IS NULL AND o.desired = 'online' AND ",
            placeable!(),
            "
             UNION ALL
             SELECT ",
            wished!(),
            " FROM member v JOIN ownership o ON o.owner_node = v.node_id
               AND o.owner_inc < v.incarnation + (v.state = 'dead')
             LEFT JOIN tenant t USING (business_id)
             WHERE o.desired = 'online' AND ",
            placeable!(),
            "
             ORDER BY business_id, device_id LIMIT $1"
        );
        let rows: SqlResult<Vec<OwnershipRow>> =
            sqlx::query_as(sql).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(&self.read).await;
        let rows = rows.map_err(unavailable)?;
        rows.into_iter().map(OwnershipRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        let won = self.try_claim(me, from, keys).await.map_err(unavailable)?;
        won.into_iter().map(|row| row.read(me)).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        let sql = concat!(
            "SELECT ",
            wished!(),
            " FROM ownership o LEFT JOIN tenant t USING (business_id)
             WHERE o.owner_node = $1 AND o.owner_inc = $2 ORDER BY o.business_id, o.device_id"
        );
        let query = sqlx::query_as(sql).bind(me.node.as_str()).bind(me.incarnation.0);
        let rows: Vec<OwnershipRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        rows.into_iter().map(OwnershipRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn permit(
        &self,
        grants: &[Grant],
        _age: Age,
        margin: Duration,
    ) -> Result<Vec<Permit>, Unavailable> {
        let sql = concat!(
            "SELECT o.business_id, o.device_id, o.epoch, o.owner_node, o.owner_inc, n.lease_until - ", now!(), " AS remaining
             FROM json_each($1) q JOIN ownership o ON o.business_id = q.value ->> 0 AND o.device_id = q.value ->> 1
              AND o.epoch = q.value ->> 2 AND o.owner_node = q.value ->> 3 AND o.owner_inc = q.value ->> 4
             JOIN member n ON n.node_id = o.owner_node AND n.incarnation = o.owner_inc
             WHERE n.state <> 'dead' AND o.desired = 'online' AND n.lease_until > ", now!(), " + $2"
        );
        let rows = grants.iter().map(|g| {
            let (b, d) = (g.key.business_id.as_str(), g.key.device_id.as_str());
            json!([b, d, g.epoch.0, g.life.node.as_str(), g.life.incarnation.0])
        });
        let rows = Value::Array(rows.collect()).to_string();
        let query = sqlx::query_as(sql).bind(rows).bind(millis(margin));
        let rows: Vec<PermitRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        rows.into_iter().map(PermitRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        let row = self.hand_over(grant, Some(to)).await.map_err(unavailable)?;
        let given = |row: GrantRow| Grant { life: to.clone(), epoch: Epoch(row.epoch), ..grant.clone() };
        Ok(row.map(given))
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        Ok(self.hand_over(grant, None).await.map_err(unavailable)?.is_some())
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        survey(self, of, after, limit).await
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        let sql = concat!(
            "SELECT ",
            wished!(),
            " FROM ownership o LEFT JOIN tenant t USING (business_id)
             WHERE o.business_id = $1 AND o.device_id = $2"
        );
        let query = sqlx::query_as(sql).bind(key.business_id.as_str()).bind(key.device_id.as_str());
        let row: Option<OwnershipRow> = query.fetch_optional(&self.read).await.map_err(unavailable)?;
        row.map(OwnershipRow::read).transpose().map_err(unavailable)
    }

    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
        let sql = "SELECT epoch, owner_node, owner_inc, reason, at FROM ownership_log
                   WHERE business_id = $1 AND device_id = $2 ORDER BY epoch DESC LIMIT $3";
        let query = sqlx::query_as(sql).bind(key.business_id.as_str()).bind(key.device_id.as_str());
        let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<TransitionRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        rows.into_iter().map(TransitionRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }
}
