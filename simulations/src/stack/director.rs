//! The director: begins and ends the faults of a plan, and starts processes that have ended.
//!
//! What must hold: it acts only between steps, so that everything it does has one place in the order of the
//! run; after [`Director::heal`] nothing of any fault is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use roost_placement::ledger::Ledger as _;
use turmoil::Sim;

use super::backend::Backend;
use super::database::Way;
use super::node::{Order, Place};
use crate::history::What;
use crate::model::Model;
use crate::run::{Record, Trouble, name};
use crate::wa::{Fault, SimServer};

/// From the exit of a process until its parent has said so.
const CERTIFIED_AFTER: Duration = Duration::from_millis(5);

/// From the end of a process until its parent starts the next.
const RESTART: Duration = Duration::from_millis(500);

/// What is to happen later.
#[derive(Debug, Clone, PartialEq)]
enum Later {
    /// The process of a node begins.
    Begin(usize),
    /// The parent of a node says that this life has exited.
    Certify(roost_proto::id::Life),
    /// Messages pass again.
    Mend(String, String),
    /// A machine runs again.
    Thaw(usize),
    /// A node has its database again.
    Reach(usize),
    /// Answers come again.
    Answer(usize),
    /// Answers come as quickly as ever.
    Prompt(usize),
}

/// The director of one run.
pub(super) struct Director {
    pub(super) places: Vec<Place>,
    pub(super) backend: Backend,
    pub(super) sim: Arc<SimServer>,
    pub(super) model: Arc<Model>,
    pub(super) record: Record,
    /// Steps of the database's clock so far, in milliseconds.
    pub(super) steps: Arc<AtomicI64>,
    later: Vec<(Duration, Later)>,
    frozen: Vec<bool>,
}

impl Director {
    pub(super) fn new(
        places: Vec<Place>,
        backend: Backend,
        sim: Arc<SimServer>,
        model: Arc<Model>,
        record: Record,
        steps: Arc<AtomicI64>,
    ) -> Director {
        let frozen = vec![false; places.len()];
        Director { places, backend, sim, model, record, steps, later: Vec::new(), frozen }
    }

