//! The heartbeat on PostgreSQL, with the rarities that it meets, and what follows a lost tail.
//!
//! What must hold: the one statement of a heartbeat renews, looks at everybody and, when the whole cluster
//! had a gap or the clock went back, deals with it; on a time-line that nobody has seen yet, one statement
//! of one node makes the cluster epoch grow and blocks take-overs, before any epoch is minted there
//! (`roost_settled` in the schema); a posted epoch wins against a row only while take-overs are blocked and
//! only when it is the higher one.

use roost_placement::egress::Report;
use roost_placement::ledger::{Beaten, Posted, Timing, Unavailable, View};
use roost_proto::id::Life;

use super::Postgres;
use crate::store::rows::{AttachedRow, MemberRow, SqlResult, hold_off, millis, unavailable, view};

impl Postgres {
    pub(super) async fn renew(
        &self,
        life: &Life,
        said: &Report,
        timing: &Timing,
    ) -> Result<Beaten, Unavailable> {
        let mut rows = self.try_renew(life, said, timing).await.map_err(unavailable)?;
        let mut lapsed = rows.iter().any(|row| row.lapsed);
        if rows.first().is_some_and(|row| !row.settled) {
            self.follow(timing).await.map_err(unavailable)?;
            rows = self.try_renew(life, said, timing).await.map_err(unavailable)?;
            lapsed |= rows.iter().any(|row| row.lapsed);
        }
        if rows.is_empty() {
            return Ok(Beaten::Dead);
        }
        let members = rows.into_iter().map(|row| row.member).collect();
        let view = view(members).map_err(unavailable)?;
        Ok(Beaten::Renewed(View { lapsed, ..view }))
    }

