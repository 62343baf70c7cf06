//! The placement machine of one node: what it claims, runs, stops, gives away and buries.
//!
//! What must hold: past the local deadline, which counts from the send of the last good heartbeat,
//! nothing is claimed, started or buried; after a lapse, devices act again only when the ledger has said
//! that the epochs stand; a draining node takes nothing; a node whose row says dead does nothing ever
//! again. It reads no clock and does no I/O: events come in with `now`, effects go out (`step`). Nothing
//! here makes exclusivity true; the statements behind the effects do.

mod drain;
mod egress;
mod handoff;
mod holdings;
mod lists;
mod orphans;
mod pace;
mod phase;
mod reattach;
mod rebalance;
mod report;
mod step;
mod suspicion;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roost_proto::id::{DeviceKey, Life, NodeId};

use self::holdings::Holdings;
use self::orphans::Orphans;
use self::phase::{Gift, Why};
use self::reattach::Round;
use self::rebalance::Rebalance;
use self::suspicion::Suspicion;
use crate::choice::Choice;
use crate::egress::Egress;
use crate::lease::{BootTime, counts_from};
use crate::ledger::{Beaten, Grant, MemberState, Timing, View};
use crate::plan::Policy;
use crate::ring::{self, Ring, Spread};
use crate::seeded::{self, Bug};
use crate::wish::Wish;

pub use self::orphans::{CLAIM_BATCH, RANK_DELAY};
pub use self::pace::Pace;
pub use self::step::{AlreadyDraining, Answer, Effect, Event, HandOffError, HandedOff, NoAnswer, Origin};
pub use self::suspicion::TakenOver;

/// What a machine is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node, in this life.
    pub me: Life,
    /// The cluster's lease times.
    pub timing: Timing,
    /// What plans may do.
    pub policy: Policy,
    /// How fast.
    pub pace: Pace,
}

/// What the order of the takers follows from: weight and version of each, and the highest version wanted.
type Takers = (BTreeMap<NodeId, (u32, u32)>, Option<u32>);

/// The placement machine of one node in one life.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    /// Own state as the ledger has confirmed it, and as it should be.
    standing: MemberState,
    goal: MemberState,
    state_asked: bool,
    state_next: BootTime,
    standing_since: BootTime,
    over: bool,
    /// A drain was asked for: the node goes when it is empty.
    leaving: bool,
    egress: Egress,
    egress_next: BootTime,

    /// The local deadline, and since when renewals have been unbroken.
    deadline: BootTime,
    renewed: Option<BootTime>,
    run_since: BootTime,
    quiesced: bool,
    ticked: BootTime,

    view: View,
    view_at: BootTime,
    ring: Ring,
    calm_since: BootTime,
    spread: Spread,
    suspicion: Suspicion,
    orphans: Orphans,
    holdings: Holdings,
    lists: lists::Lists,
    round: Round,
    /// Devices given to each member since the last view.
    given: BTreeMap<NodeId, u32>,
    /// What is wished for the devices here, as the last list of them showed; only what is not the default.
    wishes: BTreeMap<DeviceKey, Wish>,
    rebalance: Rebalance,
}

impl Machine {
    /// A machine for a life that has just joined. It may not act before its first good heartbeat.
    pub fn new(config: Config, now: BootTime) -> Machine {
        Machine {
            spread: config.policy.spread.clone(),
            config,
            standing: MemberState::Joining,
            goal: MemberState::Active,
            state_asked: false,
            state_next: now,
            standing_since: now,
            over: false,
            leaving: false,
            egress: Egress::default(),
            egress_next: now,
            deadline: BootTime(0),
            renewed: None,
            run_since: now,
            quiesced: true,
            ticked: now,
            view: View::default(),
            view_at: now,
            ring: Ring::new([]),
            calm_since: now,
            suspicion: Suspicion::default(),
            orphans: Orphans::default(),
            holdings: Holdings::default(),
            lists: lists::Lists::new(now),
            round: Round::new(now),
            given: BTreeMap::new(),
            wishes: BTreeMap::new(),
            rebalance: Rebalance::new(now),
        }
    }

