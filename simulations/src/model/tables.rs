//! The rows of the modelled database.
//!
//! What must hold: the same columns mean the same as in `migrations/`; all times are Unix milliseconds
//! of the database's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use roost_actors::port::{DeviceStatus, ProxyUri, QuarantinedStanza, StateKey, StoredMessage, Vote};
use roost_node::directory::{Device, LoggedEvent, Tenant};
use roost_node::protocol::Chosen;
use roost_placement::egress::Report;
use roost_placement::ledger::{Grant, MemberState, Ownership, Transition, epoch_floor};
use roost_placement::seeded::{self, Bug};
use roost_proto::id::{BusinessId, ConsumerId, DeviceKey, Epoch, Incarnation, Life, NodeId, UnixMillis};

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) view_epoch: i64,
    pub(super) frozen: bool,
    pub(super) max_version: Option<u32>,
    pub(super) takeover_blocked_until: i64,
    pub(super) hold_off_until: i64,
    /// The time-line that heartbeats have seen.
    pub(super) time_line: u64,
    pub(super) cluster_epoch: i64,
    pub(super) members: BTreeMap<NodeId, MemberRow>,
    pub(super) tenants: BTreeMap<BusinessId, Tenant>,
    /// Outlives the device: its epoch is never used again.
    pub(super) ownership: BTreeMap<DeviceKey, Ownership>,
    pub(super) history: BTreeMap<DeviceKey, Vec<Transition>>,
    pub(super) devices: BTreeMap<DeviceKey, DeviceRow>,
    /// The last sequence and ordinal of devices that were deleted, at which others of their names go on.
    pub(super) ended: BTreeMap<DeviceKey, (i64, i64)>,
    pub(super) consumers: BTreeMap<(BusinessId, ConsumerId), Hold>,
    pub(super) positions: BTreeMap<(BusinessId, ConsumerId, DeviceKey), i64>,
    /// What the next statement's time is drawn from, where a planted defect makes it matter.
    pub(super) draws: u64,
    /// The version of WhatsApp Web that is chosen.
    pub(super) protocol: Chosen,
    /// As which device what was imported, by SHA-256 of its public identity key; `None` once that is deleted.
    pub(super) imported: BTreeMap<[u8; 32], Option<DeviceKey>>,
    /// When each was first written, and what is in it.
    pub(super) media: BTreeMap<(BusinessId, String), (i64, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub(super) struct MemberRow {
    pub(super) incarnation: Incarnation,
    pub(super) address: String,
    pub(super) zone: String,
    pub(super) weight: u32,
    pub(super) version: u32,
    pub(super) state: MemberState,
    pub(super) lease_until: i64,
    pub(super) lease_since: i64,
    pub(super) granted: i64,
    pub(super) beats: i64,
    pub(super) said: Report,
    pub(super) cordoned: bool,
}

/// Everything of one device but its ownership.
#[derive(Debug, Clone)]
pub(super) struct DeviceRow {
    pub(super) display_name: String,
    pub(super) created: UnixMillis,
    pub(super) proxy: Option<ProxyUri>,
    pub(super) status: Option<DeviceStatus>,
    pub(super) state: BTreeMap<StateKey, Bytes>,
    /// By ordinal.
    pub(super) messages: BTreeMap<i64, StoredMessage>,
    pub(super) last_ordinal: i64,
    /// By sequence.
    pub(super) events: BTreeMap<i64, LoggedEvent>,
    pub(super) dedupe: BTreeSet<String>,
    /// Where the log begins: the last sequence of earlier devices of the name.
    pub(super) began: i64,
    pub(super) last_seq: i64,
    /// When one of both last grew.
    pub(super) last_at: i64,
    pub(super) earliest: i64,
    pub(super) quarantine: BTreeMap<String, QuarantinedStanza>,
    /// By poll and voter.
    pub(super) votes: BTreeMap<([u8; 16], String), Vote>,
    /// Sequences that owners remember; only a planted defect believes them.
    pub(super) remembered: BTreeMap<Life, i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) holder: Option<String>,
    pub(super) until: i64,
    pub(super) cluster_epoch: i64,
}

