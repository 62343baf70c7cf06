//! The ownership statements on PostgreSQL, each one statement and one round trip.
//!
//! What must hold (`ownership.md` section 3): a claim stands on the literal owner pair of the locked
//! row, never on an anti-join, which steals from living owners under READ COMMITTED; death is asserted
//! as a fact that cannot become false again, so a stale snapshot of `member` can only refuse; only
//! `now()` is compared with a lease.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, Holder, JoinError, Ledger, MemberState, Ownership, Permit, Posted,
    Timing, Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{Age, DeviceKey, Epoch, Incarnation, Life};

use super::{Postgres, session_name, session_names};
use crate::store::rows::{
    GrantRow, InUseRow, OwnershipRow, PermitRow, SqlResult, TransitionRow, millis, state_text, unavailable,
};
use crate::store::wishes::{pin_allows, placeable, survey, wished};

fn columns(keys: &[DeviceKey]) -> (Vec<&str>, Vec<&str>) {
    let mut ordered: Vec<&DeviceKey> = keys.iter().collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|key| (key.business_id.as_str(), key.device_id.as_str())).unzip()
}

impl Postgres {
    async fn try_join(
        &self,
        c: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> SqlResult<Result<i64, InUseRow>> {
        self.follow(timing).await?;
        let sql = concat!(
            "WITH j AS (
               INSERT INTO member (node_id, incarnation, address, zone, weight, version, state, lease_until,
                 lease_since, granted)
               SELECT $1, (cluster_epoch << 40) + 1, $2, $3, $4, $5, 'joining', now() + ", span!(6), ", now(), $6
               FROM cluster_control WHERE roost_settled()
               ON CONFLICT (node_id) DO UPDATE SET
                 incarnation = greatest(member.incarnation + 1, excluded.incarnation), address = excluded.address,
                 zone = excluded.zone, weight = excluded.weight, version = excluded.version, state = 'joining',
                 lease_until = excluded.lease_until, lease_since = excluded.lease_since,
                 granted = excluded.granted, beats = 0, owned = 0, connected = 0, failing = 0, heard = NULL,
                 cut_off = false
               WHERE member.state = 'dead' OR (member.lease_until + ", span!(7), " < now()
                 AND member.incarnation = $8 AND member.beats = $9)
               RETURNING incarnation),
             v AS (UPDATE cluster_control SET view_epoch = view_epoch + 1 WHERE EXISTS (SELECT 1 FROM j))
             SELECT incarnation FROM j"
        );
        let wait = millis(timing.grace + timing.quarantine());
        let joined: Option<i64> = sqlx::query_scalar(sql)
            .bind(c.node.as_str())
            .bind(&c.address)
            .bind(&c.zone)
            .bind(i32::try_from(c.weight).unwrap_or(i32::MAX).max(1))
            .bind(i32::try_from(c.version).unwrap_or(i32::MAX))
            .bind(millis(timing.ttl))
            .bind(wait)
            .bind(silent.map(|holder| holder.life.incarnation.0))
            .bind(silent.map(|holder| holder.beats))
            .fetch_optional(&self.read)
            .await?;
        if let Some(incarnation) = joined {
            return Ok(Ok(incarnation));
        }
        let sql = concat!(
            "SELECT incarnation, beats,
               greatest(0, (extract(epoch FROM lease_until + ",
            span!(2),
            " - now()) * 1000)::bigint) AS wait
             FROM member WHERE node_id = $1"
        );
        Ok(Err(sqlx::query_as(sql).bind(c.node.as_str()).bind(wait).fetch_one(&self.read).await?))
    }

    /// Ends the sessions of a life that is over, so that nothing it left open holds rows. Best effort:
    /// the role may not be allowed to, and the timeouts of the sessions end them too.
    async fn end_sessions(&self, life: &Life) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()";
        if let Err(error) = sqlx::query(sql).bind(session_name(life)).execute(&self.read).await {
            tracing::debug!(%life, %error, "the sessions of a dead life were not ended");
        }
    }

    /// The same for all lives of its node before this one.
    async fn end_sessions_before(&self, life: &Life) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE (starts_with(application_name, $1) OR starts_with(application_name, $2))
                     AND application_name <> $3 AND datname = current_database() AND pid <> pg_backend_pid()";
        let [plain, digest] = session_names(&life.node);
        let query = sqlx::query(sql).bind(plain).bind(digest).bind(session_name(life));
        if let Err(error) = query.execute(&self.read).await {
            tracing::debug!(%life, %error, "the sessions of earlier lives were not ended");
        }
    }

    async fn hand_over(&self, grant: &Grant, to: Option<&Life>) -> SqlResult<Option<GrantRow>> {
        let given = concat!("WITH won AS (
               UPDATE ownership d SET owner_node = t.node_id, owner_inc = t.incarnation, epoch = ", mint!("d"), ",
                 owned_since = now()
               FROM member t
               WHERE d.business_id = $1 AND d.device_id = $2 AND d.epoch = $3
                 AND d.owner_node = $4 AND d.owner_inc = $5
                 AND t.node_id = $6 AND t.incarnation = $7 AND t.state = 'active'
                 AND NOT t.cordoned AND t.lease_until > now() + interval '500 milliseconds'
                 AND ", pin_allows!("d", "$6"), "
                 AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $4 AND m.incarnation = $5 AND m.state <> 'dead')
               RETURNING d.business_id, d.device_id, d.epoch),
             logged AS (INSERT INTO ownership_log (business_id, device_id, epoch, owner_node, owner_inc, reason, at)
               SELECT business_id, device_id, epoch, $6, $7, 'give', (extract(epoch FROM now()) * 1000)::bigint FROM won)
             SELECT business_id, device_id, epoch FROM won");
        let freed = concat!("WITH won AS (
               UPDATE ownership d SET owner_node = NULL, owner_inc = NULL, epoch = ", mint!("d"), ",
                 owned_since = NULL
               WHERE d.business_id = $1 AND d.device_id = $2 AND d.epoch = $3
                 AND d.owner_node = $4 AND d.owner_inc = $5
                 AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $4 AND m.incarnation = $5 AND m.state <> 'dead')
               RETURNING d.business_id, d.device_id, d.epoch),
             logged AS (INSERT INTO ownership_log (business_id, device_id, epoch, reason, at)
               SELECT business_id, device_id, epoch, 'release', (extract(epoch FROM now()) * 1000)::bigint FROM won)
             SELECT business_id, device_id, epoch FROM won");
        let mut query = sqlx::query_as(if to.is_some() { given } else { freed })
            .bind(grant.key.business_id.as_str())
            .bind(grant.key.device_id.as_str())
            .bind(grant.epoch.0)
            .bind(grant.life.node.as_str())
            .bind(grant.life.incarnation.0);
        if let Some(to) = to {
            query = query.bind(to.node.as_str()).bind(to.incarnation.0);
        }
        query.fetch_optional(&self.read).await
    }
}

