//! Devices that nobody living holds: which of them this node claims, and when.
//!
//! What must hold: the first on a device's preference list claims at once, the k-th after k short
//! delays; this node never claims above its own bound, unless nobody took the device for a while; a
//! batch is sorted, at most [`CLAIM_BATCH`] keys and from one former owner. The list may be old: the
//! claim names the former owner, and the locked row decides.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::id::{DeviceKey, Epoch, Life, NodeId};

use crate::choice::Choice;
use crate::lease::BootTime;
use crate::ledger::{Desired, Ownership};
use crate::load;
use crate::wish::Wish;

/// At most this many keys in one claim.
pub const CLAIM_BATCH: usize = 500;

/// The k-th on a preference list waits k times this before it claims.
pub const RANK_DELAY: Duration = Duration::from_millis(250);

/// A device that has ended here by itself is left to others for this long, and for twice as long each time when that
/// happens again and again: one that nobody can open must not go round the cluster for ever.
const SHUN: Duration = Duration::from_secs(5);
const LONGEST_SHUN: Duration = Duration::from_secs(300);

/// After so long a device that ends is taken as one that has not done so before.
const FORGIVEN: Duration = Duration::from_secs(900);

/// A device that this node does not want for a while.
#[derive(Debug, Clone, Copy)]
struct Shunned {
    since: BootTime,
    span: Duration,
}

impl Shunned {
    fn holds(&self, now: BootTime) -> bool {
        now.since(self.since) < self.span
    }

    fn is_remembered(&self, now: BootTime) -> bool {
        now.since(self.since) < FORGIVEN
    }
}

#[derive(Debug)]
struct Orphan {
    from: Option<Life>,
    epoch: Epoch,
    /// When this node saw it first.
    seen: BootTime,
    /// Place of this node on the preference list; `None` when it is not on it.
    rank: Option<usize>,
    /// What is wished for it.
    wish: Wish,
    /// A claim is under way, or was answered without a grant.
    tried: bool,
}

/// How much this node may own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Devices owned or being claimed.
    pub(super) load: u64,
    /// Own bound; `u64::MAX` for a single node.
    pub(super) bound: u64,
}

/// The claimable devices as they were listed last.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    rows: BTreeMap<DeviceKey, Orphan>,
    shunned: BTreeMap<DeviceKey, Shunned>,
    claiming: usize,
    /// Devices in the cluster when the list was made.
    total: u64,
}

impl Orphans {
    /// A new list from the ledger, in a cluster of `total` devices.
    pub(super) fn listed(
        &mut self,
        rows: Vec<Ownership>,
        total: u64,
        me: &NodeId,
        choice: &Choice<'_>,
        now: BootTime,
    ) {
        self.total = total;
        let mut before = std::mem::take(&mut self.rows);
        for row in rows.into_iter().filter(|row| row.desired == Desired::Online) {
            let known = before.remove(&row.key);
            let seen = known.filter(|known| known.epoch == row.epoch).map_or(now, |known| known.seen);
            let rank = choice.order(&row.key, &row.wish).iter().position(|node| *node == me);
            let orphan =
                Orphan { from: row.owner, epoch: row.epoch, seen, rank, wish: row.wish, tried: false };
            self.rows.insert(row.key, orphan);
        }
        self.shunned.retain(|_, shunned| shunned.is_remembered(now));
    }

    /// The ring has changed.
    pub(super) fn rank_again(&mut self, me: &NodeId, choice: &Choice<'_>) {
        for (key, orphan) in &mut self.rows {
            orphan.rank = choice.order(key, &orphan.wish).iter().position(|node| *node == me);
        }
    }

    /// Batches to claim now, each from one former owner.
    pub(super) fn due(&mut self, mut room: Room, now: BootTime) -> Vec<(Option<Life>, Vec<DeviceKey>)> {
        let mut batches: BTreeMap<Option<Life>, Vec<DeviceKey>> = BTreeMap::new();
        for (key, orphan) in &mut self.rows {
            let waited = now.since(orphan.seen);
            let Some(rank) = orphan.rank else { continue };
            let turn = waited >= RANK_DELAY.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX));
            let shunned = self.shunned.get(key).is_some_and(|shunned| shunned.holds(now));
            // Nobody else can take what requires this node.
            let room_left = room.load < load::relaxed(room.bound, waited) || orphan.wish.required().is_some();
            if !orphan.tried && turn && !shunned && room_left {
                orphan.tried = true;
                room.load += 1;
                batches.entry(orphan.from.clone()).or_default().push(key.clone());
            }
        }
        let mut claims = Vec::new();
        for (from, keys) in batches {
            for batch in keys.chunks(CLAIM_BATCH) {
                self.claiming += batch.len();
                claims.push((from.clone(), batch.to_vec()));
            }
        }
        claims
    }

    /// A claim of this many keys was answered, or was not.
    pub(super) fn answered(&mut self, keys: &[DeviceKey], known: bool) {
        self.claiming = self.claiming.saturating_sub(keys.len());
        if !known {
            return;
        }
        for key in keys {
            self.rows.remove(key);
        }
    }

    /// A device has ended here by itself: this node does not want it for a while.
    pub(super) fn shun(&mut self, key: DeviceKey, now: BootTime) {
        let before = self.shunned.get(&key).filter(|shunned| shunned.is_remembered(now));
        let span = before.map_or(SHUN, |shunned| (2 * shunned.span).min(LONGEST_SHUN));
        self.shunned.insert(key, Shunned { since: now, span });
    }

    /// Forgets the list: this node claims nothing at present.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Devices in the cluster when the list was made.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Keys with a claim under way.
    pub(super) fn claiming(&self) -> usize {
        self.claiming
    }

    /// How many were listed and not yet answered.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
