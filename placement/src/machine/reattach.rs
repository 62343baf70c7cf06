//! After the database has lost a tail: this node says what it runs, and learns what it keeps.
//!
//! What must hold: when the cluster epoch has grown, nothing acts and no list is believed before
//! everything that is held has been posted and answered; what a node does not keep it stops; until the
//! quarantine ends, nothing is started but what a re-attachment or a running owner gave, because what the
//! rows say may be older than what other nodes run. What is lost of a device's state stays lost: the
//! device begins again from what is there, and its log says so.

use std::time::Duration;

use roost_proto::id::Epoch;

use super::orphans::CLAIM_BATCH;
use super::step::{Answer, Effect};
use super::{BootTime, Machine};
use crate::ledger::{Attached, Grant, View, epoch_floor};

/// After the store did not answer, the same is posted again this much later.
const AGAIN: Duration = Duration::from_millis(250);

/// Where this node stands between the loss of a tail and its end.
#[derive(Debug)]
pub(super) struct Round {
    /// Of the last view; `None` before the first.
    cluster_epoch: Option<i64>,
    /// What has not been answered for, in order of key.
    open: Vec<Grant>,
    /// The first of these are being posted.
    asked: bool,
    next: BootTime,
    /// Until then nothing is claimed.
    blocked: BootTime,
}

impl Round {
    pub(super) fn new(now: BootTime) -> Round {
        Round { cluster_epoch: None, open: Vec::new(), asked: false, next: now, blocked: now }
    }

    /// Whether take-overs are blocked.
    pub(super) fn is_blocked(&self, now: BootTime) -> bool {
        now < self.blocked
    }

    /// Rows at or below this are not started.
    pub(super) fn floor(&self, now: BootTime) -> Epoch {
        match self.cluster_epoch {
            Some(epoch) if self.is_blocked(now) => epoch_floor(epoch),
            _ => Epoch(0),
        }
    }
}

impl Machine {
    /// Nothing acts until a list that is asked for from now on has said what stands.
    pub(super) fn quiesce(&mut self, out: &mut Vec<Effect>) {
        self.lists.no_resume();
        self.holdings.allow(false);
        if !std::mem::replace(&mut self.quiesced, true) {
            out.push(Effect::Quiesce);
        }
    }

    /// A view may show that the database has lost a tail.
    pub(super) fn see_time_line(&mut self, view: &View, now: BootTime, out: &mut Vec<Effect>) {
        self.round.blocked = now.plus(view.blocked);
        let known = self.round.cluster_epoch.max(Some(view.cluster_epoch));
        let before = std::mem::replace(&mut self.round.cluster_epoch, known);
        if before.is_none() || before == known {
            return;
        }
        self.round.open = self.holdings.kept().cloned().collect();
        (self.round.asked, self.round.next) = (false, now);
        self.holdings.outdate(self.lists.newest());
        self.orphans.clear();
        self.quiesce(out);
    }

    /// Posts what is open. Returns whether something is.
    pub(super) fn post(&mut self, now: BootTime, out: &mut Vec<Effect>) -> bool {
        let round = &mut self.round;
        if !round.open.is_empty() && !round.asked && now >= round.next {
            round.asked = true;
            let batch = round.open.iter().take(CLAIM_BATCH).cloned().collect();
            out.push(Effect::Reattach(round.cluster_epoch.unwrap_or_default(), batch));
        }
        !round.open.is_empty()
    }

    /// The ledger has answered for what was posted, or has not.
    pub(super) fn reattached(
        &mut self,
        epoch: i64,
        posted: &[Grant],
        answer: Answer<Vec<Attached>>,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        if self.round.cluster_epoch != Some(epoch) {
            return;
        }
        self.round.asked = false;
        let Ok(kept) = answer else {
            self.round.next = now.plus(AGAIN);
            return;
        };
        self.round.open.retain(|grant| !posted.contains(grant));
        let config = self.config.clone();
        for grant in posted {
            match kept.iter().find(|kept| kept.grant.key == grant.key) {
                Some(kept) => self.holdings.attached(grant, kept, now, out),
                None => {
                    let number = self.lists.newest();
                    self.holdings.detached(grant, self.seen(&config.me, number, now), out);
                }
            }
        }
    }
}