/// The moment this long before now.
pub(super) fn ago(now: i64, span: Duration) -> i64 {
    now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

impl DeviceRow {
    pub(super) fn new(display_name: &str, created: UnixMillis) -> DeviceRow {
        DeviceRow {
            display_name: display_name.to_owned(),
            created,
            proxy: None,
            status: None,
            state: BTreeMap::new(),
            messages: BTreeMap::new(),
            last_ordinal: 0,
            events: BTreeMap::new(),
            dedupe: BTreeSet::new(),
            began: 0,
            last_seq: 0,
            last_at: 0,
            earliest: 1,
            quarantine: BTreeMap::new(),
            votes: BTreeMap::new(),
            remembered: BTreeMap::new(),
        }
    }
}

impl Tables {
    /// Takes stanzas that were put aside until then, of one device after the other.
    pub(super) fn expire_quarantine(&mut self, until: i64, limit: usize) -> usize {
        let mut count = 0;
        for row in self.devices.values_mut() {
            row.quarantine.retain(|_, stanza| {
                let goes = stanza.at.0 <= until && count < limit;
                count += usize::from(goes);
                !goes
            });
        }
        count
    }

    /// The row of this very life, unless it is dead.
    pub(super) fn living(&mut self, life: &Life) -> Option<&mut MemberRow> {
        let row = self.members.get_mut(&life.node)?;
        (row.incarnation == life.incarnation && row.state != MemberState::Dead).then_some(row)
    }

    /// The row that a heartbeat of this life renews.
    pub(super) fn beating(&mut self, life: &Life) -> Option<&mut MemberRow> {
        if seeded::on(Bug::DeadRenewed) {
            return self.members.get_mut(&life.node).filter(|row| row.incarnation == life.incarnation);
        }
        self.living(life)
    }

    /// The rows of all other nodes that are not dead.
    pub(super) fn living_others(&mut self, life: &Life) -> impl Iterator<Item = &mut MemberRow> {
        let others = self.members.iter_mut().filter(|(node, _)| **node != life.node);
        others.map(|(_, row)| row).filter(|row| row.state != MemberState::Dead)
    }

    /// Whether this life is over for good: a fact that never changes back.
    pub(super) fn is_over(&self, life: &Life) -> bool {
        self.members.get(&life.node).is_some_and(|row| {
            row.incarnation > life.incarnation
                || (row.incarnation == life.incarnation && row.state == MemberState::Dead)
        })
    }

    /// Whether this node takes devices, as far as its row says.
    pub(super) fn takes(&self, node: &NodeId) -> bool {
        self.members.get(node).is_some_and(|row| row.state == MemberState::Active && !row.cordoned)
    }

    /// Whether the grant stands: the fence.
    pub(super) fn stands(&self, grant: &Grant) -> bool {
        self.ownership
            .get(&grant.key)
            .is_some_and(|row| row.owner.as_ref() == Some(&grant.life) && row.epoch == grant.epoch)
    }

    /// When a statement that ends now took its snapshot, if it holds no row from then on: up to a second ago,
    /// which is the longest that a database lets one run.
    pub(super) fn snapshot(&mut self, now: i64) -> i64 {
        self.draws =
            self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        now - i64::try_from((self.draws >> 33) % 1000).expect("it is below a thousand")
    }

    /// Who owned the device at that moment, under which epoch.
    pub(super) fn owner_at(&self, key: &DeviceKey, at: i64) -> Option<(&Life, Epoch)> {
        let mut lines = self.history.get(key)?.iter().rev();
        let line = lines.find(|line| line.at.0 <= at)?;
        Some((line.owner.as_ref()?, line.epoch))
    }

    /// Changes the owner of an existing row; the epoch grows.
    pub(super) fn hand(&mut self, key: &DeviceKey, owner: Option<&Life>, reason: &str, now: i64) -> Epoch {
        let row = self.ownership.get_mut(key).expect("only existing rows change hands");
        let grown = i64::from(!seeded::on(Bug::EpochStays));
        row.epoch = Epoch(row.epoch.max(epoch_floor(self.cluster_epoch)).0 + grown);
        row.owner = owner.cloned();
        let line = Transition {
            epoch: row.epoch,
            owner: owner.cloned(),
            reason: reason.to_owned(),
            at: UnixMillis(now),
        };
        let epoch = row.epoch;
        self.history.entry(key.clone()).or_default().push(line);
        epoch
    }

    /// The row with its tenant's wish beside its own.
    pub(super) fn wished(&self, row: &Ownership) -> Ownership {
        let mut row = row.clone();
        row.wish.spread =
            self.tenants.get(&row.key.business_id).map(|tenant| tenant.spread).unwrap_or_default();
        row
    }

    pub(super) fn device(&self, key: &DeviceKey) -> Option<Device> {
        let (row, ownership) = (self.devices.get(key)?, self.ownership.get(key)?);
        Some(Device {
            ownership: self.wished(ownership),
            display_name: row.display_name.clone(),
            status: row.status.clone(),
            created: row.created,
            proxy: row.proxy.clone(),
        })
    }
}