#[async_trait]
impl Ledger for Postgres {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        self.keep_near(candidate).await?;
        match self.try_join(candidate, silent, timing).await.map_err(unavailable)? {
            Ok(incarnation) => {
                let life = Life { node: candidate.node.clone(), incarnation: Incarnation(incarnation) };
                self.end_sessions_before(&life).await;
                Ok(life)
            }
            Err(row) => Err(row.read(&candidate.node)),
        }
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        self.renew(life, said, timing).await
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        let sql = "WITH d AS (UPDATE member SET state = $3
                     WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead' RETURNING 1)
                   UPDATE cluster_control SET view_epoch = view_epoch + 1 WHERE EXISTS (SELECT 1 FROM d)";
        let query = sqlx::query(sql).bind(life.node.as_str()).bind(life.incarnation.0);
        let done = query.bind(state_text(state)).execute(&self.read).await.map_err(unavailable)?;
        Ok(done.rows_affected() == 1)
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let sql = concat!(
            "WITH d AS (UPDATE member v SET state = 'dead'
               WHERE v.node_id = $1 AND v.incarnation = $2 AND v.state <> 'dead'
                 AND v.lease_until + ",
            span!(5),
            " < now()
                 AND EXISTS (SELECT 1 FROM member me WHERE me.node_id = $3 AND me.incarnation = $4
                             AND me.state <> 'dead' AND me.lease_until > now()
                             AND me.lease_since + ",
            span!(6),
            " < now())
                 AND (SELECT greatest(takeover_blocked_until, hold_off_until) < now() FROM cluster_control)
               RETURNING 1)
             UPDATE cluster_control SET view_epoch = view_epoch + 1 WHERE EXISTS (SELECT 1 FROM d)"
        );
        let done = sqlx::query(sql)
            .bind(victim.node.as_str())
            .bind(victim.incarnation.0)
            .bind(me.node.as_str())
            .bind(me.incarnation.0)
            .bind(millis(timing.grace))
            .bind(millis(timing.quarantine()))
            .execute(&self.read)
            .await
            .map_err(unavailable)?;
        let buried = done.rows_affected() == 1;
        if buried {
            self.end_sessions(victim).await;
        }
        Ok(buried)
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let dead = self.set_state(life, MemberState::Dead).await?;
        if dead {
            self.end_sessions(life).await;
        }
        Ok(dead)
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let kept = self.attach(me, posts).await.map_err(unavailable)?;
        kept.into_iter().map(|row| row.read(me)).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        let sql = concat!(
            "(SELECT ",
            wished!(),
            " FROM ownership o LEFT JOIN tenant t USING (business_id)
              WHERE o.owner_node IS NULL AND o.desired = 'online' AND ",
            placeable!(),
            "
              ORDER BY o.business_id, o.device_id LIMIT $1)
             UNION ALL
             (SELECT ",
            wished!(),
            " FROM member v JOIN ownership o ON o.owner_node = v.node_id
                AND o.owner_inc < v.incarnation + CASE WHEN v.state = 'dead' THEN 1 ELSE 0 END
              LEFT JOIN tenant t USING (business_id)
              WHERE o.desired = 'online' AND ",
            placeable!(),
            " ORDER BY o.business_id, o.device_id LIMIT $1)
             ORDER BY business_id, device_id LIMIT $1"
        );
        let query = sqlx::query_as(sql).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<OwnershipRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        rows.into_iter().map(OwnershipRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        macro_rules! claim {
            ($owner:literal, $dead:literal, $reason:literal) => {
                concat!(
                    "WITH pick AS (SELECT o.business_id, o.device_id
                       FROM unnest($1::text[], $2::text[]) AS q(b, d)
                       JOIN ownership o ON o.business_id = q.b AND o.device_id = q.d
                       WHERE ", $owner, " AND o.desired = 'online' AND ", pin_allows!("o", "$3"), "
                       ORDER BY o.business_id, o.device_id FOR UPDATE OF o SKIP LOCKED),
                     won AS (UPDATE ownership d SET owner_node = $3, owner_inc = $4, epoch = ", mint!("d"), ",
                         owned_since = now()
                       FROM pick WHERE d.business_id = pick.business_id AND d.device_id = pick.device_id
                         AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $3 AND m.incarnation = $4
                                     AND m.state = 'active' AND NOT m.cordoned AND m.lease_until > now())
                         AND (SELECT takeover_blocked_until < now() FROM cluster_control)", $dead, "
                       RETURNING d.business_id, d.device_id, d.epoch),
                     logged AS (INSERT INTO ownership_log
                         (business_id, device_id, epoch, owner_node, owner_inc, reason, at)
                       SELECT business_id, device_id, epoch, $3, $4, '", $reason, "',
                         (extract(epoch FROM now()) * 1000)::bigint FROM won)
                     SELECT business_id, device_id, epoch FROM won ORDER BY business_id, device_id"
                )
            };
        }
        let free = claim!("o.owner_node IS NULL", "", "claim");
        let orphaned = claim!(
            "o.owner_node = $5 AND o.owner_inc = $6",
            " AND EXISTS (SELECT 1 FROM member v WHERE v.node_id = $5
                          AND (v.incarnation > $6 OR (v.incarnation = $6 AND v.state = 'dead')))",
            "take-over"
        );
        let (b, d) = columns(keys);
        let mut query = sqlx::query_as(if from.is_some() { orphaned } else { free })
            .bind(b)
            .bind(d)
            .bind(me.node.as_str())
            .bind(me.incarnation.0);
        if let Some(from) = from {
            query = query.bind(from.node.as_str()).bind(from.incarnation.0);
        }
        let won: Vec<GrantRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        won.into_iter().map(|row| row.read(me)).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        let sql = concat!(
            "SELECT ",
            wished!(),
            " FROM ownership o LEFT JOIN tenant t USING (business_id)
             WHERE o.owner_node = $1 AND o.owner_inc = $2 AND (SELECT roost_settled())
             ORDER BY o.business_id, o.device_id"
        );
        let query = sqlx::query_as(sql).bind(me.node.as_str()).bind(me.incarnation.0);
        let rows: Vec<OwnershipRow> = query.fetch_all(&self.read).await.map_err(unavailable)?;
        rows.into_iter().map(OwnershipRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn permit(&self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable> {
        let sql = concat!(
            "SELECT o.business_id, o.device_id, o.epoch, o.owner_node, o.owner_inc,
               (extract(epoch FROM n.lease_until - now()) * 1000)::bigint AS remaining
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[]) AS q(b, d, e, n, i)
             JOIN ownership o ON o.business_id = q.b AND o.device_id = q.d AND o.epoch = q.e
              AND o.owner_node = q.n AND o.owner_inc = q.i
             JOIN member n ON n.node_id = o.owner_node AND n.incarnation = o.owner_inc
             WHERE (SELECT roost_in_age($7))
               AND n.state <> 'dead' AND o.desired = 'online' AND n.lease_until > now() + ",
            span!(6)
        );
        let text = |of: fn(&Grant) -> &str| grants.iter().map(of).collect::<Vec<_>>();
        let query = sqlx::query_as(sql)
            .bind(text(|g| g.key.business_id.as_str()))
            .bind(text(|g| g.key.device_id.as_str()))
            .bind(grants.iter().map(|g| g.epoch.0).collect::<Vec<_>>())
            .bind(text(|g| g.life.node.as_str()))
            .bind(grants.iter().map(|g| g.life.incarnation.0).collect::<Vec<_>>())
            .bind(millis(margin))
            .bind(age.0);
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
             WHERE o.business_id = $1 AND o.device_id = $2 AND (SELECT roost_settled())"
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
