//! The statements of a write transaction on PostgreSQL.
//!
//! What must hold: the fence is `FOR SHARE` on the ownership rows in key order; a weaker lock, or none,
//! lets a stale write land (`ownership.md` section 3e, measured). Rows travel as arrays, one per
//! column, so the text of a statement never depends on how many there are.

use async_trait::async_trait;
use roost_actors::port::Sweep;
use roost_placement::ledger::Grant;
use roost_proto::id::{Age, DeviceKey};
use sqlx::{Postgres, Transaction};

use crate::directory::ASIDE;
use crate::store::fenced::{Appended, Rows, StatePut};
use crate::store::polls::VoteRow;
use crate::store::prepared::{QuarantineRow, UpdateRow};
use crate::store::rows::{HeadRow, MessageRow, SqlResult, StatusRow, select_messages};

/// An open transaction; rolled back when dropped.
pub(super) struct PgTx(pub(super) Transaction<'static, Postgres>);

fn column<T, C>(rows: &[T], of: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

fn tenants<'a, T>(rows: &'a [T], key: impl Fn(&'a T) -> &'a DeviceKey) -> Vec<&'a str> {
    rows.iter().map(|row| key(row).business_id.as_str()).collect()
}

fn devices<'a, T>(rows: &'a [T], key: impl Fn(&'a T) -> &'a DeviceKey) -> Vec<&'a str> {
    rows.iter().map(|row| key(row).device_id.as_str()).collect()
}

#[async_trait]
impl Rows for PgTx {
    async fn fence(&mut self, age: Age, grants: &[&Grant], wait: bool) -> SqlResult<Vec<i64>> {
        macro_rules! fence {
            ($mode:literal) => {
                concat!(
                    "SELECT q.at - 1 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
                       WITH ORDINALITY AS q(b, d, e, n, i, at)
                     JOIN ownership o ON o.business_id = q.b AND o.device_id = q.d AND o.epoch = q.e
                      AND o.owner_node = q.n AND o.owner_inc = q.i
                     WHERE (SELECT roost_in_age($6))
                     ORDER BY q.at FOR SHARE OF o", $mode
                )
            };
        }
        if wait {
            // A hand-off is over in a moment; whoever holds the row for longer holds up nobody else.
            let sql = "SELECT set_config('lock_timeout', '250ms', true)";
            sqlx::query(sql).execute(&mut *self.0).await?;
        }
        let sql = if wait { fence!("") } else { fence!(" SKIP LOCKED") };
        sqlx::query_scalar(sql)
            .bind(column(grants, |grant| grant.key.business_id.as_str()))
            .bind(column(grants, |grant| grant.key.device_id.as_str()))
            .bind(column(grants, |grant| grant.epoch.0))
            .bind(column(grants, |grant| grant.life.node.as_str()))
            .bind(column(grants, |grant| grant.life.incarnation.0))
            .bind(age.0)
            .fetch_all(&mut *self.0)
            .await
    }

    async fn heads(&mut self, keys: &[&DeviceKey], wait: bool) -> SqlResult<Vec<HeadRow>> {
        macro_rules! heads {
            ($mode:literal) => {
                concat!(
                    "SELECT h.business_id, h.device_id, h.last_seq, h.last_ordinal
                     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(b, d, at)
                     JOIN event_head h ON h.business_id = q.b AND h.device_id = q.d
                     ORDER BY q.at FOR UPDATE OF h",
                    $mode
                )
            };
        }
        let sql = if wait { heads!("") } else { heads!(" SKIP LOCKED") };
        let query = sqlx::query_as(sql).bind(tenants(keys, |key| key)).bind(devices(keys, |key| key));
        query.fetch_all(&mut *self.0).await
    }

