//! Runs the placement machine: feeds it events, has its effects carried out, publishes what it knows.
//!
//! What must hold: one task owns the machine; effects that concern one device are carried out one after
//! the other; the counter that keeps the heartbeat going moves only while this loop does. It decides
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roost_placement::egress::Report;
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Beaten, Timing};
use roost_placement::load;
use roost_placement::machine::{self, Effect, Event, Machine, TakenOver};
use roost_proto::id::{DeviceKey, Life};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::ClusterPorts;
use super::effects::Effects;
use super::handle::{Command, Ended, Placed, Shared};
use super::heartbeat::Vitals;
use crate::api::port::Seen;

/// How often the machine hears that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// How often it is counted how the devices get through to WhatsApp.
const COUNTED: Duration = Duration::from_millis(500);

type HandOffReply = oneshot::Sender<Result<machine::HandedOff, machine::HandOffError>>;

pub(super) struct Driver {
    machine: Machine,
    timing: Timing,
    ports: ClusterPorts,
    shared: Arc<Shared>,
    ended: watch::Sender<Option<Ended>>,
    vitals: Vitals,
    hand_offs: BTreeMap<DeviceKey, HandOffReply>,
    /// Callers that wait until a device is gone from here.
    freeing: Vec<(DeviceKey, oneshot::Sender<()>)>,
    quiet: watch::Sender<bool>,
}

impl Driver {
    pub(super) fn new(
        machine: Machine,
        timing: Timing,
        ports: ClusterPorts,
        shared: Arc<Shared>,
        ended: watch::Sender<Option<Ended>>,
        vitals: Vitals,
    ) -> Driver {
        let (hand_offs, freeing, quiet) = (BTreeMap::new(), Vec::new(), watch::Sender::new(true));
        Driver { machine, timing, ports, shared, ended, vitals, hand_offs, freeing, quiet }
    }

    pub(super) async fn run(
        mut self,
        mut beats: mpsc::Receiver<(BootTime, Beaten)>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let (events_in, mut events) = mpsc::channel(1024);
        let mut effects = Effects::new(self.shared.life.clone(), self.ports.clone(), events_in, self.timing);
        tokio::spawn(keep_quiet(self.ports.clone(), self.quiet.subscribe()));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counted: Option<BootTime> = None;
        let outcome = loop {
            let event = tokio::select! {
                biased;
                Some((sent, answer)) = beats.recv() => Event::Beaten { sent, answer },
                Some(event) = events.recv() => event,
                Some(command) = commands.recv() => match self.command(command, &mut effects) {
                    Some(event) => event,
                    None => continue,
                },
                _ = ticks.tick() => Event::Tick,
            };
            self.vitals.progress.fetch_add(1, Ordering::Relaxed);
            let beaten = matches!(event, Event::Beaten { .. });
            let now = (self.ports.permission.clock())();
            if counted.is_none_or(|counted| now.since(counted) >= COUNTED) {
                counted = Some(now);
                self.machine.see_reach(self.ports.hosting.reach(now), now);
            }
            let from = match &event {
                Event::Claimed(from, _, Ok(grants)) if !grants.is_empty() => from.clone(),
                _ => None,
            };
            let todo = self.machine.handle(now, event);
            if let Some(taken) = from.and_then(|from| self.machine.taken_over(&from, now)) {
                self.time_take_over(taken);
            }
            if let Some(outcome) = self.carry_out(todo, &mut effects) {
                break outcome;
            }
            self.publish(beaten);
        };
        self.leave(outcome, effects).await;
    }

    /// What a caller wants; some of it is an event.
    fn command(&mut self, command: Command, effects: &mut Effects) -> Option<Event> {
        match command {
            Command::Adopt(key) => return Some(Event::Adopt(key)),
            Command::Sweep => return Some(Event::Sweep),
            Command::Doing(key, reply) => {
                // The caller may have stopped waiting.
                let _ = reply.send(self.machine.doing(&key));
            }
            Command::Drain(reply) => {
                // The caller may be gone; the drain begins all the same.
                let _ = reply.send(self.machine.drain());
                self.shared.draining.send_replace(true);
                tracing::info!(life = %self.shared.life, owned = self.machine.owned(), "draining");
                return Some(Event::Tick);
            }
            Command::Free(key, reply) => {
                if self.machine.grant(&key).is_none() {
                    let _ = reply.send(());
                } else {
                    self.freeing.retain(|(_, waiting)| !waiting.is_closed());
                    self.freeing.push((key.clone(), reply));
                }
                return Some(Event::Adopt(key));
            }
            Command::HandOff(key, to, reply) => {
                let now = (self.ports.permission.clock())();
                match self.machine.hand_off(&key, &to, now) {
                    Ok(todo) => {
                        self.hand_offs.insert(key, reply);
                        let over = self.carry_out(todo, effects);
                        debug_assert!(over.is_none(), "a hand-off ends no life");
                    }
                    Err(refused) => {
                        let _ = reply.send(Err(refused));
                    }
                }
            }
        }
        None
    }