    /// Takes in one event; returns what to do, in order.
    pub fn handle(&mut self, now: BootTime, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        if self.over {
            return out;
        }
        self.lapse(now, &mut out);
        self.holdings.allow(!self.quiesced);
        match event {
            Event::Tick => self.tick(now),
            Event::Beaten { sent, answer: Beaten::Renewed(view) } => self.beaten(sent, view, now, &mut out),
            Event::Beaten { answer: Beaten::Dead, .. } => self.die(&mut out),
            Event::StateSet(state, answer) => self.state_set(state, answer, now, &mut out),
            Event::Buried(victim, answer) => {
                self.suspicion.answered(&victim, now);
                if answer == Ok(true) {
                    self.suspicion.lost(&victim, now);
                }
                // Whoever has buried it, its devices are free now.
                if answer.is_ok() {
                    self.lists.sweep_at(now);
                }
            }
            Event::Claimable(answer) => self.claimable(answer, now),
            Event::Claimed(from, keys, answer) => self.claimed(from, &keys, answer, now, &mut out),
            Event::Mine(number, answer) => self.mine(number, answer, now, &mut out),
            Event::Surveyed(answer) => self.surveyed(answer, now, &mut out),
            Event::Reattached(epoch, posted, answer) => {
                self.reattached(epoch, &posted, answer, now, &mut out);
            }
            Event::Row(key, answer) => self.row(&key, answer, now, &mut out),
            Event::Warmed(grant, to) => self.warmed(&grant, &to, now, &mut out),
            Event::Stopped(grant) => self.holdings.stopped(&grant, now, self.lists.newest(), &mut out),
            Event::Ended(grant) => {
                if self.holdings.ended(&grant, now, &mut out) {
                    self.orphans.shun(grant.key, now);
                }
            }
            Event::Given(grant, _, answer) => {
                self.holdings.given(&grant, answer, now, self.lists.newest(), &mut out);
            }
            Event::Released(grant, answer) => {
                self.holdings.released(&grant, answer, now, self.lists.newest());
            }
            Event::Adopt(key) => self.lists.look(key),
            Event::Sweep => self.lists.sweep_at(now),
            Event::Probed(got_through) => self.egress.probed(got_through, now),
        }
        self.act(now, &mut out);
        out
    }

    /// Begins to hand one device to a node, because a caller asked. [`Effect::HandedOff`] ends it, unless
    /// it is refused here.
    pub fn hand_off(
        &mut self,
        key: &DeviceKey,
        target: &NodeId,
        now: BootTime,
    ) -> Result<Vec<Effect>, HandOffError> {
        // A refusal changes nothing: the next event finds that the lease is over, and says so.
        if self.over || self.quiesced || self.has_lapsed(now) {
            return Err(HandOffError::Suspended);
        }
        if self.holdings.grant(key).is_none() {
            return Err(HandOffError::NotOwner);
        }
        if *target == self.config.me.node {
            return Err(HandOffError::AlreadyHere);
        }
        let Some(member) = self.view.members.iter().find(|member| member.life.node == *target) else {
            return Err(HandOffError::UnknownTarget(target.clone()));
        };
        if member.state != MemberState::Active {
            return Err(HandOffError::TargetNotActive(target.clone()));
        }
        if member.cordoned {
            return Err(HandOffError::TargetCordoned(target.clone()));
        }
        if !self.holdings.is_running(key) {
            return Err(HandOffError::Busy);
        }
        let gift = Gift { to: member.life.clone(), why: Why::Requested };
        let mut out = Vec::new();
        self.holdings.hand(key, gift, self.warm(now), now, &mut out);
        Ok(out)
    }

    /// The view of the last good heartbeat, with the own state as it is known now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The ring of that view.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Which tenants this node looks up by device.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// How many devices this node owns, as far as it knows.
    pub fn owned(&self) -> usize {
        self.holdings.len()
    }

    /// The grant under which this node holds a device, running or on its way out.
    pub fn grant(&self, key: &DeviceKey) -> Option<&Grant> {
        self.holdings.grant(key)
    }

    /// How it came to devices that were taken over from a life at `now`, for those who measure.
    pub fn taken_over(&mut self, from: &Life, now: BootTime) -> Option<TakenOver> {
        self.suspicion.taken(from, now)
    }

    /// Own state as the ledger has confirmed it.
    pub fn standing(&self) -> MemberState {
        self.standing
    }

    /// Whether devices must not act.
    pub fn quiesced(&self) -> bool {
        self.quiesced || self.over
    }

    /// Past the deadline the node quiesces, whatever else happens.
    fn lapse(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.has_lapsed(now) {
            self.quiesce(out);
        }
    }

    fn has_lapsed(&self, now: BootTime) -> bool {
        now >= self.deadline && !seeded::on(Bug::NoLocalDeadline)
    }

