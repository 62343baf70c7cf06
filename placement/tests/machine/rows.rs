//! The ledger of the small world: what the statements of `ownership.md` section 3 do.
//!
//! What must hold: each method is one statement; predicates stand on the row as it is at that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_placement::egress::Report;
use roost_placement::lease::BootTime;
use roost_placement::ledger::{
    Attached, Beaten, Desired, Grant, Member, MemberState, Ownership, View, epoch_floor,
};
use roost_placement::machine::{Effect, Event, NoAnswer};
use roost_placement::wish::{Spreading, Surveyed};
use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life, NodeId, UnixMillis};

use crate::world::{TIMING, World, node};

/// A row of members.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) member: Member,
    pub(crate) lease_until: BootTime,
    pub(crate) lease_since: BootTime,
}

impl World {
    pub(crate) fn alive(&self, life: &Life) -> bool {
        self.members
            .get(&life.node)
            .is_some_and(|row| row.member.life == *life && row.member.state != MemberState::Dead)
    }

    pub(crate) fn beat(&mut self, life: &Life, said: Report) -> Beaten {
        let now = self.now;
        if !self.alive(life) {
            return Beaten::Dead;
        }
        let row = self.members.get_mut(&life.node).expect("alive");
        let lapsed = row.lease_until < now;
        if lapsed {
            row.lease_since = now;
        }
        row.lease_until = now.plus(TIMING.ttl);
        row.member.beats += 1;
        (row.member.owned, row.member.reach, row.member.cut_off) = (said.owned, said.reach, said.cut_off);
        let living = self.members.values().filter(|row| row.member.state != MemberState::Dead);
        let members =
            living.map(|row| Member { remaining: row.lease_until.since(now), ..row.member.clone() });
        Beaten::Renewed(View {
            view_epoch: self.view_epoch,
            members: members.collect(),
            frozen: self.frozen,
            max_version: self.max_version,
            cluster_epoch: self.cluster_epoch,
            blocked: self.blocked_until.since(now),
            lapsed,
        })
    }

    pub(crate) fn perform(&mut self, life: &Life, effect: Effect, down: bool, lost: bool) -> Event {
        let silent = down || lost;
        fn or<T>(silent: bool, value: T) -> Result<T, NoAnswer> {
            if silent { Err(NoAnswer) } else { Ok(value) }
        }
        match effect {
            Effect::SetState(state) => {
                let alive = self.alive(life);
                if !down && alive {
                    self.members.get_mut(&life.node).expect("alive").member.state = state;
                    self.view_epoch += 1;
                }
                Event::StateSet(state, or(silent, alive))
            }
            Effect::Bury(victim) => {
                let done = !down && self.bury(life, &victim);
                Event::Buried(victim, or(silent, done))
            }
            Effect::ListClaimable(limit) => {
                let free = |row: &&Ownership| {
                    row.desired == Desired::Online
                        && row.owner.as_ref().is_none_or(|owner| !self.alive(owner))
                        && row.wish.required().is_none_or(|node| self.takes(node))
                };
                Event::Claimable(or(silent, self.rows.values().filter(free).take(limit).cloned().collect()))
            }
            Effect::Claim(from, keys) => {
                let mut grants = Vec::new();
                if !down && self.may_take(life, Duration::ZERO) && self.blocked_until <= self.now {
                    for key in &keys {
                        let row = self.rows.get(key).expect("a row");
                        let wanted = row.owner == from && row.desired == Desired::Online;
                        if wanted && row.wish.allows(&life.node) {
                            self.given.remove(key);
                            grants.push(self.own(key, Some(life.clone())));
                        }
                    }
                }
                Event::Claimed(from, keys, or(silent, grants))
            }
            Effect::ListMine(number) => {
                let mine = self.rows.values().filter(|row| row.owner.as_ref() == Some(life));
                Event::Mine(number, or(silent, mine.cloned().collect()))
            }
            Effect::Survey => {
                let mine = self
                    .rows
                    .values()
                    .filter(|row| row.owner.as_ref() == Some(life) || row.wish.spread == Spreading::Strict);
                let line = |row: &Ownership| Surveyed {
                    row: row.clone(),
                    active: self.activity.get(&row.key).copied().unwrap_or(UnixMillis(0)),
                    given: self.given.get(&row.key).map(|at| self.now.since(*at)),
                };
                Event::Surveyed(or(silent, mine.map(line).collect()))
            }
            Effect::Reattach(epoch, grants) => {
                let kept = if down { Vec::new() } else { self.attach(life, &grants) };
                Event::Reattached(epoch, grants, or(silent, kept))
            }
            Effect::Look(key) => {
                let row = self.rows.get(&key).cloned();
                Event::Row(key, or(silent, row))
            }
            Effect::Give(grant, to) => {
                let allowed = self.rows[&grant.key].wish.allows(&to.node);
                let fit = allowed && self.may_take(&to, Duration::from_millis(500));
                let stands = !down && self.stands(&grant) && fit;
                if stands {
                    self.given.insert(grant.key.clone(), self.now);
                    self.moves.push((self.now, grant.key.clone()));
                }
                let theirs = stands.then(|| self.own(&grant.key, Some(to.clone())));
                Event::Given(grant, to, or(silent, theirs))
            }
            Effect::Release(grant) => {
                let stands = !down && self.stands(&grant);
                if stands {
                    self.own(&grant.key, None);
                }
                Event::Released(grant, or(silent, stands))
            }
            other => panic!("{other:?} is not for the ledger"),
        }
    }