    /// Carries out what concerns the whole node; leaves the rest to the tasks of `effects`.
    fn carry_out(&mut self, todo: Vec<Effect>, effects: &mut Effects) -> Option<Ended> {
        for effect in todo {
            match effect {
                Effect::Quiesce => {
                    self.ports.permission.suspend();
                    self.quiet.send_replace(true);
                    let why = "the lease has run out, or the database answers on another time-line";
                    tracing::warn!(life = %self.shared.life, why, "nothing acts until it is known who owns what");
                }
                Effect::Resume => {
                    self.ports.permission.resume();
                    self.quiet.send_replace(false);
                    tracing::info!(life = %self.shared.life, owned = self.machine.owned(), "devices may act");
                }
                Effect::Aged(age, doubtful) => self.ports.permission.aged(age, doubtful),
                Effect::HandedOff(key, outcome) => {
                    if outcome.is_ok() {
                        let labels = [("reason", "request")];
                        self.ports.metrics.count("roost_devices_moved_total", &labels);
                    }
                    if let Some(reply) = self.hand_offs.remove(&key) {
                        // The caller may have stopped waiting.
                        let _ = reply.send(outcome);
                    }
                }
                Effect::Left(key, reason) => {
                    tracing::debug!(%key, reason = reason.as_str(), "handed off");
                    let labels = [("reason", reason.as_str())];
                    self.ports.metrics.count("roost_devices_moved_total", &labels);
                }
                Effect::Hint(to, key, epoch, stopped) => {
                    self.ports.metrics.time("roost_handoff_duration_seconds", &[], stopped);
                    if let Some(address) = self.address(&to) {
                        effects.hint(to, address, key, epoch, stopped);
                    }
                }
                Effect::Warm(grant, to, within) => {
                    let address = self.address(&to);
                    effects.warm(grant, to, address, within);
                }
                Effect::Die => return Some(Ended::Dead),
                Effect::Drained => return Some(Ended::Drained),
                effect => effects.begin(effect),
            }
        }
        None
    }

    /// Where a member is reached, if the view shows it living.
    fn address(&self, life: &Life) -> Option<String> {
        let members = &self.machine.view().members;
        members.iter().find(|member| member.life == *life).map(|member| member.address.clone())
    }

    fn publish(&mut self, beaten: bool) {
        let owned = self.machine.owned();
        self.say(self.machine.report((self.ports.permission.clock())()));
        self.shared.owned.send_if_modified(|before| std::mem::replace(before, owned) != owned);
        let standing = self.machine.standing();
        self.shared.standing.send_if_modified(|before| std::mem::replace(before, standing) != standing);
        let machine = &self.machine;
        let (gone, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.freeing).into_iter().partition(|(key, _)| machine.grant(key).is_none());
        self.freeing = waiting;
        for (_, reply) in gone {
            let _ = reply.send(());
        }
        if beaten {
            let view = self.machine.view().clone();
            self.measure(&view);
            self.shared.views.send_replace(Arc::new(Seen { view, at: Instant::now() }));
            let (ring, spread) = (self.machine.ring().clone(), self.machine.spread().clone());
            self.shared.placed.send_replace(Arc::new(Placed { ring, spread }));
        }
    }

    /// What the next heartbeat says; a change of the way to WhatsApp is news.
    fn say(&self, report: Report) {
        let before = std::mem::replace(&mut *self.vitals.lock(), report);
        let reach = report.reach;
        let (life, failing, connected) = (&self.shared.life, reach.failing, reach.connected);
        match (before.cut_off, report.cut_off) {
            (false, true) => {
                self.ports.metrics.count("roost_egress_drains_total", &[]);
                tracing::warn!(%life, failing, connected, "WhatsApp cannot be reached from here, and from others it can: they get the devices");
            }
            (true, false) => tracing::info!(%life, "the egress drain is over"),
            _ => {}
        }
    }

    fn time_take_over(&self, taken: TakenOver) {
        let phases = [("detect", taken.detected), ("claim", Some(taken.claimed))];
        for (phase, took) in phases.into_iter().filter_map(|(phase, took)| Some((phase, took?))) {
            self.ports.metrics.time("roost_takeover_duration_seconds", &[("phase", phase)], took);
        }
    }

    fn measure(&self, view: &roost_placement::ledger::View) {
        let metrics = &self.ports.metrics;
        let report = *self.vitals.lock();
        metrics.set("roost_devices_unreachable", &[], f64::from(report.reach.failing));
        metrics.set("roost_egress_drained", &[], f64::from(u8::from(report.cut_off)));
        let cordoned = view.members.iter().filter(|member| member.cordoned).count();
        metrics.set("roost_nodes_cordoned", &[], cordoned as f64);
        metrics.set("roost_placement_frozen", &[], f64::from(u8::from(view.frozen)));
        metrics.set("roost_max_mean_load", &[], load::unevenness(view));
    }

    /// The life is over, one way or the other.
    async fn leave(self, outcome: Ended, effects: Effects) {
        self.ports.permission.revoke();
        self.vitals.stop.cancel();
        match outcome {
            Ended::Dead => {
                tracing::error!(life = %self.shared.life, "this life is over: its row says dead");
                effects.abandon();
            }
            Ended::Drained => {
                tracing::info!(life = %self.shared.life, "drained");
                effects.close_row().await;
            }
        }
        self.ports.hosting.close().await;
        self.ended.send_replace(Some(outcome));
    }
}

/// Tells the devices, in order, whether they may act. What is told last always gets through.
async fn keep_quiet(ports: ClusterPorts, mut quiet: watch::Receiver<bool>) {
    while quiet.changed().await.is_ok() {
        let now_quiet = *quiet.borrow_and_update();
        if now_quiet {
            ports.hosting.quiesce().await;
        } else {
            ports.hosting.resume().await;
        }
    }
}