    async fn known_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<Vec<i64>> {
        let sql = "SELECT q.at - 1 FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS q(b, d, k, at)
                   JOIN event_dedupe e ON e.business_id = q.b AND e.device_id = q.d AND e.digest = q.k";
        sqlx::query_scalar(sql)
            .bind(tenants(digests, |row| row.0))
            .bind(devices(digests, |row| row.0))
            .bind(column(digests, |row| row.1.to_vec()))
            .fetch_all(&mut *self.0)
            .await
    }

    async fn known_ids(&mut self, ids: &[(&DeviceKey, &str)]) -> SqlResult<Vec<i64>> {
        let sql = "SELECT q.at - 1 FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS q(b, d, id, at)
                   WHERE EXISTS (SELECT 1 FROM message m
                     WHERE m.business_id = q.b AND m.device_id = q.d AND m.whatsapp_id = q.id)";
        sqlx::query_scalar(sql)
            .bind(tenants(ids, |row| row.0))
            .bind(devices(ids, |row| row.0))
            .bind(column(ids, |row| row.1))
            .fetch_all(&mut *self.0)
            .await
    }

    async fn known_requests(&mut self, requests: &[(&DeviceKey, &str)]) -> SqlResult<Vec<MessageRow>> {
        let sql = select_messages!(
            "FROM unnest($1::text[], $2::text[], $3::text[]) AS q(b, d, r)
                   JOIN message m ON m.business_id = q.b AND m.device_id = q.d AND m.request_id = q.r"
        );
        sqlx::query_as(sql)
            .bind(tenants(requests, |row| row.0))
            .bind(devices(requests, |row| row.0))
            .bind(column(requests, |row| row.1))
            .fetch_all(&mut *self.0)
            .await
    }

