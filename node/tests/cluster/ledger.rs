//! A ledger in memory, on the clock of the test: just enough of the rules to run the shells against.
//!
//! What must hold: what the shells rely on (leases, epochs, the former owner in a claim). The adapters
//! and the model that simulations use are held to far more, by their own conformance suite.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Desired, Grant, Holder, JoinError, Ledger, Member, MemberState, Ownership,
    Permit, Posted, Timing, Transition, Unavailable, View,
};
use roost_placement::wish::{Surveyed, Wish};
use roost_proto::id::{Age, DeviceKey, Epoch, Incarnation, Life, NodeId, UnixMillis};
use tokio::time::Instant;

struct Row {
    member: Member,
    until: Instant,
}

#[derive(Default)]
struct State {
    members: BTreeMap<NodeId, Row>,
    rows: BTreeMap<DeviceKey, Ownership>,
    epoch: i64,
    /// Only of what was done by hand.
    history: Vec<(DeviceKey, Transition)>,
}

/// Cloning gives the same ledger.
#[derive(Clone, Default)]
pub(crate) struct TestLedger {
    state: Arc<Mutex<State>>,
    down: Arc<AtomicBool>,
    /// Calls while it was down.
    pub(crate) unanswered: Arc<AtomicUsize>,
    lease_short: Arc<AtomicBool>,
    pub(crate) permits_asked: Arc<AtomicUsize>,
    pub(crate) certificates: Arc<AtomicUsize>,
}

impl TestLedger {
    pub(crate) fn with_devices(count: usize) -> TestLedger {
        let ledger = TestLedger::default();
        for n in 0..count {
            ledger.put(&key(n));
        }
        ledger
    }

