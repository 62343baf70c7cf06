//! Rows as the two databases return them, and what they mean.
//!
//! What must hold: both dialects name and type their columns so that one `FromRow` reads both; a row that breaks the
//! rules of its types is an error with the name of the column, never a panic. A word that only a later release knows is
//! read as the most careful one that this release knows: it is of one row, and an error would hide all those beside it.
//! Values that are sealed stay sealed here.

use std::time::Duration;

use roost_placement::egress::Reach;
use roost_placement::ledger::{
    Attached, Desired, Grant, Holder, JoinError, Member, MemberState, Ownership, Permit, Timing, Transition,
    Unavailable, View,
};
use roost_placement::wish::Wish;
use roost_proto::id::{BusinessId, DeviceId, DeviceKey, Epoch, Incarnation, Life, NodeId, UnixMillis};

mod device;

pub(super) use device::{DeviceRow, LoadedRow, StatusRow};

use super::wishes::{pin, spreading};
use crate::directory::Tenant;

pub(super) type SqlResult<T> = Result<T, sqlx::Error>;

/// A stored value that its type does not allow.
#[derive(Debug, thiserror::Error)]
#[error("stored {column} {value:?} is not a valid value")]
pub(super) struct BadRow {
    pub(super) column: &'static str,
    pub(super) value: String,
}

/// Wraps any failure as "no answer".
pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unavailable {
    Unavailable(error.into())
}

pub(super) fn id<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, BadRow> {
    text.parse().map_err(|_| BadRow { column, value: text.to_owned() })
}

pub(super) fn key(business_id: &str, device_id: &str) -> Result<DeviceKey, BadRow> {
    let business_id: BusinessId = id("business_id", business_id)?;
    let device_id: DeviceId = id("device_id", device_id)?;
    Ok(DeviceKey { business_id, device_id })
}

fn life(node: &str, incarnation: i64) -> Result<Life, BadRow> {
    let node: NodeId = id("node_id", node)?;
    Ok(Life { node, incarnation: Incarnation(incarnation) })
}

fn owner(node: Option<String>, incarnation: Option<i64>) -> Result<Option<Life>, BadRow> {
    node.zip(incarnation).map(|(node, incarnation)| life(&node, incarnation)).transpose()
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

/// How long nobody is buried after a gap that the whole cluster had.
pub(super) fn hold_off(timing: &Timing) -> Duration {
    timing.quarantine().max(Duration::from_secs(10))
}

pub(super) fn span(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn state_text(state: MemberState) -> &'static str {
    match state {
        MemberState::Joining => "joining",
        MemberState::Active => "active",
        MemberState::Draining => "draining",
        MemberState::Dead => "dead",
    }
}

/// A state of a later release: it lives as long as it renews its lease, and is given nothing.
pub(super) fn member_state(text: &str) -> MemberState {
    match text {
        "joining" => MemberState::Joining,
        "active" => MemberState::Active,
        "dead" => MemberState::Dead,
        _ => MemberState::Draining,
    }
}

/// What a later release wishes of a device: nobody of this one runs it.
fn desired(text: &str) -> Desired {
    match text {
        "online" => Desired::Online,
        "deleted" => Desired::Deleted,
        _ => Desired::Offline,
    }
}

pub(super) fn desired_text(desired: Desired) -> &'static str {
    match desired {
        Desired::Online => "online",
        Desired::Offline => "offline",
        Desired::Deleted => "deleted",
    }
}

/// One member with the view epoch beside it.
#[derive(sqlx::FromRow)]
pub(super) struct MemberRow {
    view_epoch: i64,
    cluster_epoch: i64,
    /// Milliseconds for which take-overs are blocked.
    blocked: i64,
    frozen: bool,
    max_version: Option<i32>,
    cordoned: bool,
    node_id: String,
    incarnation: i64,
    address: String,
    zone: String,
    weight: i32,
    version: i32,
    state: String,
    remaining: i64,
    beats: i64,
    owned: i64,
    connected: i64,
    failing: i64,
    heard: Option<i64>,
    cut_off: bool,
}

pub(super) fn view(rows: Vec<MemberRow>) -> Result<View, BadRow> {
    let view_epoch = rows.first().map_or(0, |row| row.view_epoch);
    let frozen = rows.first().is_some_and(|row| row.frozen);
    let max_version =
        rows.first().and_then(|row| row.max_version).and_then(|version| u32::try_from(version).ok());
    let cluster_epoch = rows.first().map_or(0, |row| row.cluster_epoch);
    let blocked = span(rows.first().map_or(0, |row| row.blocked));
    let members = rows.into_iter().map(member).collect::<Result<_, _>>()?;
    Ok(View { view_epoch, members, frozen, max_version, cluster_epoch, blocked, lapsed: false })
}

fn member(row: MemberRow) -> Result<Member, BadRow> {
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let (connected, failing) = (count(row.connected), count(row.failing));
    Ok(Member {
        life: life(&row.node_id, row.incarnation)?,
        address: row.address,
        zone: row.zone,
        weight: u32::try_from(row.weight).unwrap_or(1).max(1),
        state: member_state(&row.state),
        version: u32::try_from(row.version).unwrap_or(0),
        owned: count(row.owned),
        remaining: span(row.remaining),
        beats: row.beats,
        cordoned: row.cordoned,
        reach: Reach { connected, failing, heard: row.heard.map(span) },
        cut_off: row.cut_off,
    })
}

