//! Reading the ownership rows: when, and what the answers mean.
//!
//! What must hold: a list or a look that was asked for before a grant came or went says nothing about
//! that grant (numbers decide); after a lapse only a list that was asked for after the renewal lets the
//! node resume; at most one list of each kind and one look per device is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roost_proto::id::{DeviceKey, Life};

use super::orphans::{RANK_DELAY, Room};
use super::phase::Seen;
use super::step::{Answer, Effect, Origin};
use super::{Machine, MemberState};
use crate::choice::Choice;
use crate::lease::BootTime;
use crate::ledger::{Grant, Ownership};
use crate::seeded::{self, Bug};
use crate::{load, ring};

/// After the store did not answer, a list is asked for again this much later.
const AGAIN: Duration = Duration::from_millis(250);

/// At most this many looks are under way at once; hints beyond that wait.
const LOOKS: usize = 64;

/// Hints beyond this many are dropped: the next audit finds what they meant.
const HINTS: usize = 10_000;

#[derive(Debug)]
pub(super) struct Lists {
    /// Number of the next list or look.
    next: u64,
    sweep: BootTime,
    sweeping: bool,
    audit: BootTime,
    auditing: Option<u64>,
    resuming: Option<u64>,
    resume_next: BootTime,
    leaving: Option<u64>,
    leave_next: BootTime,
    hints: BTreeSet<DeviceKey>,
    looking: BTreeMap<DeviceKey, u64>,
    /// What the present ring was made of.
    pub(super) takers: super::Takers,
}

impl Lists {
    pub(super) fn new(now: BootTime) -> Lists {
        Lists {
            next: 1,
            sweep: now,
            sweeping: false,
            audit: now,
            auditing: None,
            resuming: None,
            resume_next: now,
            leaving: None,
            leave_next: now,
            hints: BTreeSet::new(),
            looking: BTreeMap::new(),
            takers: Default::default(),
        }
    }

    /// The number that the next list or look will have.
    pub(super) fn newest(&self) -> u64 {
        self.next
    }

    pub(super) fn sweep_at(&mut self, at: BootTime) {
        self.sweep = self.sweep.min(at);
    }

    /// Asks for the row of one device soon.
    pub(super) fn look(&mut self, key: DeviceKey) {
        if self.hints.len() < HINTS {
            self.hints.insert(key);
        }
    }

