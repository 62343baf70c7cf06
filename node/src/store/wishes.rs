//! What operators wish of placement, in the database: pins, spread tenants, cordons, the freeze, the highest version; and the
//! survey that plans are made of. Written once for both dialects.
//!
//! What must hold: a change bumps the view epoch in its own transaction, so that every node hears of it
//! with its next heartbeat; the predicate of a pin is the same text in every statement that gives a
//! device to a node. Nothing here changes an owner.

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_placement::wish::{Pin, PinMode, Spreading, Surveyed};
use roost_proto::id::{DeviceKey, Life, UnixMillis};

use super::rows::{BadRow, OwnershipRow, SqlResult, id, span, unavailable};

/// The statements of an adapter. `(b, d)` is the key of a device.
#[async_trait]
pub(super) trait Wishes: Send + Sync {
    /// What a plan looks at. An empty node: everybody's.
    async fn survey_rows(
        &self,
        of: (&str, i64),
        after: (&str, &str),
        limit: i64,
    ) -> SqlResult<Vec<SurveyRow>>;
    /// A pin as node and mode; `None` removes it. `false` when there is no such device.
    async fn set_pin(&self, b: &str, d: &str, pin: Option<(&str, &str)>) -> SqlResult<bool>;
    async fn set_spread(&self, tenant: &str, spread: &str) -> SqlResult<bool>;
    async fn member_state(&self, node: &str) -> SqlResult<Option<String>>;
    /// Devices that are wanted online and that nobody living holds: all, and those that require a node which cannot
    /// take them.
    async fn unowned(&self) -> SqlResult<(i64, i64)>;
    async fn set_cordoned(&self, node: &str, cordoned: bool) -> SqlResult<bool>;
    async fn set_frozen(&self, frozen: bool) -> SqlResult<()>;
    async fn set_max_version(&self, highest: Option<i32>) -> SqlResult<()>;
}

/// Says that membership or policy has changed.
pub(super) const NEXT_VIEW: &str = "UPDATE cluster_control SET view_epoch = view_epoch + 1";

/// The columns of an ownership row `o` with what is wished for it; `t` is its tenant.
macro_rules! wished {
    () => {
        "o.business_id, o.device_id, o.owner_node, o.owner_inc, o.epoch, o.desired, o.pin_node, o.pin_mode, t.spread"
    };
}

/// Whether the pin of an ownership row lets this node have the device.
macro_rules! pin_allows {
    ($row:literal, $node:literal) => {
        concat!(
            "(",
            $row,
            ".pin_mode IS NULL OR ",
            $row,
            ".pin_mode = 'prefer' OR ",
            $row,
            ".pin_node = ",
            $node,
            ")"
        )
    };
}

/// Whether the node that an ownership row `o` requires, if any, can take it.
macro_rules! placeable {
    () => {
        "(o.pin_mode IS NULL OR o.pin_mode = 'prefer' OR EXISTS (SELECT 1 FROM member p
            WHERE p.node_id = o.pin_node AND p.state = 'active' AND NOT p.cordoned))"
    };
}

