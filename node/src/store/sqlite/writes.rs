//! The statements of a write transaction on SQLite.
//!
//! What must hold: the transaction began with `BEGIN IMMEDIATE`, which excludes every other writer, so
//! a plain read of an epoch or a head is as good as a row lock (`ownership.md`, "On SQLite"). Rows
//! travel as one JSON array per statement, because each statement costs a thread hop; bytes travel in
//! hexadecimal.

use std::collections::BTreeSet;

use async_trait::async_trait;
use roost_actors::port::Sweep;
use roost_placement::ledger::Grant;
use roost_proto::id::{Age, DeviceKey};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use crate::directory::ASIDE;
use crate::store::fenced::{Appended, Rows, StatePut};
use crate::store::polls::VoteRow;
use crate::store::prepared::{QuarantineRow, UpdateRow};
use crate::store::rows::{HeadRow, MessageRow, SqlResult, StatusRow, select_messages};

/// An open `BEGIN IMMEDIATE` transaction; rolled back when dropped.
pub(super) struct LiteTx(pub(super) Transaction<'static, Sqlite>);

fn array<T>(rows: &[T], row: impl Fn(&T) -> Value) -> String {
    Value::Array(rows.iter().map(row).collect()).to_string()
}

fn keys(keys: &[&DeviceKey]) -> String {
    array(keys, |key| json!([key.business_id.as_str(), key.device_id.as_str()]))
}

impl LiteTx {
    async fn run(&mut self, sql: &'static str, rows: String) -> SqlResult<()> {
        sqlx::query(sql).bind(rows).execute(&mut *self.0).await?;
        Ok(())
    }
}

#[async_trait]
impl Rows for LiteTx {
    async fn fence(&mut self, _age: Age, grants: &[&Grant], _wait: bool) -> SqlResult<Vec<i64>> {
        let rows = array(grants, |grant| {
            let (key, life) = (&grant.key, &grant.life);
            let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
            json!([b, d, grant.epoch.0, life.node.as_str(), life.incarnation.0])
        });
        let sql = "SELECT q.key FROM json_each($1) q JOIN ownership o
                     ON o.business_id = q.value ->> 0 AND o.device_id = q.value ->> 1
                    AND o.epoch = q.value ->> 2
                    AND o.owner_node = q.value ->> 3 AND o.owner_inc = q.value ->> 4";
        sqlx::query_scalar(sql).bind(rows).fetch_all(&mut *self.0).await
    }

    async fn heads(&mut self, wanted: &[&DeviceKey], _wait: bool) -> SqlResult<Vec<HeadRow>> {
        let sql = "SELECT h.business_id, h.device_id, h.last_seq, h.last_ordinal
                   FROM json_each($1) q JOIN event_head h
                     ON h.business_id = q.value ->> 0 AND h.device_id = q.value ->> 1";
        sqlx::query_as(sql).bind(keys(wanted)).fetch_all(&mut *self.0).await
    }

    async fn known_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<Vec<i64>> {
        let rows = array(digests, |(key, digest)| {
            json!([key.business_id.as_str(), key.device_id.as_str(), hex::encode(digest)])
        });
        let sql = "SELECT q.key FROM json_each($1) q JOIN event_dedupe e
                     ON e.business_id = q.value ->> 0 AND e.device_id = q.value ->> 1
                    AND e.digest = unhex(q.value ->> 2)";
        sqlx::query_scalar(sql).bind(rows).fetch_all(&mut *self.0).await
    }

    async fn known_ids(&mut self, ids: &[(&DeviceKey, &str)]) -> SqlResult<Vec<i64>> {
        let rows = array(ids, |(key, id)| json!([key.business_id.as_str(), key.device_id.as_str(), id]));
        let sql = "SELECT q.key FROM json_each($1) q WHERE EXISTS
                     (SELECT 1 FROM message m WHERE m.business_id = q.value ->> 0 AND m.device_id = q.value ->> 1
                      AND m.whatsapp_id = q.value ->> 2)";
        sqlx::query_scalar(sql).bind(rows).fetch_all(&mut *self.0).await
    }

    async fn known_requests(&mut self, requests: &[(&DeviceKey, &str)]) -> SqlResult<Vec<MessageRow>> {
        let rows = array(requests, |(key, request)| {
            json!([key.business_id.as_str(), key.device_id.as_str(), request])
        });
        let sql = select_messages!(
            "FROM json_each($1) q JOIN message m
                     ON m.business_id = q.value ->> 0 AND m.device_id = q.value ->> 1
                    AND m.request_id = q.value ->> 2"
        );
        sqlx::query_as(sql).bind(rows).fetch_all(&mut *self.0).await
    }

    async fn append(&mut self, events: &[Appended<'_>]) -> SqlResult<()> {
        let rows = array(events, |event| {
            let (b, d) = (event.key.business_id.as_str(), event.key.device_id.as_str());
            let payload = hex::encode(&event.payload);
            json!([b, d, event.seq, event.epoch, event.occurred, event.origin, payload])
        });
        let sql = "INSERT INTO event
                     (business_id, device_id, seq, epoch, occurred, origin, payload, committed)
                   SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                          unhex(value ->> 6), CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   FROM json_each($1)";
        self.run(sql, rows).await?;
        let digests: Vec<_> = events.iter().map(|event| (event.key, event.digest)).collect();
        self.keep_digests(&digests).await
    }

    async fn keep_digests(&mut self, digests: &[(&DeviceKey, [u8; 16])]) -> SqlResult<()> {
        let rows = array(digests, |(key, digest)| {
            json!([key.business_id.as_str(), key.device_id.as_str(), hex::encode(digest)])
        });
        let sql = "INSERT INTO event_dedupe (business_id, device_id, digest)
                   SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM json_each($1)";
        self.run(sql, rows).await
    }

    async fn set_heads(&mut self, heads: &[HeadRow]) -> SqlResult<()> {
        let rows =
            array(heads, |head| json!([head.business_id, head.device_id, head.last_seq, head.last_ordinal]));
        let sql = "UPDATE event_head SET last_seq = q.value ->> 2, last_ordinal = q.value ->> 3,
                     last_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   FROM json_each($1) q
                   WHERE business_id = q.value ->> 0 AND device_id = q.value ->> 1";
        self.run(sql, rows).await
    }

    async fn insert_messages(&mut self, messages: &[MessageRow]) -> SqlResult<()> {
        let rows = array(messages, |m| {
            let (hash, content) = (hex::encode(&m.request_hash), hex::encode(&m.content));
            let ids = [&m.business_id, &m.device_id, &m.message_id, &m.request_id, &m.whatsapp_id, &m.chat];
            json!([
                ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], hash, content, m.ordinal, m.accepted,
                m.state, m.expires, m.once
            ])
        });
        let sql = "INSERT INTO message (business_id, device_id, message_id, request_id, whatsapp_id, chat,
                                        request_hash, content, ordinal, accepted, state, expires, once, rank)
                   SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                          unhex(value ->> 6), unhex(value ->> 7), value ->> 8, value ->> 9, value ->> 10, value ->> 11,
                          value ->> 12, 1
                   FROM json_each($1)";
        self.run(sql, rows).await
    }

    async fn update_messages(&mut self, updates: &[(&DeviceKey, UpdateRow)]) -> SqlResult<()> {
        let rows = array(updates, |(key, u)| {
            let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
            let wire = u.wire.as_ref().map(hex::encode);
            let times = [u.sent, u.server_ack, u.delivered, u.read_at];
            json!([
                b,
                d,
                u.message_id,
                u.state,
                u.rank,
                wire,
                u.failure,
                times[0],
                times[1],
                times[2],
                times[3]
            ])
        });
        let sql = "UPDATE message AS m SET
                     state = iif(q.value ->> 4 > m.rank, q.value ->> 3, m.state),
                     rank = max(q.value ->> 4, m.rank),
                     wire = coalesce(unhex(q.value ->> 5), m.wire),
                     failure = coalesce(q.value ->> 6, m.failure),
                     sent = coalesce(m.sent, q.value ->> 7),
                     server_ack = coalesce(m.server_ack, q.value ->> 8),
                     delivered = coalesce(m.delivered, q.value ->> 9),
                     read_at = coalesce(m.read_at, q.value ->> 10)
                   FROM json_each($1) q
                   WHERE m.business_id = q.value ->> 0 AND m.device_id = q.value ->> 1
                     AND m.message_id = q.value ->> 2";
        self.run(sql, rows).await
    }

    async fn put_state(&mut self, puts: &[StatePut<'_>]) -> SqlResult<()> {
        let rows = array(puts, |put| {
            let (b, d) = (put.key.business_id.as_str(), put.key.device_id.as_str());
            json!([b, d, put.kind, put.name, hex::encode(put.value)])
        });
        let sql = "INSERT INTO device_state (business_id, device_id, kind, name, value)
                   SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4)
                   FROM json_each($1) WHERE true
                   ON CONFLICT (business_id, device_id, kind, name) DO UPDATE SET value = excluded.value";
        self.run(sql, rows).await
    }

    async fn delete_state(&mut self, deletes: &[StatePut<'_>]) -> SqlResult<()> {
        let rows = array(deletes, |del| {
            json!([del.key.business_id.as_str(), del.key.device_id.as_str(), del.kind, del.name])
        });
        let sql = "DELETE FROM device_state WHERE (business_id, device_id, kind, name) IN
                     (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1))";
        self.run(sql, rows).await
    }

    async fn sweep(&mut self, key: &DeviceKey, sweep: Sweep) -> SqlResult<u64> {
        crate::store::swept::sweep!(&mut *self.0, key, sweep)
    }

    async fn put_votes(&mut self, votes: &[(&DeviceKey, &VoteRow)]) -> SqlResult<()> {
        let rows = array(votes, |(key, row)| {
            let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
            json!([b, d, hex::encode(&row.ballot), row.voter, row.cast_at, hex::encode(&row.said)])
        });
        let sql = "INSERT INTO poll_vote AS v (business_id, device_id, ballot, voter, cast_at, said)
                   SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4, unhex(value ->> 5)
                   FROM json_each($1) WHERE true
                   ON CONFLICT (business_id, device_id, ballot, voter)
                   DO UPDATE SET cast_at = excluded.cast_at, said = excluded.said
                   WHERE v.cast_at <= excluded.cast_at";
        self.run(sql, rows).await
    }

    async fn put_aside(&mut self, stanzas: &[(&DeviceKey, &QuarantineRow)]) -> SqlResult<()> {
        let rows = array(stanzas, |(key, row)| {
            let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
            json!([b, d, hex::encode(row.digest), hex::encode(&row.raw), row.reason, row.at])
        });
        let sql = "INSERT INTO quarantine (business_id, device_id, digest, raw, reason, at)
                   SELECT value ->> 0, value ->> 1, unhex(value ->> 2), unhex(value ->> 3), value ->> 4,
                          value ->> 5
                   FROM json_each($1) WHERE true ON CONFLICT DO NOTHING";
        self.run(sql, rows).await?;
        let keys: BTreeSet<&DeviceKey> = stanzas.iter().map(|(key, _)| *key).collect();
        for key in keys {
            let sql = "DELETE FROM quarantine WHERE business_id = $1 AND device_id = $2 AND digest IN
                         (SELECT digest FROM quarantine WHERE business_id = $1 AND device_id = $2
                          ORDER BY at DESC, digest LIMIT -1 OFFSET $3)";
            let query = sqlx::query(sql).bind(key.business_id.as_str()).bind(key.device_id.as_str());
            query.bind(i64::from(ASIDE)).execute(&mut *self.0).await?;
        }
        Ok(())
    }

    async fn set_status(&mut self, rows: &[(&DeviceKey, &StatusRow)]) -> SqlResult<()> {
        let rows = array(rows, |(key, s)| {
            let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
            let texts = [&s.status_reason, &s.status_pn, &s.status_lid, &s.status_push_name];
            let health = s.status_health.as_ref().map(hex::encode);
            let (state, code) = (s.status_state, s.status_code);
            json!([b, d, state, texts[0], code, texts[1], texts[2], s.status_at, health, texts[3]])
        });
        let sql = "UPDATE device SET status_state = q.value ->> 2, status_reason = q.value ->> 3,
                     status_code = q.value ->> 4, status_pn = q.value ->> 5, status_lid = q.value ->> 6,
                     status_at = q.value ->> 7, status_health = unhex(q.value ->> 8),
                     status_push_name = q.value ->> 9
                   FROM json_each($1) q
                   WHERE business_id = q.value ->> 0 AND device_id = q.value ->> 1";
        self.run(sql, rows).await
    }

    async fn commit(self: Box<Self>) -> SqlResult<()> {
        self.0.commit().await
    }
}