    /// The lease lapsed (again): a list that is under way is too old to resume by.
    pub(super) fn no_resume(&mut self) {
        self.resuming = None;
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

impl Machine {
    /// Asks for what is due.
    pub(super) fn ask(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.post(now, out) {
            return;
        }
        let (renewed, claims) = (now < self.deadline, self.claims());
        let lists = &mut self.lists;
        let told = renewed && self.round.tells(now);
        if self.quiesced && told && lists.resuming.is_none() && now >= lists.resume_next {
            let number = lists.number();
            lists.resuming = Some(number);
            out.push(Effect::ListMine(number));
        }
        for key in self.holdings.questions(now) {
            lists.hints.remove(&key);
            lists.looking.insert(key.clone(), lists.next);
            lists.next += 1;
            out.push(Effect::Look(key));
        }
        if self.quiesced || !renewed {
            return;
        }
        while lists.looking.len() < LOOKS {
            let Some(key) = lists.hints.iter().find(|key| !lists.looking.contains_key(*key)).cloned() else {
                break;
            };
            lists.hints.remove(&key);
            let number = lists.number();
            lists.looking.insert(key.clone(), number);
            out.push(Effect::Look(key));
        }
        if now >= lists.audit && lists.auditing.is_none() {
            let number = lists.number();
            lists.auditing = Some(number);
            let more = Duration::from_millis(self.holdings.len() as u64);
            lists.audit = now.plus(self.config.pace.audit + more);
            out.push(Effect::ListMine(number));
        }
        if claims && now >= lists.sweep && !lists.sweeping {
            lists.sweeping = true;
            lists.sweep = now.plus(self.config.pace.sweep);
            out.push(Effect::ListClaimable(self.config.pace.list));
        }
    }

    pub(super) fn claimable(&mut self, answer: Answer<Vec<Ownership>>, now: BootTime) {
        self.lists.sweeping = false;
        let Ok(rows) = answer else { return self.lists.sweep_at(now.plus(AGAIN)) };
        if self.goal != MemberState::Active && !seeded::on(Bug::DrainAccepts) {
            return;
        }
        if rows.is_empty() {
            self.spread = self.config.policy.spread.clone();
        }
        // Counted now, while the list is fresh: later, what others take of it counts twice.
        let own = self.view.members.iter().find(|member| member.life == self.config.me);
        let mine = own.filter(|own| !load::keeps(own)).map_or(0, |own| u64::from(own.owned));
        let others = load::total(&self.view, rows.len()) - mine;
        let total = others + self.holdings.len() as u64;
        let seen = rows.iter().map(|row| &row.key).chain(self.holdings.keys());
        self.spread.add_large(seen, total, self.ring.nodes().len());
        if !rows.is_empty() {
            self.lists.sweep_at(now.plus(RANK_DELAY));
        }
        let choice = Choice::new(&self.ring, &self.view, &self.spread);
        self.orphans.listed(rows, total, &self.config.me.node, &choice, now);
    }

    /// Whether this node takes devices.
    fn claims(&self) -> bool {
        let active = self.standing == MemberState::Active && self.goal == MemberState::Active;
        active || seeded::on(Bug::DrainAccepts)
    }

    /// Claims what is this node's turn, within its bound.
    pub(super) fn claim(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if !self.claims() || self.orphans.len() == 0 || self.round.is_blocked(now) {
            return;
        }
        let me = &self.config.me;
        let Some(own) = self.view.members.iter().find(|member| member.life == *me) else { return };
        let load = (self.holdings.len() + self.orphans.claiming()) as u64;
        let percent = self.config.policy.bound_percent;
        let bound = match self.view.members.len() {
            1 => u64::MAX,
            _ => load::bound(
                self.orphans.total(),
                own.weight.max(1),
                load::weights(ring::takers(&self.view)),
                percent,
            ),
        };
        for (from, keys) in self.orphans.due(Room { load, bound }, now) {
            out.push(Effect::Claim(from, keys));
        }
    }

    pub(super) fn claimed(
        &mut self,
        from: Option<Life>,
        keys: &[DeviceKey],
        answer: Answer<Vec<Grant>>,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        self.orphans.answered(keys, answer.is_ok());
        let Ok(grants) = answer else {
            // It may have happened: the rows say.
            keys.iter().for_each(|key| self.lists.look(key.clone()));
            return;
        };
        if self.quiesced {
            // The list that ends the quiet finds them.
            return;
        }
        for grant in grants.into_iter().filter(|grant| grant.life == self.config.me) {
            let origin = from.clone().map_or(Origin::Claimed, Origin::TakenOver);
            let run = (!self.leaving).then_some(origin);
            self.holdings.take(grant, run, BootTime(0), self.lists.newest(), out);
            self.calm_since = now;
        }
    }

    pub(super) fn mine(
        &mut self,
        number: u64,
        answer: Answer<Vec<Ownership>>,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        let resuming = self.lists.resuming == Some(number);
        let leaving = self.lists.leaving == Some(number);
        if self.lists.auditing == Some(number) {
            self.lists.auditing = None;
        }
        if resuming {
            self.lists.resuming = None;
        }
        if leaving {
            self.lists.leaving = None;
        }
        let Ok(rows) = answer else {
            self.lists.resume_next = now.plus(AGAIN);
            self.lists.leave_next = now.plus(AGAIN);
            return;
        };
        self.learn_wishes(&rows);
        let mut found = Vec::new();
        let resume = resuming && self.quiesced && now < self.deadline;
        if resume {
            self.quiesced = false;
            self.holdings.allow(true);
        }
        let config = self.config.clone();
        self.holdings.listed(&rows, self.seen(&config.me, number, now), &mut found);
        // What has lost its epoch stops before anything acts again.
        let (stops, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|effect| matches!(effect, Effect::Stop(_)));
        out.extend(stops);
        if resume {
            out.push(Effect::Resume);
        }
        // Before it resumed, its permit to act had run out.
        out.extend(rest.into_iter().filter(|effect| !resume || !matches!(effect, Effect::Overtaken(_))));
        if leaving && rows.is_empty() && self.holdings.len() == 0 && self.orphans.claiming() == 0 {
            self.over = true;
            out.push(Effect::Drained);
        }
    }

    pub(super) fn row(
        &mut self,
        key: &DeviceKey,
        answer: Answer<Option<Ownership>>,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        let number = self.lists.looking.remove(key).unwrap_or(0);
        let config = self.config.clone();
        let row = answer.as_ref().map(Option::as_ref).map_err(|error| *error);
        self.holdings.row(key, row, self.seen(&config.me, number, now), out);
    }

    pub(super) fn seen<'a>(&self, me: &'a Life, number: u64, now: BootTime) -> Seen<'a> {
        let passing_on = self.leaving;
        let run = !self.quiesced && !passing_on;
        let (newest, floor) = (self.lists.newest(), self.round.floor(now));
        Seen { me, now, number, newest, run, passing_on, floor }
    }

    /// The end of a drain: when nothing is left here, one more list has to agree.
    pub(super) fn leave(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        let empty = self.holdings.len() == 0 && self.orphans.claiming() == 0;
        let lists = &mut self.lists;
        if self.standing == MemberState::Draining
            && self.leaving
            && empty
            && lists.leaving.is_none()
            && now >= lists.leave_next
        {
            let number = lists.number();
            lists.leaving = Some(number);
            lists.leave_next = now.plus(AGAIN);
            out.push(Effect::ListMine(number));
        }
    }
}