    pub(crate) fn stands(&self, grant: &Grant) -> bool {
        let row = &self.rows[&grant.key];
        row.epoch == grant.epoch && row.owner.as_ref() == Some(&grant.life)
    }

    pub(crate) fn may_take(&self, life: &Life, least: Duration) -> bool {
        let row = &self.members[&life.node];
        row.member.life == *life && self.takes(&life.node) && row.lease_until > self.now.plus(least)
    }

    fn takes(&self, node: &NodeId) -> bool {
        self.members
            .get(node)
            .is_some_and(|row| row.member.state == MemberState::Active && !row.member.cordoned)
    }

    pub(crate) fn own(&mut self, key: &DeviceKey, owner: Option<Life>) -> Grant {
        let row = self.rows.get_mut(key).expect("a row");
        row.epoch = Epoch(row.epoch.max(epoch_floor(self.cluster_epoch)).0 + 1);
        row.owner = owner.clone();
        let life = owner.unwrap_or_else(|| Life { node: node(99), incarnation: Incarnation(0) });
        let before = self.grants.insert((key.clone(), row.epoch), life.clone());
        assert_eq!(before, None, "{key} was granted twice at {}", row.epoch);
        Grant { key: key.clone(), life, epoch: row.epoch }
    }

    pub(crate) fn bury(&mut self, me: &Life, victim: &Life) -> bool {
        let mine = &self.members[&me.node];
        let able = self.alive(me)
            && mine.lease_until > self.now
            && mine.lease_since.plus(TIMING.quarantine()) < self.now;
        if !able || !self.alive(victim) || self.blocked_until > self.now {
            return false;
        }
        let row = self.members.get_mut(&victim.node).expect("alive");
        if row.lease_until.plus(TIMING.grace) >= self.now {
            return false;
        }
        row.member.state = MemberState::Dead;
        self.view_epoch += 1;
        self.burials += 1;
        true
    }

    fn attach(&mut self, life: &Life, grants: &[Grant]) -> Vec<Attached> {
        let mut kept = Vec::new();
        for grant in grants {
            if self.stands(grant) {
                kept.push(Attached { grant: grant.clone(), behind: self.behind.contains(&grant.key) });
            } else if self.rows[&grant.key].epoch < grant.epoch && self.blocked_until > self.now {
                let grant = self.own(&grant.key, Some(life.clone()));
                kept.push(Attached { grant, behind: true });
            }
        }
        kept
    }

    /// The database fails over to what it was, and a heartbeat notices.
    pub(crate) fn lose_tail(&mut self, rows: BTreeMap<DeviceKey, Ownership>) {
        self.rows = rows;
        self.cluster_epoch += 1;
        self.view_epoch += 1;
        self.blocked_until = self.now.plus(TIMING.quarantine());
    }

    /// Whether the row of this node's last life says dead.
    pub(crate) fn is_dead(&self, n: u32) -> bool {
        self.members.get(&node(n)).is_none_or(|row| row.member.state == MemberState::Dead)
    }

    pub(crate) fn certify(&mut self, n: u32) {
        if let Some(row) = self.members.get_mut(&node(n)) {
            row.member.state = MemberState::Dead;
            self.view_epoch += 1;
        }
    }
}
