//! A small world for machines: rows in memory, latencies, lost answers, freezes, kills, outages.
//!
//! What must hold: the model does what the statements of `ownership.md` section 3 do, by one clock that
//! everybody shares; every step checks the invariants, so a violation names its moment. It is a model
//! for this crate's tests alone: no sockets, no states of devices, no threads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roost_placement::egress::{Reach, Report};
use roost_placement::heart::{Heart, Pulse};
use roost_placement::lease::{BootTime, Lease};
use roost_placement::ledger::{Beaten, Desired, Grant, Member, MemberState, Ownership, Timing};
use roost_placement::machine::{Config, Effect, Event, HandOffError, HandedOff, Machine, Pace};
use roost_placement::plan::Policy;
use roost_placement::wish::Wish;
use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life, NodeId, UnixMillis};

use crate::rows::Row;

pub(crate) const TIMING: Timing = Timing::FAST;
const STEP: Duration = Duration::from_millis(10);

pub(crate) struct Node {
    pub(crate) machine: Machine,
    pub(crate) life: Life,
    heart: Heart,
    pub(crate) lease: Lease,
    pub(crate) suspended: bool,
    pub(crate) running: BTreeMap<DeviceKey, Grant>,
    pub(crate) inbox: Vec<(BootTime, u64, BootTime, Event)>,
    pub(crate) frozen_until: BootTime,
    pub(crate) gone: bool,
    pub(crate) drained: bool,
    beating: bool,
    /// How its devices get through to WhatsApp, and whether a probe does.
    pub(crate) reach: Reach,
    pub(crate) way: bool,
    pub(crate) probes: usize,
    /// When the ledger made the last view that this node has seen.
    viewed: BootTime,
    pub(crate) handed: Vec<(DeviceKey, Result<HandedOff, HandOffError>)>,
}

enum Work {
    Beat { life: Life, sent: BootTime, said: Report },
    Do { life: Life, effect: Effect },
}

pub(crate) struct World {
    pub(crate) now: BootTime,
    seed: u64,
    pub(crate) members: BTreeMap<NodeId, Row>,
    pub(crate) rows: BTreeMap<DeviceKey, Ownership>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    work: Vec<(BootTime, u64, Work)>,
    order: u64,
    pub(crate) view_epoch: i64,
    pub(crate) frozen: bool,
    pub(crate) max_version: Option<u32>,
    /// Of the nodes that join from now on.
    pub(crate) pace: Pace,
    /// When something was last written for a device; missing is never.
    pub(crate) activity: BTreeMap<DeviceKey, UnixMillis>,
    /// When a device was last given, unless it was claimed since.
    pub(crate) given: BTreeMap<DeviceKey, BootTime>,
    /// Every give.
    pub(crate) moves: Vec<(BootTime, DeviceKey)>,
    pub(crate) cluster_epoch: i64,
    pub(crate) blocked_until: BootTime,
    /// Devices whose log lacks its end.
    pub(crate) behind: BTreeSet<DeviceKey>,
    pub(crate) outage_until: BootTime,
    /// Per mille of answers that get lost after the ledger has done its part.
    pub(crate) loss: u64,
    pub(crate) grants: BTreeMap<(DeviceKey, Epoch), Life>,
    pub(crate) burials: usize,
    pub(crate) starts: usize,
    pub(crate) warmed: usize,
}

pub(crate) fn node(n: u32) -> NodeId {
    format!("n{n}").parse().expect("a label")
}

pub(crate) fn key(n: u32) -> DeviceKey {
    format!("tenants/t{}/devices/d{n}", n / 5).parse().expect("a name")
}

