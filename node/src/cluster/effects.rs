//! Carries out single effects of the machine in tasks: questions to the ledger, starts and stops.
//!
//! What must hold: every question is answered by one event, in bounded time, with "no answer" when the
//! ledger is silent; for one device, starts and stops happen in the order in which they were ordered;
//! a device that ended by itself is reported, unless it was told to stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::device::Opening;
use roost_placement::ledger::{Grant, Ledger, MemberState, Posted, Timing, Unavailable};
use roost_placement::machine::{Answer, Effect, Event, NoAnswer, Origin};
use roost_proto::id::{DeviceKey, Epoch, Life, NodeId, Sequence};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::ClusterPorts;

/// Questions to the ledger that are under way at once; the store's pool is shared with the devices.
const QUESTIONS: usize = 16;

/// The ledger's time for an answer. Its adapters have bounds of their own; this one holds in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// A hint that takes longer is not worth it: the target finds out by itself.
const HINT: Duration = Duration::from_secs(1);

/// Changes of owner that are looked at: a device that was taken may have gone on since.
const OVERTAKINGS: usize = 16;

/// Below this many orders and watchers nobody tidies up.
const TIDY: usize = 256;

/// Attempts to close the own row after a drain.
const CLOSINGS: u32 = 5;

pub(super) struct Effects {
    life: Life,
    ports: ClusterPorts,
    events: mpsc::Sender<Event>,
    questions: Arc<Semaphore>,
    timing: Timing,
    /// The last start or stop of each device that has one under way.
    orders: BTreeMap<DeviceKey, JoinHandle<()>>,
    /// Who waits for a device to end by itself.
    watchers: BTreeMap<DeviceKey, AbortHandle>,
    /// At this many of both, those that are done are removed.
    tidy_at: usize,
}

impl Effects {
    pub(super) fn new(
        life: Life,
        ports: ClusterPorts,
        events: mpsc::Sender<Event>,
        timing: Timing,
    ) -> Effects {
        Effects {
            life,
            ports,
            events,
            timing,
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            orders: BTreeMap::new(),
            watchers: BTreeMap::new(),
            tidy_at: TIDY,
        }
    }

    /// Begins to carry out one effect. Those that concern the whole node are the driver's.
    pub(super) fn begin(&mut self, effect: Effect) {
        let (me, timing) = (self.life.clone(), self.timing);
        match effect {
            Effect::Start(grant, origin) => self.start(grant, origin),
            Effect::Stop(grant) => self.stop(grant),
            Effect::SetState(state) => self.ask(move |ledger| async move {
                Event::StateSet(state, answer(ledger.set_state(&me, state)).await)
            }),
            Effect::Bury(victim) => self.ask(move |ledger| async move {
                let done = answer(ledger.bury(&me, &victim, &timing)).await;
                if done == Ok(true) {
                    tracing::warn!(%victim, "buried: its lease and the grace were over");
                }
                Event::Buried(victim, done)
            }),
            Effect::ListClaimable(limit) => {
                self.ask(move |ledger| async move { Event::Claimable(answer(ledger.claimable(limit)).await) })
            }
            Effect::Claim(from, keys) => self.ask(move |ledger| async move {
                let grants = answer(ledger.claim(&me, from.as_ref(), &keys)).await;
                Event::Claimed(from, keys, grants)
            }),
            Effect::ListMine(number) => {
                self.ask(move |ledger| async move { Event::Mine(number, answer(ledger.mine(&me)).await) })
            }
            Effect::Survey => self.ask(move |ledger| async move {
                Event::Surveyed(answer(ledger.survey(Some(&me), None, usize::MAX)).await)
            }),
            Effect::Reattach(epoch, grants) => {
                tracing::warn!(life = %me, devices = grants.len(), "the database may have lost its tail: posting what runs here");
                self.ask(move |ledger| async move {
                    let post =
                        |grant: &Grant| Posted { grant: grant.clone(), head: Sequence(0), accepted: 0 };
                    let posts: Vec<Posted> = grants.iter().map(post).collect();
                    let kept = answer(ledger.reattach(&me, &posts)).await;
                    Event::Reattached(epoch, grants, kept)
                })
            }
            Effect::Look(key) => self.ask(move |ledger| async move {
                let row = answer(ledger.ownership(&key)).await;
                Event::Row(key, row)
            }),
            Effect::Give(grant, to) => self.ask(move |ledger| async move {
                let given = answer(ledger.give(&grant, &to)).await;
                Event::Given(grant, to, given)
            }),
            Effect::Release(grant) => self.ask(move |ledger| async move {
                let done = answer(ledger.release(&grant)).await;
                Event::Released(grant, done)
            }),
            Effect::Overtaken(grant) => {
                let ports = self.ports.clone();
                tokio::spawn(async move { overtaken(&ports, &grant).await });
            }
            Effect::Probe => {
                let (hosting, events) = (self.ports.hosting.clone(), self.events.clone());
                tokio::spawn(async move { events.send(Event::Probed(hosting.probe().await)).await });
            }
            Effect::Hint(..)
            | Effect::Warm(..)
            | Effect::HandedOff(..)
            | Effect::Left(..)
            | Effect::Quiesce
            | Effect::Resume
            | Effect::Aged(..)
            | Effect::Die
            | Effect::Drained => unreachable!("the driver keeps what concerns the whole node"),
        }
    }