    fn tick(&mut self, now: BootTime) {
        // A node that slept cannot tell whether the others did not beat or it did not look.
        if now.since(self.ticked) > self.config.timing.beat * 2 {
            self.suspicion.forget(now);
        }
        self.ticked = now;
    }

    fn beaten(&mut self, sent: BootTime, view: View, now: BootTime, out: &mut Vec<Effect>) {
        self.see_time_line(&view, now, out);
        self.see_standing(&view, sent, now);
        let sent = counts_from(sent, now);
        let timing = &self.config.timing;
        if self.renewed.is_none_or(|renewed| sent.since(renewed) >= timing.ttl) {
            self.run_since = sent;
        }
        self.renewed = self.renewed.max(Some(sent));
        self.deadline = self.deadline.max(sent.plus(timing.ttl.saturating_sub(timing.margin)));
        self.suspicion.observe(&self.config.me, &view, now);
        if lives(&view) != lives(&self.view) || view.view_epoch != self.view.view_epoch {
            self.lists.sweep_at(now);
            self.calm_since = now;
        }
        self.view = view;
        self.view_at = now;
        self.given.clear();
        self.see_self(now);
        self.watch_evenness(now);
    }

    /// A view that was asked for after the ledger had confirmed a state shows another one: it lost that state with its
    /// tail, and is told again.
    fn see_standing(&mut self, view: &View, sent: BootTime, now: BootTime) {
        let own = view.members.iter().find(|member| member.life == self.config.me);
        if let Some(own) = own.filter(|own| sent > self.standing_since && own.state != self.standing) {
            (self.standing, self.standing_since) = (own.state, now);
        }
    }

    /// The view may be older than what this node knows of itself.
    fn see_self(&mut self, now: BootTime) {
        let state = if self.goal == MemberState::Draining { self.goal } else { self.standing };
        let report = self.report(now);
        if let Some(own) = self.view.members.iter_mut().find(|member| member.life == self.config.me) {
            own.state = state;
            (own.owned, own.reach, own.cut_off) = (report.owned, report.reach, report.cut_off);
        }
        let takers = self.takers();
        if takers != self.lists.takers {
            self.ring = if seeded::on(Bug::TieByInsertion) {
                self.ring.grown(&self.view)
            } else {
                Ring::of(&self.view)
            };
            self.lists.takers = takers;
            let choice = Choice::new(&self.ring, &self.view, &self.spread);
            self.orphans.rank_again(&self.config.me.node, &choice);
            self.calm_since = now;
        }
    }

    fn takers(&self) -> Takers {
        let members = ring::takers(&self.view);
        let members = members.map(|member| (member.life.node.clone(), (member.weight, member.version)));
        (members.collect(), self.view.max_version)
    }

    fn state_set(&mut self, state: MemberState, answer: Answer<bool>, now: BootTime, out: &mut Vec<Effect>) {
        self.state_asked = false;
        match answer {
            Ok(true) => {
                self.standing = state;
                self.standing_since = now;
                self.see_self(now);
                self.lists.sweep_at(now);
            }
            Ok(false) => self.die(out),
            Err(NoAnswer) => self.state_next = now.plus(Duration::from_millis(250)),
        }
    }

    fn die(&mut self, out: &mut Vec<Effect>) {
        self.over = true;
        out.push(Effect::Die);
    }

    /// What time and circumstances ask for, after every event.
    fn act(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.over || self.renewed.is_none() {
            return;
        }
        let may_act = !self.quiesced && now < self.deadline;
        if may_act {
            self.mind_egress(now, out);
        }
        if self.standing != self.goal && !self.state_asked && now >= self.state_next && now < self.deadline {
            self.state_asked = true;
            out.push(Effect::SetState(self.goal));
        }
        self.ask(now, out);
        if may_act {
            self.bury(now, out);
            self.claim(now, out);
            self.begin_rebalance(now, out);
            self.drain_on(now, out);
        }
        self.leave(now, out);
    }

    fn bury(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        let timing = self.config.timing;
        let unbroken = now.since(self.run_since) >= timing.quarantine();
        let calm = (unbroken || seeded::on(Bug::NoQuarantine)) && !self.round.is_blocked(now);
        if calm && now.since(self.view_at) <= timing.beat * 2 {
            out.extend(self.suspicion.due(&timing, now).into_iter().map(Effect::Bury));
        }
    }
}

/// Who is in a view, in which state.
fn lives(view: &View) -> BTreeSet<(&Life, MemberState)> {
    view.members.iter().map(|member| (&member.life, member.state)).collect()
}
