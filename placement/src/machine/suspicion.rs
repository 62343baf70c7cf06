//! Who may be dead: when it is worth asking the ledger to bury a member.
//!
//! What must hold: nobody is suspected before its heartbeats have stood still for a whole lease on the
//! own clock, and its lease plus the grace are over by the last view. A node that was itself asleep
//! trusts none of its suspicions. The ledger decides; a suspicion is a question, never a proof.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::id::Life;

use crate::lease::BootTime;
use crate::ledger::{Timing, View};

/// A burial that was refused is asked for again this much later.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Watch {
    beats: i64,
    /// Since when, on the own clock, `beats` has stood still.
    since: BootTime,
    /// When the lease ends at the latest, on the own clock.
    expires: BootTime,
    /// Not before; `None` while an answer is awaited.
    next: Option<BootTime>,
}

/// Lives that are over are remembered for this long.
const MEMORY: Duration = Duration::from_secs(60);

/// A life that is over.
#[derive(Debug)]
struct Loss {
    since: BootTime,
    gone: BootTime,
    told: bool,
}

/// How a take-over came about, for those who measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    /// From the last heartbeat that this node saw to the news that the life is over; only with the first
    /// devices that are taken over from it.
    pub detected: Option<Duration>,
    /// From that news to the grants.
    pub claimed: Duration,
}

/// What this node has seen of the others' heartbeats.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    watches: BTreeMap<Life, Watch>,
    losses: BTreeMap<Life, Loss>,
}

impl Suspicion {
    /// Takes in a view that was received at `now`.
    pub(super) fn observe(&mut self, me: &Life, view: &View, now: BootTime) {
        let lives = |life: &Life| view.members.iter().any(|member| member.life == *life);
        let gone: Vec<Life> = self.watches.keys().filter(|life| !lives(life)).cloned().collect();
        for life in gone {
            self.lost(&life, now);
            self.watches.remove(&life);
        }
        self.losses.retain(|_, loss| now.since(loss.gone) < MEMORY);
        for member in view.members.iter().filter(|member| member.life != *me) {
            let expires = now.plus(member.remaining);
            let fresh = Watch { beats: member.beats, since: now, expires, next: Some(now) };
            match self.watches.get_mut(&member.life) {
                Some(watch) if watch.beats == member.beats => watch.expires = expires,
                Some(watch) => *watch = Watch { next: watch.next, ..fresh },
                None => {
                    self.watches.insert(member.life.clone(), fresh);
                }
            }
        }
    }

    /// The news has come that a life is over.
    pub(super) fn lost(&mut self, life: &Life, now: BootTime) {
        if let Some(watch) = self.watches.get(life) {
            let loss = Loss { since: watch.since, gone: now, told: false };
            self.losses.entry(life.clone()).or_insert(loss);
        }
    }

    /// Devices were taken over from a life, which is news if nothing else was; `None` when it was never seen.
    pub(super) fn taken(&mut self, from: &Life, now: BootTime) -> Option<TakenOver> {
        self.lost(from, now);
        let loss = self.losses.get_mut(from)?;
        let first = !std::mem::replace(&mut loss.told, true);
        let detected = first.then(|| loss.gone.since(loss.since));
        Some(TakenOver { detected, claimed: now.since(loss.gone) })
    }

    /// This node was asleep: everybody gets a whole lease again.
    pub(super) fn forget(&mut self, now: BootTime) {
        for watch in self.watches.values_mut() {
            watch.since = now;
        }
    }

    /// Those to bury now. Each is asked about once until [`Suspicion::answered`].
    pub(super) fn due(&mut self, timing: &Timing, now: BootTime) -> Vec<Life> {
        let mut due = Vec::new();
        for (life, watch) in &mut self.watches {
            let still = now.since(watch.since) >= timing.ttl;
            let over = now >= watch.expires.plus(timing.grace);
            if still && over && watch.next.is_some_and(|next| next <= now) {
                watch.next = None;
                due.push(life.clone());
            }
        }
        due
    }