    /// Tells a peer that a device was given to it.
    pub(super) fn hint(&self, to: Life, address: String, key: DeviceKey, epoch: Epoch, stopped: Duration) {
        let hints = self.ports.hints.clone();
        tokio::spawn(async move { timeout(HINT, hints.adopt(&to, &address, &key, epoch, stopped)).await });
    }

    /// Lets a peer prepare for a device. Without an address, or for a device that is not connected, there
    /// is nothing to prepare.
    pub(super) fn warm(&self, grant: Grant, to: Life, address: Option<String>, within: Duration) {
        let (hints, events) = (self.ports.hints.clone(), self.events.clone());
        let address = address.filter(|_| self.ports.hosting.is_connected(&grant.key));
        tokio::spawn(async move {
            if let Some(address) = address {
                // Late is as good as not at all.
                let _ = timeout(within, hints.warm(&to, &address, &grant.key, within)).await;
            }
            let _ = events.send(Event::Warmed(grant, to)).await;
        });
    }

    /// The drain is over: the own row can go at once instead of with its lease.
    pub(super) async fn close_row(&self) {
        for _ in 0..CLOSINGS {
            if answer(self.ports.ledger.set_state(&self.life, MemberState::Dead)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tracing::warn!(life = %self.life, "the own row could not be closed; its lease will end");
    }

    /// Nothing more is waited for.
    pub(super) fn abandon(&self) {
        self.watchers.values().for_each(AbortHandle::abort);
        self.orders.values().for_each(|order| order.abort());
    }

    fn ask<F, Fut>(&self, question: F)
    where
        F: FnOnce(Arc<dyn Ledger>) -> Fut + Send + 'static,
        Fut: Future<Output = Event> + Send + 'static,
    {
        let (ledger, events, questions) =
            (self.ports.ledger.clone(), self.events.clone(), self.questions.clone());
        tokio::spawn(async move {
            let _turn = questions.acquire_owned().await;
            // The driver is gone when nobody listens any more.
            let _ = events.send(question(ledger).await).await;
        });
    }

    fn start(&mut self, grant: Grant, origin: Origin) {
        let reason = reason(&origin);
        self.ports.metrics.count("roost_ownership_transitions_total", &[("reason", reason)]);
        let (ports, events, questions) = (self.ports.clone(), self.events.clone(), self.questions.clone());
        let (ended_in, ended) = tokio::sync::oneshot::channel();
        let key = grant.key.clone();
        let started = grant.clone();
        self.after_orders(&key, async move {
            let turn = questions.acquire_owned().await;
            let from = former_owner(&*ports.ledger, &started, &origin).await;
            drop(turn);
            let opening = Opening { grant: started.clone(), from, reason: reason.to_owned() };
            let ending = ports.hosting.start(opening).await;
            // Nobody takes it when the device was told to stop meanwhile.
            let _ = ended_in.send(ending);
        });
        let watcher = tokio::spawn(async move {
            let why = match ended.await {
                Ok(Ok(ending)) => ending.await,
                Ok(Err(error)) => error.to_string(),
                Err(_) => return,
            };
            tracing::warn!(key = %grant.key, epoch = %grant.epoch, %why, "a device has ended by itself");
            let _ = events.send(Event::Ended(grant)).await;
        });
        if let Some(old) = self.watchers.insert(key, watcher.abort_handle()) {
            old.abort();
        }
    }

    fn stop(&mut self, grant: Grant) {
        if let Some(watcher) = self.watchers.remove(&grant.key) {
            watcher.abort();
        }
        let (ports, events) = (self.ports.clone(), self.events.clone());
        let key = grant.key.clone();
        self.after_orders(&key, async move {
            ports.hosting.stop(&grant.key).await;
            let _ = events.send(Event::Stopped(grant)).await;
        });
    }

    /// Runs an order for a device after those that came before it.
    fn after_orders(&mut self, key: &DeviceKey, order: impl Future<Output = ()> + Send + 'static) {
        if self.orders.len() + self.watchers.len() >= self.tidy_at {
            self.orders.retain(|_, order| !order.is_finished());
            self.watchers.retain(|_, watcher| !watcher.is_finished());
            self.tidy_at = TIDY.max(2 * (self.orders.len() + self.watchers.len()));
        }
        let before = self.orders.remove(key);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // A panic of an earlier order is no reason to leave this one out.
                let _ = before.await;
            }
            order.await;
        });
        self.orders.insert(key.clone(), task);
    }
}