macro_rules! wishes {
    ($adapter:ty, now_millis: $now_millis:literal) => {
        #[async_trait]
        impl $crate::store::wishes::Wishes for $adapter {
            async fn survey_rows(
                &self,
                of: (&str, i64),
                after: (&str, &str),
                limit: i64,
            ) -> SqlResult<Vec<SurveyRow>> {
                let sql = concat!(
                    "SELECT ", $crate::store::wishes::wished!(), ", coalesce(h.last_at, 0) AS active,
                       CASE WHEN l.reason = 'give' THEN ", $now_millis, " - l.at END AS given
                     FROM ownership o JOIN tenant t ON t.business_id = o.business_id
                     LEFT JOIN event_head h ON h.business_id = o.business_id AND h.device_id = o.device_id
                     LEFT JOIN ownership_log l ON l.business_id = o.business_id AND l.device_id = o.device_id
                      AND l.epoch = o.epoch
                     WHERE o.desired = 'online' AND (o.business_id, o.device_id) > ($1, $2)
                       AND ($3 = '' OR (o.owner_node = $3 AND o.owner_inc = $4) OR t.spread = 'strict')
                     ORDER BY o.business_id, o.device_id LIMIT $5"
                );
                let query = sqlx::query_as(sql).bind(after.0).bind(after.1).bind(of.0).bind(of.1);
                query.bind(limit).fetch_all(&self.read).await
            }

            async fn set_pin(&self, b: &str, d: &str, pin: Option<(&str, &str)>) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE ownership SET pin_node = $3, pin_mode = $4
                           WHERE business_id = $1 AND device_id = $2 AND desired <> 'deleted'";
                let query = sqlx::query(sql).bind(b).bind(d);
                let query = query.bind(pin.map(|(node, _)| node)).bind(pin.map(|(_, mode)| mode));
                let done = query.execute(&mut *tx).await?.rows_affected() == 1;
                if done {
                    sqlx::query($crate::store::wishes::NEXT_VIEW).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok(done)
            }

            async fn set_spread(&self, tenant: &str, spread: &str) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE tenant SET spread = $2 WHERE business_id = $1";
                let query = sqlx::query(sql).bind(tenant).bind(spread);
                let done = query.execute(&mut *tx).await?.rows_affected() == 1;
                if done {
                    sqlx::query($crate::store::wishes::NEXT_VIEW).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok(done)
            }

            async fn member_state(&self, node: &str) -> SqlResult<Option<String>> {
                let sql = "SELECT state FROM member WHERE node_id = $1";
                sqlx::query_scalar(sql).bind(node).fetch_optional(&self.read).await
            }

            async fn unowned(&self) -> SqlResult<(i64, i64)> {
                let sql = concat!(
                    "SELECT count(*), count(CASE WHEN NOT ", $crate::store::wishes::placeable!(), " THEN 1 END)
                     FROM ownership o LEFT JOIN member v ON v.node_id = o.owner_node
                     WHERE o.desired = 'online'
                       AND (o.owner_node IS NULL OR
                            o.owner_inc < v.incarnation + CASE WHEN v.state = 'dead' THEN 1 ELSE 0 END)"
                );
                sqlx::query_as(sql).fetch_one(&self.read).await
            }

            async fn set_cordoned(&self, node: &str, cordoned: bool) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE member SET cordoned = $2 WHERE node_id = $1";
                let query = sqlx::query(sql).bind(node).bind(cordoned);
                let done = query.execute(&mut *tx).await?.rows_affected() == 1;
                if done {
                    sqlx::query($crate::store::wishes::NEXT_VIEW).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok(done)
            }

            async fn set_frozen(&self, frozen: bool) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE cluster_control SET placement_frozen = $1, view_epoch = view_epoch + 1";
                sqlx::query(sql).bind(frozen).execute(&mut *tx).await?;
                tx.commit().await
            }

            async fn set_max_version(&self, highest: Option<i32>) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE cluster_control SET max_version = $1, view_epoch = view_epoch + 1";
                sqlx::query(sql).bind(highest).execute(&mut *tx).await?;
                tx.commit().await
            }
        }
    };
}

pub(super) use {pin_allows, placeable, wished, wishes};

pub(super) fn pin(node: Option<String>, mode: Option<String>) -> Result<Option<Pin>, BadRow> {
    let Some((node, mode)) = node.zip(mode) else { return Ok(None) };
    // A mode of a later release binds as the statements have it: nobody else takes the device.
    let mode = if mode == "prefer" { PinMode::Prefer } else { PinMode::Require };
    Ok(Some(Pin { node: id("ownership.pin_node", &node)?, mode }))
}

pub(super) fn pin_text(mode: PinMode) -> &'static str {
    match mode {
        PinMode::Require => "require",
        PinMode::Prefer => "prefer",
    }
}

/// `None` where the tenant's row is missing. A spread of a later release is that release's to bring about.
pub(super) fn spreading(text: Option<&str>) -> Spreading {
    match text {
        Some("devices") => Spreading::Devices,
        Some("strict") => Spreading::Strict,
        _ => Spreading::Auto,
    }
}

pub(super) fn spread_text(spread: Spreading) -> &'static str {
    match spread {
        Spreading::Auto => "auto",
        Spreading::Devices => "devices",
        Spreading::Strict => "strict",
    }
}

/// A row with what a plan weighs; `given` in milliseconds.
#[derive(sqlx::FromRow)]
pub(super) struct SurveyRow {
    #[sqlx(flatten)]
    ownership: OwnershipRow,
    active: i64,
    given: Option<i64>,
}

impl SurveyRow {
    fn read(self) -> Result<Surveyed, BadRow> {
        let (row, active) = (self.ownership.read()?, UnixMillis(self.active));
        Ok(Surveyed { row, active, given: self.given.map(span) })
    }
}

/// A survey on either dialect.
pub(super) async fn survey(
    backend: &dyn Wishes,
    of: Option<&Life>,
    after: Option<&DeviceKey>,
    limit: usize,
) -> Result<Vec<Surveyed>, Unavailable> {
    let of = of.map_or(("", 0), |life| (life.node.as_str(), life.incarnation.0));
    let after = after.map_or(("", ""), |key| (key.business_id.as_str(), key.device_id.as_str()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = backend.survey_rows(of, after, limit).await.map_err(unavailable)?;
    rows.into_iter().map(SurveyRow::read).collect::<Result<_, _>>().map_err(unavailable)
}