    /// The ledger has answered, or has not; it may be asked again a little later.
    pub(super) fn answered(&mut self, victim: &Life, now: BootTime) {
        if let Some(watch) = self.watches.get_mut(victim) {
            watch.next = Some(now.plus(RETRY));
        }
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::Incarnation;

    use super::*;
    use crate::ledger::{Member, MemberState};

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    fn life(node: &str) -> Life {
        Life { node: node.parse().expect("a label"), incarnation: Incarnation(1) }
    }

    fn view(beats: i64, remaining: u64) -> View {
        let member = Member {
            life: life("n2"),
            address: String::new(),
            zone: String::new(),
            weight: 100,
            state: MemberState::Active,
            version: 1,
            owned: 0,
            remaining: Duration::from_millis(remaining),
            beats,
            cordoned: false,
            reach: Default::default(),
            cut_off: false,
        };
        View { members: vec![member], ..View::default() }
    }

    #[test]
    fn the_end_of_a_lease_and_the_grace_are_waited_for_exactly() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 1900), at(0));
        suspicion.observe(&life("n1"), &view(5, 1500), at(400));
        assert!(suspicion.due(&Timing::FAST, at(2099)).is_empty());
        assert_eq!(suspicion.due(&Timing::FAST, at(2100)), [life("n2")]);
        assert!(suspicion.due(&Timing::FAST, at(2200)).is_empty(), "asked once until it is answered");
        suspicion.answered(&life("n2"), at(2200));
        assert_eq!(suspicion.due(&Timing::FAST, at(2300)), [life("n2")]);
    }

    #[test]
    fn a_lease_that_ends_by_a_jump_of_the_clock_suspects_nobody_who_has_just_beaten() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 2000), at(0));
        suspicion.observe(&life("n1"), &view(6, 0), at(400));
        assert!(suspicion.due(&Timing::FAST, at(2399)).is_empty());
        assert_eq!(suspicion.due(&Timing::FAST, at(2400)), [life("n2")]);
    }

    #[test]
    fn a_node_that_slept_gives_everybody_a_whole_lease_again() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 2000), at(0));
        suspicion.forget(at(9000));
        assert!(suspicion.due(&Timing::FAST, at(10_999)).is_empty());
        assert_eq!(suspicion.due(&Timing::FAST, at(11_000)), [life("n2")]);
    }

    #[test]
    fn a_beat_takes_the_suspicion_back() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 100), at(0));
        suspicion.observe(&life("n1"), &view(6, 2000), at(1999));
        assert!(suspicion.due(&Timing::FAST, at(3998)).is_empty());
    }

    #[test]
    fn a_take_over_is_measured_from_the_last_beat_that_was_seen() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 2000), at(400));
        suspicion.observe(&life("n1"), &view(5, 1600), at(800));
        suspicion.lost(&life("n2"), at(2600));
        let first =
            TakenOver { detected: Some(Duration::from_millis(2200)), claimed: Duration::from_millis(100) };
        assert_eq!(suspicion.taken(&life("n2"), at(2700)), Some(first));
        let second = TakenOver { detected: None, claimed: Duration::from_millis(300) };
        assert_eq!(suspicion.taken(&life("n2"), at(2900)), Some(second), "detected once");
        suspicion.observe(&life("n1"), &View::default(), at(62_600));
        assert_eq!(suspicion.taken(&life("n2"), at(62_600)), None, "it is forgotten");
    }

    #[test]
    fn a_life_that_others_buried_is_over_when_the_view_or_a_claim_shows_it() {
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 2000), at(0));
        suspicion.observe(&life("n1"), &View::default(), at(400));
        let detected = Some(Duration::from_millis(400));
        let taken = suspicion.taken(&life("n2"), at(500));
        assert_eq!(taken, Some(TakenOver { detected, claimed: Duration::from_millis(100) }));
        let mut suspicion = Suspicion::default();
        suspicion.observe(&life("n1"), &view(5, 2000), at(100));
        let taken = suspicion.taken(&life("n2"), at(500));
        assert_eq!(taken, Some(TakenOver { detected, claimed: Duration::ZERO }));
    }
}