/// Waits for the ledger, within bounds.
async fn answer<T>(call: impl Future<Output = Result<T, Unavailable>>) -> Answer<T> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the ledger did not answer");
            Err(NoAnswer)
        }
        Err(_) => {
            tracing::warn!("the ledger did not answer in time");
            Err(NoAnswer)
        }
    }
}

/// Counts a device that was taken from this node while it might act. Not knowing is fine.
async fn overtaken(ports: &ClusterPorts, grant: &Grant) {
    let history = timeout(HINT, ports.ledger.history(&grant.key, OVERTAKINGS)).await;
    let taken = history.into_iter().flatten().flatten().find(|change| change.takes_from(grant));
    if let Some(change) = taken.filter(|_| ports.permission.may_act()) {
        ports.metrics.count("roost_owner_violations_total", &[]);
        let by = change.owner.map(|life| life.to_string()).unwrap_or_default();
        tracing::error!(key = %grant.key, epoch = %grant.epoch, %by, "taken from this node while it might act");
    }
}

/// One word for how a grant came here, as the history of owners says it.
fn reason(origin: &Origin) -> &'static str {
    match origin {
        Origin::Claimed => "claim",
        Origin::TakenOver(_) => "take-over",
        Origin::Given => "give",
        Origin::Again => "again",
        Origin::Reattached => "re-attach",
    }
}

/// Who held the device before, for the event log. A gift has to be looked up; not knowing is fine.
async fn former_owner(ledger: &dyn Ledger, grant: &Grant, origin: &Origin) -> Option<NodeId> {
    match origin {
        Origin::Claimed | Origin::Again | Origin::Reattached => None,
        Origin::TakenOver(life) => Some(life.node.clone()),
        Origin::Given => {
            let history = timeout(HINT, ledger.history(&grant.key, 2)).await.ok()?.ok()?;
            let before = history.into_iter().find(|change| change.epoch.0 == grant.epoch.0 - 1)?;
            before.owner.map(|life| life.node)
        }
    }
}