    pub(crate) fn put(&self, key: &DeviceKey) {
        let row = Ownership {
            key: key.clone(),
            owner: None,
            epoch: Epoch(0),
            desired: Desired::Online,
            wish: Wish::default(),
        };
        self.state.lock().expect("not poisoned").rows.insert(key.clone(), row);
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Leases have too little left for a permit from now on.
    pub(crate) fn shorten_leases(&self) {
        self.lease_short.store(true, Ordering::Relaxed);
    }

    pub(crate) fn desire(&self, key: &DeviceKey, desired: Desired) {
        self.state.lock().expect("not poisoned").rows.get_mut(key).expect("a row").desired = desired;
    }

    /// Gives a device to a life for this reason, whoever has it.
    pub(crate) fn hand_to(&self, key: &DeviceKey, life: &Life, reason: &str) {
        let mut state = self.state.lock().expect("not poisoned");
        let epoch = state.own(key, Some(life));
        let line =
            Transition { epoch, owner: Some(life.clone()), reason: reason.to_owned(), at: UnixMillis(0) };
        state.history.insert(0, (key.clone(), line));
    }

    pub(crate) fn row(&self, key: &DeviceKey) -> Ownership {
        self.state.lock().expect("not poisoned").rows[key].clone()
    }

    pub(crate) fn state_of(&self, life: &Life) -> Option<MemberState> {
        let state = self.state.lock().expect("not poisoned");
        state.members.get(&life.node).filter(|row| row.member.life == *life).map(|row| row.member.state)
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, State>, Unavailable> {
        if self.down.load(Ordering::Relaxed) {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return Err(Unavailable("switched off".into()));
        }
        Ok(self.state.lock().expect("not poisoned"))
    }
}

pub(crate) fn key(n: usize) -> DeviceKey {
    format!("tenants/t{}/devices/d{n}", n / 3).parse().expect("a name")
}

pub(crate) fn candidate(node: &str) -> Candidate {
    Candidate {
        node: node.parse().expect("a label"),
        address: format!("{node}:1"),
        zone: String::new(),
        weight: 100,
        version: 1,
    }
}

impl State {
    fn living(&mut self, life: &Life) -> Option<&mut Row> {
        self.members
            .get_mut(&life.node)
            .filter(|row| row.member.life == *life && row.member.state != MemberState::Dead)
    }

    fn takes(&self, life: &Life) -> bool {
        self.members.get(&life.node).is_some_and(|row| {
            row.member.life == *life && row.member.state == MemberState::Active && row.until > Instant::now()
        })
    }

    fn own(&mut self, key: &DeviceKey, owner: Option<&Life>) -> Epoch {
        let row = self.rows.get_mut(key).expect("a row");
        row.owner = owner.cloned();
        row.epoch.0 += 1;
        row.epoch
    }

    fn stands(&self, grant: &Grant) -> bool {
        self.rows
            .get(&grant.key)
            .is_some_and(|row| row.epoch == grant.epoch && row.owner.as_ref() == Some(&grant.life))
    }
}

#[async_trait]
impl Ledger for TestLedger {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        let mut state = self.up()?;
        let before = state.members.get(&candidate.node);
        if let Some(row) = before.filter(|row| row.member.state != MemberState::Dead) {
            let free = row.until + timing.grace + timing.quarantine();
            let holder = Holder { life: row.member.life.clone(), beats: row.member.beats };
            if free > Instant::now() || silent != Some(&holder) {
                let wait = free.saturating_duration_since(Instant::now());
                return Err(JoinError::InUse { holder, wait });
            }
        }
        let incarnation = Incarnation(before.map_or(1, |row| row.member.life.incarnation.0 + 1));
        let life = Life { node: candidate.node.clone(), incarnation };
        let member = Member {
            life: life.clone(),
            address: candidate.address.clone(),
            zone: candidate.zone.clone(),
            weight: candidate.weight,
            state: MemberState::Joining,
            version: candidate.version,
            owned: 0,
            remaining: timing.ttl,
            beats: 0,
            cordoned: false,
            reach: Default::default(),
            cut_off: false,
        };
        state.epoch += 1;
        state.members.insert(candidate.node.clone(), Row { member, until: Instant::now() + timing.ttl });
        Ok(life)
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        let mut state = self.up()?;
        let Some(row) = state.living(life) else { return Ok(Beaten::Dead) };
        row.until = Instant::now() + timing.ttl;
        row.member.beats += 1;
        (row.member.owned, row.member.reach, row.member.cut_off) = (said.owned, said.reach, said.cut_off);
        let living = state.members.values().filter(|row| row.member.state != MemberState::Dead);
        let members = living.map(|row| {
            let remaining = row.until.saturating_duration_since(Instant::now());
            Member { remaining, ..row.member.clone() }
        });
        Ok(Beaten::Renewed(View { view_epoch: state.epoch, members: members.collect(), ..View::default() }))
    }

    async fn set_state(&self, life: &Life, to: MemberState) -> Result<bool, Unavailable> {
        let mut state = self.up()?;
        state.epoch += 1;
        Ok(state.living(life).map(|row| row.member.state = to).is_some())
    }

    async fn bury(&self, _me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        let mut state = self.up()?;
        state.epoch += 1;
        let over = |row: &&mut Row| row.until + timing.grace < Instant::now();
        Ok(state.living(victim).filter(over).map(|row| row.member.state = MemberState::Dead).is_some())
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        let mut state = self.up()?;
        state.epoch += 1;
        self.certificates.fetch_add(1, Ordering::Relaxed);
        Ok(state.living(life).map(|row| row.member.state = MemberState::Dead).is_some())
    }

    async fn reattach(&self, _me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        let state = self.up()?;
        let stand = posts.iter().filter(|post| state.stands(&post.grant));
        Ok(stand.map(|post| Attached { grant: post.grant.clone(), behind: false }).collect())
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        let mut state = self.up()?;
        let rows: Vec<Ownership> = state.rows.values().cloned().collect();
        let mut free = rows;
        free.retain(|row| {
            row.desired == Desired::Online
                && row.owner.as_ref().is_none_or(|owner| state.living(owner).is_none())
        });
        free.truncate(limit);
        Ok(free)
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        let mut state = self.up()?;
        let mut grants = Vec::new();
        for key in keys {
            if state.takes(me) && state.rows[key].owner.as_ref() == from {
                let epoch = state.own(key, Some(me));
                grants.push(Grant { key: key.clone(), life: me.clone(), epoch });
            }
        }
        Ok(grants)
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        let state = self.up()?;
        Ok(state.rows.values().filter(|row| row.owner.as_ref() == Some(me)).cloned().collect())
    }

    async fn permit(
        &self,
        grants: &[Grant],
        _age: Age,
        _margin: Duration,
    ) -> Result<Vec<Permit>, Unavailable> {
        let state = self.up()?;
        self.permits_asked.fetch_add(1, Ordering::Relaxed);
        let short = self.lease_short.load(Ordering::Relaxed);
        let stand = grants.iter().filter(|grant| state.stands(grant) && !short);
        Ok(stand.map(|grant| Permit { grant: grant.clone(), remaining: Duration::from_secs(2) }).collect())
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        let mut state = self.up()?;
        if !state.stands(grant) || !state.takes(to) {
            return Ok(None);
        }
        let epoch = state.own(&grant.key, Some(to));
        Ok(Some(Grant { key: grant.key.clone(), life: to.clone(), epoch }))
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        let mut state = self.up()?;
        let stands = state.stands(grant);
        if stands {
            state.own(&grant.key, None);
        }
        Ok(stands)
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        _after: Option<&DeviceKey>,
        _limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        let state = self.up()?;
        let rows = state.rows.values().filter(|row| of.is_none() || row.owner.as_ref() == of);
        Ok(rows.cloned().map(Surveyed::from).collect())
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        Ok(self.up()?.rows.get(key).cloned())
    }

    async fn history(&self, key: &DeviceKey, _limit: usize) -> Result<Vec<Transition>, Unavailable> {
        let state = self.up()?;
        Ok(state.history.iter().filter(|(of, _)| of == key).map(|(_, line)| line.clone()).collect())
    }
}