impl World {
    pub(crate) fn new(seed: u64, devices: u32) -> World {
        let row = |n| {
            let row = Ownership {
                key: key(n),
                owner: None,
                epoch: Epoch(0),
                desired: Desired::Online,
                wish: Wish::default(),
            };
            (key(n), row)
        };
        World {
            now: BootTime(100_000_000_000),
            seed: seed | 1,
            members: BTreeMap::new(),
            rows: (0..devices).map(row).collect(),
            nodes: BTreeMap::new(),
            work: Vec::new(),
            order: 0,
            view_epoch: 1,
            frozen: false,
            max_version: None,
            pace: Pace {
                calm: Duration::from_secs(3),
                cooldown: Duration::from_secs(5),
                rebalance_moves: 240,
                ..Pace::default()
            },
            activity: BTreeMap::new(),
            given: BTreeMap::new(),
            moves: Vec::new(),
            cluster_epoch: 0,
            blocked_until: BootTime(0),
            behind: BTreeSet::new(),
            outage_until: BootTime(0),
            loss: 0,
            grants: BTreeMap::new(),
            burials: 0,
            starts: 0,
            warmed: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// Starts a node (again) in a new life. The old life must be gone; its row is certified dead.
    pub(crate) fn join(&mut self, n: u32) {
        let id = node(n);
        let incarnation = self.members.get(&id).map_or(1, |row| row.member.life.incarnation.0 + 1);
        let life = Life { node: id.clone(), incarnation: Incarnation(incarnation) };
        let cordoned = self.members.get(&id).is_some_and(|row| row.member.cordoned);
        let member = Member {
            life: life.clone(),
            address: format!("{id}:1"),
            zone: String::new(),
            weight: 100,
            state: MemberState::Joining,
            version: 1,
            owned: 0,
            remaining: Duration::ZERO,
            beats: 0,
            cordoned,
            reach: Reach::default(),
            cut_off: false,
        };
        let row = Row { member, lease_until: self.now.plus(TIMING.ttl), lease_since: self.now };
        self.members.insert(id.clone(), row);
        self.view_epoch += 1;
        let pace = self.pace;
        let config = Config { me: life.clone(), timing: TIMING, policy: Policy::default(), pace };
        let node = Node {
            machine: Machine::new(config, self.now),
            life,
            heart: Heart::new(TIMING, self.now, 0),
            lease: Lease::new(),
            suspended: true,
            running: BTreeMap::new(),
            inbox: Vec::new(),
            frozen_until: BootTime(0),
            gone: false,
            drained: false,
            beating: false,
            reach: Reach::default(),
            way: true,
            probes: 0,
            viewed: BootTime(0),
            handed: Vec::new(),
        };
        self.nodes.insert(id, node);
    }

    pub(crate) fn kill(&mut self, n: u32) {
        if let Some(node) = self.nodes.get_mut(&node(n)) {
            node.gone = true;
            node.running.clear();
        }
    }

    pub(crate) fn node(&mut self, n: u32) -> Option<&mut Node> {
        self.nodes.get_mut(&node(n)).filter(|node| !node.gone)
    }

    pub(crate) fn hand_off(
        &mut self,
        from: &NodeId,
        key: &DeviceKey,
        to: &NodeId,
    ) -> Result<(), HandOffError> {
        let now = self.now;
        let node = self.nodes.get_mut(from).expect("a node");
        let effects = node.machine.hand_off(key, to, now)?;
        let life = node.life.clone();
        self.carry_out(&life, effects);
        Ok(())
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.plus(span);
        while self.now < end {
            self.now = self.now.plus(STEP);
            self.serve();
            for id in self.nodes.keys().cloned().collect::<Vec<_>>() {
                self.turn(&id);
            }
            self.check();
        }
    }

    /// At most for `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, holds: impl Fn(&World) -> bool) {
        let end = self.now.plus(limit);
        while self.now < end && !holds(self) {
            self.run(STEP);
        }
    }

    /// Whether what has an owner runs there.
    pub(crate) fn is_still(&self) -> bool {
        let runs = |key: &DeviceKey, owner: &Life| self.nodes[&owner.node].running.contains_key(key);
        self.rows.values().all(|row| row.owner.as_ref().is_none_or(|owner| runs(&row.key, owner)))
    }

    /// The ledger works off what has reached it.
    fn serve(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.work).into_iter().partition(|(at, ..)| *at <= now);
        self.work = later;
        let mut due: Vec<_> = due;
        due.sort_by_key(|(at, order, _)| (*at, *order));
        for (_, _, work) in due {
            let down = self.now < self.outage_until;
            let lost = self.random(1000) < self.loss;
            let back = self.now.plus(Duration::from_millis(self.random(30)));
            self.order += 1;
            let (life, event) = match work {
                Work::Beat { life, sent, said } => {
                    let answer = (!down).then(|| self.beat(&life, said)).filter(|_| !lost);
                    if let Some(node) = self.nodes.get_mut(&life.node).filter(|node| node.life == life) {
                        node.beating = false;
                        let jitter = (self.order % 100) as f64 / 100.0;
                        let renewed = matches!(answer, Some(Beaten::Renewed(_)));
                        node.heart.answered(sent, now, renewed, jitter);
                    }
                    let Some(answer) = answer else { continue };
                    (life, Event::Beaten { sent, answer })
                }
                Work::Do { life, effect } => {
                    let event = self.perform(&life, effect, down, lost);
                    (life, event)
                }
            };
            if let Some(node) = self.nodes.get_mut(&life.node).filter(|node| node.life == life) {
                node.inbox.push((back, self.order, now, event));
            }
        }
    }