    /// Everybody who is not dead, if this life is not.
    async fn try_renew(&self, life: &Life, said: &Report, timing: &Timing) -> SqlResult<Vec<SettledRow>> {
        // A gap of everybody: the own renewals begin anew with this one, and nobody else has beaten yet. Its end is
        // no single beat of each: statements that lay in connections through the gap are carried out all at once
        // after it, whether or not those who sent them are back.
        // Who is late is cut under a lock that is not waited for, or two heartbeats wait for each other.
        let sql = concat!(
            "WITH up AS (UPDATE member SET
                 lease_since = CASE WHEN lease_until < now() OR lease_since > now() THEN now()
                               ELSE lease_since END,
                 lease_until = now() + ", span!(3), ", granted = $3, beats = beats + 1, owned = $4,
                 connected = $6, failing = $7, heard = $8, cut_off = $9
               WHERE node_id = $1 AND incarnation = $2 AND state <> 'dead'
               RETURNING node_id, lease_since, lease_until, beats, owned, state, cut_off),
             others AS (SELECT count(*) AS living, count(*) FILTER (WHERE lease_until < now()) AS lapsed,
                 count(*) FILTER (WHERE lease_until >= now()
                   AND 2 * (lease_until - lease_since) >= 3 * granted * interval '1 millisecond') AS back
               FROM member WHERE node_id <> $1 AND state <> 'dead'),
             held AS (UPDATE cluster_control SET hold_off_until =
                 CASE WHEN others.lapsed > 0 THEN now() + ", span!(5), " ELSE '-infinity' END
               FROM up, others
               WHERE (up.lease_since = now() AND others.living > 0 AND others.lapsed = others.living)
                 OR (others.back = others.living AND 2 * (up.lease_until - up.lease_since) >= 3 * ", span!(3), "
                   AND hold_off_until > now())),
             late AS (SELECT node_id FROM member
               WHERE node_id <> $1 AND state <> 'dead' AND EXISTS (SELECT 1 FROM up)
                 AND lease_until > now() + 2 * granted * interval '1 millisecond' FOR UPDATE SKIP LOCKED),
             cut AS (UPDATE member m SET lease_until = now() + m.granted * interval '1 millisecond'
               FROM late WHERE m.node_id = late.node_id)
             SELECT c.time_line = roost_time_line() AS settled,
               coalesce(up.lease_since = now(), false) AS lapsed, c.view_epoch, c.cluster_epoch,
               c.placement_frozen AS frozen, c.max_version, n.cordoned,
               CASE WHEN c.takeover_blocked_until > now() THEN (extract(epoch FROM
                 least(c.takeover_blocked_until, now() + interval '1 hour') - now()) * 1000)::bigint + 1
               ELSE 0 END AS blocked,
               n.node_id, n.incarnation, n.address, n.zone, n.weight, n.version,
               coalesce(up.state, n.state) AS state,
               greatest(0, (extract(epoch FROM coalesce(up.lease_until, n.lease_until) - now()) * 1000)::bigint)
                 AS remaining,
               coalesce(up.beats, n.beats) AS beats, coalesce(up.owned, n.owned) AS owned,
               n.connected, n.failing, n.heard, coalesce(up.cut_off, n.cut_off) AS cut_off
             FROM cluster_control c CROSS JOIN member n LEFT JOIN up ON up.node_id = n.node_id
             WHERE n.state <> 'dead' AND EXISTS (SELECT 1 FROM up) ORDER BY n.node_id"
        );
        let query = sqlx::query_as(sql).bind(life.node.as_str()).bind(life.incarnation.0);
        let query = query.bind(millis(timing.ttl)).bind(i64::from(said.owned)).bind(millis(hold_off(timing)));
        let query = query.bind(i64::from(said.reach.connected)).bind(i64::from(said.reach.failing));
        let query = query.bind(said.reach.heard.map(millis)).bind(said.cut_off);
        query.fetch_all(&self.read).await
    }

    /// Goes over to a time-line that nobody has seen yet. Its number counts the failovers: an epoch that was minted on
    /// one of which nothing is left is not minted again.
    pub(super) async fn follow(&self, timing: &Timing) -> SqlResult<()> {
        let sql = concat!(
            "UPDATE cluster_control SET time_line = roost_time_line(), cluster_epoch = greatest(cluster_epoch + 1,
                 CASE WHEN roost_time_line() ~ '^[0-9A-F]{8}$'
                 THEN ('x' || roost_time_line())::bit(32)::bigint - 1 END),
               takeover_blocked_until = greatest(takeover_blocked_until, now() + ",
            span!(1),
            "), view_epoch = view_epoch + 1
             WHERE time_line <> roost_time_line() RETURNING cluster_epoch"
        );
        let query = sqlx::query_scalar(sql).bind(millis(timing.quarantine()));
        let grown: Option<i64> = query.fetch_optional(&self.read).await?;
        if let Some(cluster_epoch) = grown {
            tracing::error!(
                cluster_epoch,
                "the database is on another time-line: what was committed last may be lost"
            );
        }
        Ok(())
    }

    pub(super) async fn attach(&self, me: &Life, posts: &[Posted]) -> SqlResult<Vec<AttachedRow>> {
        let sql = concat!(
            "WITH pick AS (SELECT o.business_id, o.device_id, q.e,
                 o.owner_node IS NOT DISTINCT FROM $5 AND o.owner_inc IS NOT DISTINCT FROM $6 AND o.epoch = q.e
                   AS stands,
                 coalesce((SELECT h.last_seq < q.h OR h.last_ordinal < q.a FROM event_head h
                           WHERE h.business_id = o.business_id AND h.device_id = o.device_id),
                          greatest(q.h, q.a) > 0) AS behind
               FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $7::bigint[]) AS q(b, d, e, h, a)
               JOIN ownership o ON o.business_id = q.b AND o.device_id = q.d
               WHERE o.epoch <= q.e AND o.desired = 'online' AND (SELECT roost_settled())
               ORDER BY o.business_id, o.device_id FOR UPDATE OF o),
             won AS (UPDATE ownership d SET owner_node = $5, owner_inc = $6, epoch = ", mint!("d"), ",
                 owned_since = now()
               FROM pick WHERE d.business_id = pick.business_id AND d.device_id = pick.device_id
                 AND d.epoch < pick.e
                 AND EXISTS (SELECT 1 FROM member m WHERE m.node_id = $5 AND m.incarnation = $6
                             AND m.state <> 'dead' AND m.lease_until > now())
                 AND (SELECT takeover_blocked_until > now() FROM cluster_control)
               RETURNING d.business_id, d.device_id, d.epoch),
             logged AS (INSERT INTO ownership_log
                 (business_id, device_id, epoch, owner_node, owner_inc, reason, at)
               SELECT business_id, device_id, epoch, $5, $6, 're-attach',
                 (extract(epoch FROM now()) * 1000)::bigint FROM won)
             SELECT business_id, device_id, e AS epoch, behind FROM pick WHERE stands
             UNION ALL SELECT business_id, device_id, epoch, true FROM won"
        );
        let text = |of: fn(&Posted) -> &str| posts.iter().map(of).collect::<Vec<_>>();
        sqlx::query_as(sql)
            .bind(text(|post| post.grant.key.business_id.as_str()))
            .bind(text(|post| post.grant.key.device_id.as_str()))
            .bind(posts.iter().map(|post| post.grant.epoch.0).collect::<Vec<_>>())
            .bind(posts.iter().map(|post| post.head.0).collect::<Vec<_>>())
            .bind(me.node.as_str())
            .bind(me.incarnation.0)
            .bind(posts.iter().map(|post| post.accepted).collect::<Vec<_>>())
            .fetch_all(&self.read)
            .await
    }
}

/// A member, beside whether the time-line is one that the cluster has seen.
#[derive(sqlx::FromRow)]
struct SettledRow {
    settled: bool,
    /// It is the row of who beats, whose lease had run out.
    lapsed: bool,
    #[sqlx(flatten)]
    member: MemberRow,
}