#[derive(sqlx::FromRow)]
pub(super) struct OwnershipRow {
    business_id: String,
    device_id: String,
    owner_node: Option<String>,
    owner_inc: Option<i64>,
    epoch: i64,
    desired: String,
    pin_node: Option<String>,
    pin_mode: Option<String>,
    spread: Option<String>,
}

impl OwnershipRow {
    pub(super) fn read(self) -> Result<Ownership, BadRow> {
        Ok(Ownership {
            key: key(&self.business_id, &self.device_id)?,
            owner: owner(self.owner_node, self.owner_inc)?,
            epoch: Epoch(self.epoch),
            desired: desired(&self.desired),
            wish: Wish { pin: pin(self.pin_node, self.pin_mode)?, spread: spreading(self.spread.as_deref()) },
        })
    }
}

/// A granted epoch.
#[derive(sqlx::FromRow)]
pub(super) struct GrantRow {
    pub(super) business_id: String,
    pub(super) device_id: String,
    pub(super) epoch: i64,
}

impl GrantRow {
    pub(super) fn read(self, life: &Life) -> Result<Grant, BadRow> {
        let key = key(&self.business_id, &self.device_id)?;
        Ok(Grant { key, life: life.clone(), epoch: Epoch(self.epoch) })
    }
}

/// Why a slot was not taken: who holds it, and the milliseconds until its lease has been over for long enough.
#[derive(sqlx::FromRow)]
pub(super) struct InUseRow {
    incarnation: i64,
    beats: i64,
    wait: i64,
}

impl InUseRow {
    pub(super) fn read(self, node: &NodeId) -> JoinError {
        let life = Life { node: node.clone(), incarnation: Incarnation(self.incarnation) };
        JoinError::InUse { holder: Holder { life, beats: self.beats }, wait: span(self.wait) }
    }
}

/// A posted device that its poster keeps.
#[derive(sqlx::FromRow)]
pub(super) struct AttachedRow {
    #[sqlx(flatten)]
    grant: GrantRow,
    behind: bool,
}

impl AttachedRow {
    pub(super) fn read(self, life: &Life) -> Result<Attached, BadRow> {
        Ok(Attached { grant: self.grant.read(life)?, behind: self.behind })
    }
}

/// A granted epoch that stands, with its owner and the lease left in milliseconds.
#[derive(sqlx::FromRow)]
pub(super) struct PermitRow {
    business_id: String,
    device_id: String,
    epoch: i64,
    owner_node: String,
    owner_inc: i64,
    remaining: i64,
}

impl PermitRow {
    pub(super) fn read(self) -> Result<Permit, BadRow> {
        let key = key(&self.business_id, &self.device_id)?;
        let grant = Grant { key, life: life(&self.owner_node, self.owner_inc)?, epoch: Epoch(self.epoch) };
        Ok(Permit { grant, remaining: span(self.remaining) })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct TransitionRow {
    epoch: i64,
    owner_node: Option<String>,
    owner_inc: Option<i64>,
    reason: String,
    at: i64,
}

impl TransitionRow {
    pub(super) fn read(self) -> Result<Transition, BadRow> {
        let owner = owner(self.owner_node, self.owner_inc)?;
        Ok(Transition { epoch: Epoch(self.epoch), owner, reason: self.reason, at: UnixMillis(self.at) })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct TenantRow {
    business_id: String,
    display_name: String,
    created: i64,
    spread: Option<String>,
}

impl TenantRow {
    pub(super) fn read(self) -> Result<Tenant, BadRow> {
        let business_id = id("business_id", &self.business_id)?;
        Ok(Tenant {
            business_id,
            display_name: self.display_name,
            created: UnixMillis(self.created),
            spread: spreading(self.spread.as_deref()),
        })
    }
}

/// A piece of device state, its value sealed.
#[derive(sqlx::FromRow)]
pub(super) struct StateRow {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

/// A statement that reads [`MessageRow`]s of the table `m`. Each column by its name: the nodes of this release go on beside
/// one whose migration adds a column, and what was prepared for `*` would be refused from then on.
macro_rules! select_messages {
    ($($from:literal),+) => {
        concat!(
            "SELECT m.business_id, m.device_id, m.message_id, m.request_id, m.request_hash, m.whatsapp_id, m.chat,
                    m.content, m.wire, m.state, m.ordinal, m.failure, m.accepted, m.sent, m.server_ack, m.delivered,
                    m.read_at, m.expires, m.once ",
            $($from),+
        )
    };
}
pub(super) use select_messages;

/// A message, content and wire sealed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct MessageRow {
    pub(super) business_id: String,
    pub(super) device_id: String,
    pub(super) message_id: String,
    pub(super) request_id: String,
    pub(super) request_hash: Vec<u8>,
    pub(super) whatsapp_id: String,
    pub(super) chat: String,
    pub(super) content: Vec<u8>,
    pub(super) wire: Option<Vec<u8>>,
    pub(super) state: i16,
    pub(super) ordinal: i64,
    pub(super) failure: Option<String>,
    pub(super) accepted: i64,
    pub(super) sent: Option<i64>,
    pub(super) server_ack: Option<i64>,
    pub(super) delivered: Option<i64>,
    pub(super) read_at: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) once: bool,
}

/// An event, its payload sealed.
#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) epoch: i64,
    pub(super) occurred: i64,
    pub(super) committed: i64,
    pub(super) origin: i16,
    pub(super) payload: Vec<u8>,
    pub(super) age: i64,
}

/// Where a device's log and its order of acceptance stand.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct HeadRow {
    pub(super) business_id: String,
    pub(super) device_id: String,
    pub(super) last_seq: i64,
    pub(super) last_ordinal: i64,
}