    /// One node takes its turn, unless it is frozen or gone.
    fn turn(&mut self, id: &NodeId) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(id).filter(|node| !node.gone && node.frozen_until <= now) else {
            return;
        };
        let life = node.life.clone();
        if !node.beating && node.heart.poll(now, now.0) == Pulse::Beat {
            node.beating = true;
            node.machine.see_reach(node.reach, now);
            let said = node.machine.report(now);
            let at = now.plus(Duration::from_millis(10));
            self.order += 1;
            self.work.push((at, self.order, Work::Beat { life: life.clone(), sent: now, said }));
        }
        let mut events = Vec::new();
        let node = self.nodes.get_mut(id).expect("looked up above");
        let (mut due, later): (Vec<_>, _) =
            std::mem::take(&mut node.inbox).into_iter().partition(|(at, ..)| *at <= now);
        node.inbox = later;
        due.sort_by_key(|(at, order, ..)| (*at, *order));
        events.extend(due.into_iter().map(|(_, _, made, event)| (made, event)));
        events.push((now, Event::Tick));
        for (made, event) in events {
            let node = self.nodes.get_mut(id).expect("looked up above");
            if let Event::Beaten { sent, answer: Beaten::Renewed(_) } = &event {
                node.suspended |= !node.lease.may_act(now);
                node.lease.renewed(*sent, &TIMING);
                node.viewed = made;
            }
            let effects = node.machine.handle(now, event);
            self.carry_out(&life, effects);
        }
    }

    fn carry_out(&mut self, life: &Life, effects: Vec<Effect>) {
        for effect in effects {
            let there = self.now.plus(Duration::from_millis(10 + self.random(20)));
            let node = self.nodes.get_mut(&life.node).expect("it emitted this");
            let acting = !node.suspended && node.lease.may_act(self.now);
            self.order += 1;
            match effect {
                Effect::Start(grant, _) => {
                    assert!(acting, "{life} starts {} while it may not act", grant.key);
                    let earlier = self.rows[&grant.key].epoch;
                    assert!(grant.epoch <= earlier, "{life} starts under an epoch that does not exist");
                    let old = node.running.insert(grant.key.clone(), grant);
                    assert_eq!(old, None, "{life} starts what runs");
                    self.starts += 1;
                }
                Effect::Stop(grant) => {
                    assert_eq!(
                        node.running.remove(&grant.key),
                        Some(grant.clone()),
                        "{life} stops what it does not run"
                    );
                    node.inbox.push((there, self.order, self.now, Event::Stopped(grant)));
                }
                Effect::Probe => {
                    node.probes += 1;
                    node.inbox.push((there, self.order, self.now, Event::Probed(node.way)));
                }
                Effect::Aged(..) => {}
                Effect::Quiesce => node.suspended = true,
                Effect::Resume => {
                    assert!(node.lease.may_act(self.now), "{life} resumes without a lease");
                    node.suspended = false;
                }
                Effect::Die => {
                    node.gone = true;
                    node.running.clear();
                }
                Effect::Drained => {
                    assert!(node.running.is_empty());
                    (node.drained, node.gone) = (true, true);
                    self.members.get_mut(&life.node).expect("joined").member.state = MemberState::Dead;
                    self.view_epoch += 1;
                }
                Effect::HandedOff(key, outcome) => node.handed.push((key, outcome)),
                Effect::Hint(to, key, ..) => {
                    if let Some(node) = self.nodes.get_mut(&to.node) {
                        node.inbox.push((there, self.order, self.now, Event::Adopt(key)));
                    }
                }
                Effect::Warm(grant, to, within) => {
                    assert!(
                        node.running.get(&grant.key) == Some(&grant),
                        "{life} lets warm what it does not run"
                    );
                    self.warmed += 1;
                    let later = self.random(within.as_millis() as u64 / 10);
                    let there = self.now.plus(Duration::from_millis(10 + later));
                    let node = self.nodes.get_mut(&life.node).expect("it emitted this");
                    node.inbox.push((there, self.order, self.now, Event::Warmed(grant, to)));
                }
                Effect::Left(..) | Effect::Overtaken(_) => {}
                effect => {
                    if let Effect::Claim(_, keys) = &effect {
                        assert!(acting, "{life} claims while it may not act");
                        assert!(!node.machine.draining(), "{life} claims while it drains");
                        assert!(keys.len() <= 500 && keys.is_sorted());
                    }
                    if let Effect::Bury(victim) = &effect {
                        assert!(acting, "{life} buries while it may not act");
                        let row = &self.members[&victim.node];
                        let over =
                            row.member.life != *victim || row.lease_until.plus(TIMING.grace) <= self.now;
                        // A renewal that no view has shown yet is the ledger's to notice.
                        let unseen = row.lease_until >= node.viewed.plus(TIMING.ttl);
                        assert!(over || unseen, "{life} buries {victim} too early");
                    }
                    let life = life.clone();
                    self.work.push((there, self.order, Work::Do { life, effect }));
                }
            }
        }
    }
}
