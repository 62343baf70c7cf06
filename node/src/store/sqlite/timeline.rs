//! What the heartbeat on SQLite does besides renewing, and which posted devices stand.
//!
//! What must hold: the same as on PostgreSQL for gaps and for a clock that went back. A file has no
//! time-line: its cluster epoch is always 0, and a posted epoch never wins against a row.

use roost_placement::ledger::{Posted, Timing};
use roost_proto::id::Life;
use serde_json::{Value, json};

use super::Lite;
use super::ledger::{Tx, now};
use crate::store::rows::{AttachedRow, SqlResult, hold_off, millis};

/// Runs in the transaction of a heartbeat, after the own row was renewed.
pub(super) async fn look_around(tx: &mut Tx, life: &Life, timing: &Timing) -> SqlResult<()> {
    // A gap of everybody: the own renewals begin anew with this one, and nobody else has beaten yet. It is over
    // when everybody has renewed for half a lease.
    let sql = concat!(
        "WITH others AS (SELECT count(*) AS living, count(*) FILTER (WHERE lease_until < ",
        now!(),
        ") AS lapsed,
             count(*) FILTER (WHERE lease_until >= ",
        now!(),
        " AND 2 * (lease_until - lease_since) >= 3 * granted) AS back
           FROM member WHERE node_id <> $1 AND state <> 'dead')
         UPDATE cluster_control SET hold_off_until = iif(others.lapsed > 0, ",
        now!(),
        " + $2, 0)
         FROM others, member me WHERE me.node_id = $1
           AND ((me.lease_since + me.granted = me.lease_until
                 AND others.living > 0 AND others.lapsed = others.living)
             OR (others.back = others.living AND 2 * (me.lease_until - me.lease_since) >= 3 * me.granted
                 AND hold_off_until > ",
        now!(),
        "))"
    );
    sqlx::query(sql).bind(life.node.as_str()).bind(millis(hold_off(timing))).execute(&mut **tx).await?;
    let sql = concat!(
        "UPDATE member SET lease_until = ",
        now!(),
        " + granted WHERE node_id <> $1 AND state <> 'dead' AND lease_until > ",
        now!(),
        " + 2 * granted"
    );
    sqlx::query(sql).bind(life.node.as_str()).execute(&mut **tx).await?;
    Ok(())
}

impl Lite {
    pub(super) async fn attach(&self, me: &Life, posts: &[Posted]) -> SqlResult<Vec<AttachedRow>> {
        let sql = "SELECT o.business_id, o.device_id, o.epoch, coalesce(h.last_seq, 0) < q.value ->> 3
                     OR coalesce(h.last_ordinal, 0) < q.value ->> 4 AS behind
                   FROM json_each($1) q
                   JOIN ownership o ON o.business_id = q.value ->> 0 AND o.device_id = q.value ->> 1
                     AND o.epoch = q.value ->> 2
                   LEFT JOIN event_head h ON h.business_id = o.business_id AND h.device_id = o.device_id
                   WHERE o.owner_node = $2 AND o.owner_inc = $3 AND o.desired = 'online'";
        let rows = posts.iter().map(|post| {
            let (grant, key) = (&post.grant, &post.grant.key);
            json!([
                key.business_id.as_str(),
                key.device_id.as_str(),
                grant.epoch.0,
                post.head.0,
                post.accepted
            ])
        });
        let query = sqlx::query_as(sql).bind(Value::Array(rows.collect()).to_string());
        query.bind(me.node.as_str()).bind(me.incarnation.0).fetch_all(&self.read).await
    }
}