    async fn keep_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<()> {
        let sql = "INSERT INTO event_dedupe (business_id, device_id, digest)
                   SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])";
        sqlx::query(sql)
            .bind(tenants(digests, |row| row.0))
            .bind(devices(digests, |row| row.0))
            .bind(column(digests, |row| row.1.to_vec()))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn append(&mut self, events: &[Appended<'_>]) -> SqlResult<()> {
        // The commit time is that of the statement, not of the transaction's beginning: this
        // transaction holds the head, so commit times never fall within a device.
        let sql = "WITH q AS MATERIALIZED (SELECT * FROM
                     unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[],
                            $7::bytea[], $8::bytea[]) AS x(b, d, seq, epoch, occurred, origin, payload, digest)),
                   known AS (INSERT INTO event_dedupe (business_id, device_id, digest) SELECT b, d, digest FROM q)
                   INSERT INTO event (business_id, device_id, seq, epoch, occurred, origin, payload, committed, age)
                   SELECT b, d, seq, epoch, occurred, origin, payload,
                     (extract(epoch FROM statement_timestamp()) * 1000)::bigint,
                     (SELECT cluster_epoch FROM cluster_control) FROM q";
        sqlx::query(sql)
            .bind(tenants(events, |event| event.key))
            .bind(devices(events, |event| event.key))
            .bind(column(events, |event| event.seq))
            .bind(column(events, |event| event.epoch))
            .bind(column(events, |event| event.occurred))
            .bind(column(events, |event| event.origin))
            .bind(events.iter().map(|event| event.payload.as_slice()).collect::<Vec<_>>())
            .bind(column(events, |event| event.digest.to_vec()))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn set_heads(&mut self, heads: &[HeadRow]) -> SqlResult<()> {
        let sql = "UPDATE event_head h SET last_seq = q.seq, last_ordinal = q.ordinal,
                     last_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint
                   FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS q(b, d, seq, ordinal)
                   WHERE h.business_id = q.b AND h.device_id = q.d";
        sqlx::query(sql)
            .bind(heads.iter().map(|head| head.business_id.as_str()).collect::<Vec<_>>())
            .bind(heads.iter().map(|head| head.device_id.as_str()).collect::<Vec<_>>())
            .bind(column(heads, |head| head.last_seq))
            .bind(column(heads, |head| head.last_ordinal))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn insert_messages(&mut self, messages: &[MessageRow]) -> SqlResult<()> {
        let sql = "INSERT INTO message (business_id, device_id, message_id, request_id, whatsapp_id, chat,
                                        request_hash, content, ordinal, accepted, state, expires, once, rank)
                   SELECT x.*, 1 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::bytea[], $8::bytea[], $9::bigint[], $10::bigint[], $11::smallint[], $12::bigint[],
                     $13::boolean[]) AS x";
        fn text(rows: &[MessageRow], of: fn(&MessageRow) -> &String) -> Vec<&str> {
            rows.iter().map(|row| of(row).as_str()).collect()
        }
        sqlx::query(sql)
            .bind(text(messages, |m| &m.business_id))
            .bind(text(messages, |m| &m.device_id))
            .bind(text(messages, |m| &m.message_id))
            .bind(text(messages, |m| &m.request_id))
            .bind(text(messages, |m| &m.whatsapp_id))
            .bind(text(messages, |m| &m.chat))
            .bind(messages.iter().map(|m| m.request_hash.as_slice()).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.content.as_slice()).collect::<Vec<_>>())
            .bind(column(messages, |m| m.ordinal))
            .bind(column(messages, |m| m.accepted))
            .bind(column(messages, |m| m.state))
            .bind(column(messages, |m| m.expires))
            .bind(column(messages, |m| m.once))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn update_messages(&mut self, updates: &[(&DeviceKey, UpdateRow)]) -> SqlResult<()> {
        let sql = "UPDATE message m SET
                     state = CASE WHEN q.rank > m.rank THEN q.state ELSE m.state END,
                     rank = greatest(q.rank, m.rank),
                     wire = coalesce(q.wire, m.wire),
                     failure = coalesce(q.failure, m.failure),
                     sent = coalesce(m.sent, q.sent),
                     server_ack = coalesce(m.server_ack, q.server_ack),
                     delivered = coalesce(m.delivered, q.delivered),
                     read_at = coalesce(m.read_at, q.read_at)
                   FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::smallint[], $6::bytea[],
                               $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
                     AS q(b, d, id, state, rank, wire, failure, sent, server_ack, delivered, read_at)
                   WHERE m.business_id = q.b AND m.device_id = q.d AND m.message_id = q.id";
        sqlx::query(sql)
            .bind(tenants(updates, |row| row.0))
            .bind(devices(updates, |row| row.0))
            .bind(updates.iter().map(|row| row.1.message_id.as_str()).collect::<Vec<_>>())
            .bind(column(updates, |row| row.1.state))
            .bind(column(updates, |row| row.1.rank))
            .bind(updates.iter().map(|row| row.1.wire.as_deref()).collect::<Vec<_>>())
            .bind(updates.iter().map(|row| row.1.failure.as_deref()).collect::<Vec<_>>())
            .bind(column(updates, |row| row.1.sent))
            .bind(column(updates, |row| row.1.server_ack))
            .bind(column(updates, |row| row.1.delivered))
            .bind(column(updates, |row| row.1.read_at))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn put_state(&mut self, puts: &[StatePut<'_>]) -> SqlResult<()> {
        let sql = "INSERT INTO device_state (business_id, device_id, kind, name, value)
                   SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
                   ON CONFLICT (business_id, device_id, kind, name) DO UPDATE SET value = excluded.value";
        sqlx::query(sql)
            .bind(tenants(puts, |put| put.key))
            .bind(devices(puts, |put| put.key))
            .bind(column(puts, |put| put.kind))
            .bind(column(puts, |put| put.name))
            .bind(column(puts, |put| put.value))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn delete_state(&mut self, deletes: &[StatePut<'_>]) -> SqlResult<()> {
        let sql = "DELETE FROM device_state s
                   USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS q(b, d, k, n)
                   WHERE s.business_id = q.b AND s.device_id = q.d AND s.kind = q.k AND s.name = q.n";
        sqlx::query(sql)
            .bind(tenants(deletes, |row| row.key))
            .bind(devices(deletes, |row| row.key))
            .bind(column(deletes, |row| row.kind))
            .bind(column(deletes, |row| row.name))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn sweep(&mut self, key: &DeviceKey, sweep: Sweep) -> SqlResult<u64> {
        crate::store::swept::sweep!(&mut *self.0, key, sweep)
    }

    async fn put_votes(&mut self, votes: &[(&DeviceKey, &VoteRow)]) -> SqlResult<()> {
        let sql = "INSERT INTO poll_vote AS v (business_id, device_id, ballot, voter, cast_at, said)
                   SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bigint[], $6::bytea[])
                   ON CONFLICT (business_id, device_id, ballot, voter)
                   DO UPDATE SET cast_at = excluded.cast_at, said = excluded.said
                   WHERE v.cast_at <= excluded.cast_at";
        sqlx::query(sql)
            .bind(tenants(votes, |row| row.0))
            .bind(devices(votes, |row| row.0))
            .bind(votes.iter().map(|row| row.1.ballot.as_slice()).collect::<Vec<_>>())
            .bind(votes.iter().map(|row| row.1.voter.as_str()).collect::<Vec<_>>())
            .bind(column(votes, |row| row.1.cast_at))
            .bind(votes.iter().map(|row| row.1.said.as_slice()).collect::<Vec<_>>())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn put_aside(&mut self, stanzas: &[(&DeviceKey, &QuarantineRow)]) -> SqlResult<()> {
        let sql = "INSERT INTO quarantine (business_id, device_id, digest, raw, reason, at)
                   SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::bigint[])
                   ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(tenants(stanzas, |row| row.0))
            .bind(devices(stanzas, |row| row.0))
            .bind(column(stanzas, |row| row.1.digest.to_vec()))
            .bind(column(stanzas, |row| row.1.raw.as_slice()))
            .bind(column(stanzas, |row| row.1.reason.as_str()))
            .bind(column(stanzas, |row| row.1.at))
            .execute(&mut *self.0)
            .await?;
        let sql = "DELETE FROM quarantine q
                   USING (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])) AS k(b, d),
                     LATERAL (SELECT digest FROM quarantine WHERE business_id = k.b AND device_id = k.d
                              ORDER BY at DESC, digest OFFSET $3) AS old
                   WHERE q.business_id = k.b AND q.device_id = k.d AND q.digest = old.digest";
        sqlx::query(sql)
            .bind(tenants(stanzas, |row| row.0))
            .bind(devices(stanzas, |row| row.0))
            .bind(i64::from(ASIDE))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn set_status(&mut self, rows: &[(&DeviceKey, &StatusRow)]) -> SqlResult<()> {
        let sql =
            "UPDATE device v SET status_state = q.state, status_reason = q.reason, status_code = q.code,
                     status_pn = q.pn, status_lid = q.lid, status_at = q.at,
                     status_health = q.health, status_push_name = q.push_name
                   FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bigint[], $6::text[],
                               $7::text[], $8::bigint[], $9::bytea[], $10::text[])
                               AS q(b, d, state, reason, code, pn, lid, at, health, push_name)
                   WHERE v.business_id = q.b AND v.device_id = q.d";
        sqlx::query(sql)
            .bind(tenants(rows, |row| row.0))
            .bind(devices(rows, |row| row.0))
            .bind(column(rows, |row| row.1.status_state))
            .bind(column(rows, |row| row.1.status_reason.as_deref()))
            .bind(column(rows, |row| row.1.status_code))
            .bind(column(rows, |row| row.1.status_pn.as_deref()))
            .bind(column(rows, |row| row.1.status_lid.as_deref()))
            .bind(column(rows, |row| row.1.status_at))
            .bind(column(rows, |row| row.1.status_health.as_deref()))
            .bind(column(rows, |row| row.1.status_push_name.as_deref()))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> SqlResult<()> {
        self.0.commit().await
    }
}