    /// What is due by now, and what processes have ended.
    pub(super) fn tick(&mut self, hosts: &mut Sim<'_>) {
        let now = hosts.elapsed();
        while let Some(due) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, what) = self.later.remove(due);
            self.carry_out(what, hosts);
        }
        for place in 0..self.places.len() {
            let ended = *self.places[place].orders.borrow() == Order::Ended;
            let begins = self.later.iter().any(|(_, later)| *later == Later::Begin(place));
            if ended && !begins {
                self.record.exited(place);
                // Nothing of it may go on, as nothing of a process goes on after its end.
                hosts.crash(name(place));
                self.later.push((now + RESTART, Later::Begin(place)));
            }
        }
    }

    fn carry_out(&mut self, what: Later, hosts: &mut Sim<'_>) {
        match what {
            Later::Begin(node) => {
                self.places[node].orders.send_replace(Order::Run);
                hosts.bounce(name(node));
            }
            Later::Certify(life) => {
                // The parent's link never fails: the call is over at once.
                if let Some(Ok(true)) = self.model.certify_death(&life).now_or_never() {
                    self.record.fact(What::Certified { victim: life });
                }
            }
            Later::Mend(from, to) => {
                self.record.fault(format!("{from} and {to} reach each other"));
                hosts.repair(from, to);
            }
            Later::Thaw(node) => {
                self.frozen[node] = false;
                if let Some(life) = self.record.life(node) {
                    self.record.fact(What::Thawed(life));
                }
                self.places[node].boot.go_on();
                self.places[node].link.set(Way::Open);
                for other in self.others(node) {
                    hosts.release(name(node), other);
                }
            }
            Later::Reach(node) => {
                self.record.fault(format!("{} reaches the database", name(node)));
                self.places[node].link.set(Way::Open);
            }
            Later::Answer(node) => self.places[node].link.lose(0),
            Later::Prompt(node) => self.places[node].link.delay(Duration::ZERO),
        }
    }

    /// Begins one fault.
    pub(super) fn begin(&mut self, trouble: &Trouble, hosts: &mut Sim<'_>) {
        let now = hosts.elapsed();
        match trouble {
            Trouble::Crash { node, certified, lasting } => {
                let Some(life) = self.record.life(*node) else { return };
                self.record.fault(format!("{} is killed", name(*node)));
                hosts.crash(name(*node));
                self.record.exited(*node);
                self.later.retain(|(_, later)| *later != Later::Begin(*node));
                self.later.push((now + *lasting, Later::Begin(*node)));
                if *certified {
                    self.later.push((now + CERTIFIED_AFTER, Later::Certify(life)));
                }
            }
            Trouble::Cut { from, to, both, lasting } => {
                let back = if *both { ", nor back" } else { "" };
                self.record.spell(format!("{from} does not reach {to}{back}"), None, *lasting);
                match both {
                    true => hosts.partition(from.as_str(), to.as_str()),
                    false => hosts.partition_oneway(from.as_str(), to.as_str()),
                }
                self.later.push((now + *lasting, Later::Mend(from.clone(), to.clone())));
            }
            Trouble::Freeze { node, clock_stops, lasting } => {
                if std::mem::replace(&mut self.frozen[*node], true) {
                    return;
                }
                if let Some(life) = self.record.life(*node) {
                    self.record.fact(What::Frozen { life, clock_stops: *clock_stops });
                }
                if *clock_stops {
                    self.places[*node].boot.pause();
                }
                self.places[*node].link.set(Way::Held);
                for other in self.others(*node) {
                    hosts.hold(name(*node), other);
                }
                self.later.push((now + *lasting, Later::Thaw(*node)));
            }
            Trouble::Unreached { node, silent, lasting } => {
                self.record.spell("it does not reach the database", Some(*node), *lasting);
                self.unreached(*node, *silent, now + *lasting);
            }
            Trouble::Outage { silent, lasting } => {
                self.record.spell("the database is away", None, *lasting);
                (0..self.places.len()).for_each(|node| self.unreached(node, *silent, now + *lasting));
            }
            Trouble::LostAnswers { node, per_mille, lasting } => {
                self.record.spell("answers of the database to it get lost", Some(*node), *lasting);
                self.places[*node].link.lose(*per_mille);
                self.later.push((now + *lasting, Later::Answer(*node)));
            }
            Trouble::Late { node, by, lasting } => {
                self.record.spell("the database answers it late", Some(*node), *lasting);
                self.places[*node].link.delay(*by);
                self.later.push((now + *lasting, Later::Prompt(*node)));
            }
            Trouble::Deaf { node, lasting } => {
                if self.frozen[*node] {
                    return;
                }
                self.record.spell("the database does not hear it", Some(*node), *lasting);
                self.places[*node].link.set(Way::Deaf);
                self.later.push((now + *lasting, Later::Reach(*node)));
            }
            Trouble::Step { millis } => {
                self.steps.fetch_add(*millis, Ordering::Relaxed);
                self.record.fact(What::ClockStepped { millis: *millis });
            }
            Trouble::Drain { node } => {
                self.record.fault(format!("{} is told to drain", name(*node)));
                self.places[*node].orders.send_if_modified(|order| {
                    let runs = *order == Order::Run;
                    *order = if runs { Order::Drain } else { *order };
                    runs
                });
            }
            Trouble::Move { device, to } => {
                self.record.fault(format!("device {device} is to move to {}", name(*to)));
                self.backend.move_device(*device, *to);
            }
            Trouble::Drop => self.commit(&Fault::DropConnection { device: None }),
            Trouble::LostAcks { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::LoseServerAcks { device, count });
            }
            Trouble::Twice { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::DuplicateDeliveries { device, count });
            }
            Trouble::TakePrekeys { device, leave } => {
                let leave = *leave;
                self.at_device(*device, |device| Fault::TakePrekeys { device, leave });
            }
        }
    }

    /// Ends every fault at once and lets what they broke begin again.
    pub(super) fn heal(&mut self, hosts: &mut Sim<'_>) {
        let mut later = std::mem::take(&mut self.later);
        // What was held must not be lost: first the machines, then the lines.
        later.sort_by_key(|(_, what)| !matches!(what, Later::Thaw(_)));
        for (at, what) in later {
            match what {
                Later::Begin(_) | Later::Certify(_) => {
                    self.later.push((at.min(hosts.elapsed() + RESTART), what))
                }
                what => self.carry_out(what, hosts),
            }
        }
        self.record.fact(What::Healed);
    }

    fn unreached(&mut self, node: usize, silent: bool, until: Duration) {
        if self.frozen[node] {
            return;
        }
        self.places[node].link.set(if silent { Way::Held } else { Way::Refused });
        self.later.push((until, Later::Reach(node)));
    }

    fn others(&self, node: usize) -> impl Iterator<Item = String> + use<> {
        let hosts = (0..self.places.len()).filter(move |other| *other != node).map(name);
        hosts.chain(["whatsapp".to_owned(), "callers".to_owned()])
    }

    /// A fault of WhatsApp at the companion of one of our devices.
    fn at_device(&self, device: usize, fault: impl FnOnce(String) -> Fault) {
        let companion = self.sim.look(|machine| {
            let companions = machine.accounts().values().filter_map(|account| {
                let number = account.companions.keys().next()?;
                Some(format!("{}:{number}", account.pn))
            });
            companions.collect::<Vec<_>>().get(device).cloned()
        });
        if let Some(companion) = companion {
            self.commit(&fault(companion));
        }
    }

    fn commit(&self, fault: &Fault) {
        self.record.fault(format!("WhatsApp: {fault:?}"));
        // A device that is gone has no faults.
        let _ = self.sim.commit(fault);
    }
}
