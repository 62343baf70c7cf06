//! After the database has lost a tail: this node says what it runs, and learns what it keeps.
//!
//! What must hold: when the cluster epoch has grown, nothing acts and no list is believed before everything that is
//! held has been posted and answered; what a node does not keep it stops; who had been silent for so long that the
//! tail may have buried it acts again only after the quarantine, because a row that stands may be one that another
//! node has taken in the tail and is about to post; until the quarantine ends, nothing is started but what a
//! re-attachment or a running owner gave, because what the rows say may be older than what other nodes run. What is
//! lost of a device's state stays lost: the device begins again from what is there, and its log says so.

use std::time::Duration;

use roost_proto::id::{Age, Epoch};

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
    /// Others may have taken what is held here.
    doubtful: bool,
}

impl Round {
    pub(super) fn new(now: BootTime) -> Round {
        Round {
            cluster_epoch: None,
            open: Vec::new(),
            asked: false,
            next: now,
            blocked: now,
            doubtful: false,
        }
    }

    /// Whether take-overs are blocked.
    pub(super) fn is_blocked(&self, now: BootTime) -> bool {
        now < self.blocked
    }

    /// Whether a list that is asked for at `now` may say what this node acts for.
    pub(super) fn tells(&self, now: BootTime) -> bool {
        !(self.doubtful && self.is_blocked(now))
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
        if before == known {
            return;
        }
        let timing = &self.config.timing;
        // Before that its lease was not over for anybody; but its own clock may have stood still.
        let silent =
            view.lapsed || self.renewed.is_none_or(|renewed| now.since(renewed) >= timing.ttl + timing.grace);
        out.push(Effect::Aged(Age(view.cluster_epoch), silent && before.is_some()));
        if before.is_none() {
            return;
        }
        self.round.doubtful = silent || (self.round.doubtful && self.quiesced);
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

#[cfg(test)]
mod tests {
    use roost_proto::id::{Incarnation, Life};

    use super::super::{Config, Event};
    use super::*;
    use crate::ledger::{Beaten, Timing};
    use crate::machine::Pace;
    use crate::plan::Policy;

    fn machine() -> Machine {
        let me = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(1) };
        let (timing, policy, pace) = (Timing::FAST, Policy::default(), Pace::default());
        Machine::new(Config { me, timing, policy, pace }, BootTime(0))
    }

    /// Whether the node acts again with this heartbeat, and what it says of the age that it sees.
    fn beats(
        machine: &mut Machine,
        millis: u64,
        cluster_epoch: i64,
        blocked: u64,
    ) -> (bool, Option<(Age, bool)>) {
        let now = BootTime(millis * 1_000_000);
        let view = View { cluster_epoch, blocked: Duration::from_millis(blocked), ..View::default() };
        let mut todo = machine.handle(now, Event::Beaten { sent: now, answer: Beaten::Renewed(view) });
        let (mut resumed, mut aged) = (false, None);
        while let Some(effect) = todo.pop() {
            match effect {
                Effect::Resume => resumed = true,
                Effect::Aged(age, doubtful) => aged = Some((age, doubtful)),
                Effect::ListMine(number) => {
                    todo.extend(machine.handle(now, Event::Mine(number, Ok(Vec::new()))))
                }
                _ => {}
            }
        }
        (resumed, aged)
    }

    #[test]
    fn who_cannot_have_been_buried_in_the_tail_goes_on_at_once() {
        let mut machine = machine();
        assert_eq!(beats(&mut machine, 0, 0, 0), (true, Some((Age(0), false))));
        assert_eq!(beats(&mut machine, 2199, 1, 2200), (true, Some((Age(1), false))));
    }

    #[test]
    fn whose_lease_had_run_out_by_the_clock_of_the_database_may_have_been_buried_too() {
        let mut machine = machine();
        assert_eq!(beats(&mut machine, 0, 0, 0), (true, Some((Age(0), false))));
        let view =
            View { cluster_epoch: 1, blocked: Duration::from_secs(2), lapsed: true, ..View::default() };
        let (sent, answer) = (BootTime(400_000_000), Beaten::Renewed(view));
        let effects = machine.handle(sent, Event::Beaten { sent, answer });
        assert!(effects.contains(&Effect::Aged(Age(1), true)), "{effects:?}");
    }

    #[test]
    fn who_may_have_been_buried_in_the_tail_waits_for_the_end_of_the_quarantine() {
        let mut machine = machine();
        assert_eq!(beats(&mut machine, 0, 0, 0), (true, Some((Age(0), false))));
        let doubts = Some((Age(1), true));
        assert_eq!(
            beats(&mut machine, 2200, 1, 2200),
            (false, doubts),
            "its memory may be older than what was sent"
        );
        assert_eq!(beats(&mut machine, 3000, 1, 1400), (false, None));
        assert_eq!(beats(&mut machine, 4400, 1, 0), (true, None));
    }
}
