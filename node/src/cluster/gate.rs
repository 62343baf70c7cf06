//! The gate before every login: a turn under the node's login rate, then a permit from the ledger.
//!
//! What must hold: turns come at the pace of `turns` and `throttle`; a permit counts from before the question was sent and for at most a second
//! (`lease::permit_deadline`); questions of many devices go out together; who stops waiting frees its
//! place. The gate does not know why a device logs in, and a turn is no permit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{Attempt, DialPermit, Gate, PermitRefused, Urgency};
use roost_placement::lease::permit_deadline;
use roost_placement::ledger::{Grant, Ledger, Timing, Unavailable};
use roost_placement::ring;
use roost_proto::id::{BusinessId, DeviceKey};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::clock::BootClock;
use super::permission::Permission;
use super::throttle::Throttle;
use super::turns::Turns;
use crate::api::port::Seen;
use crate::metrics::Metrics;
use crate::outside::Dice;

/// Grants in one question at most.
const BATCH: usize = 500;

/// How long the first question waits for others to join it.
const GATHER: Duration = Duration::from_millis(2);

/// A handshake that takes this long says that the other side is at its limit.
const SLUGGISH: Duration = Duration::from_secs(4);

/// As the metrics name them.
const URGENCIES: [(Urgency, &str); 4] = [
    (Urgency::Urgent, "urgent"),
    (Urgency::Recent, "recent"),
    (Urgency::Idle, "idle"),
    (Urgency::Warm, "warm"),
];

/// A permit that takes longer to get is worth nothing: its life counts from the send.
const PATIENCE: Duration = Duration::from_secs(1);

/// Jitter within a slot never delays a login by more than this.
const LONGEST_JITTER: Duration = Duration::from_millis(250);

/// The pace of logins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateOptions {
    /// Logins per second, more than zero.
    pub per_second: f64,
    /// Logins per second of all nodes together, which share it equally; `None` is no such limit.
    pub cluster_per_second: Option<f64>,
    /// Logins at once, at least one.
    pub burst: u32,
    /// The cluster's lease times.
    pub timing: Timing,
}

type Question = (Grant, oneshot::Sender<Result<DialPermit, PermitRefused>>);

struct Waiting {
    turns: Turns,
    throttle: Throttle,
    next: u64,
    called: BTreeMap<u64, oneshot::Sender<()>>,
}

struct Inner {
    waiting: Mutex<Waiting>,
    changed: Notify,
    clock: BootClock,
    dice: Dice,
    metrics: Metrics,
}

/// The gate of one node. Cloning gives the same gate.
#[derive(Clone)]
pub struct NodeGate {
    inner: Arc<Inner>,
    questions: mpsc::Sender<Question>,
}

impl NodeGate {
    /// Starts the gate's two tasks on the present runtime; they end with the last clone.
    pub fn start(
        options: GateOptions,
        ledger: Arc<dyn Ledger>,
        permission: Arc<Permission>,
        dice: Dice,
        metrics: Metrics,
    ) -> NodeGate {
        let (questions, asked) = mpsc::channel(2 * BATCH);
        let clock = permission.clock().clone();
        let turns = Turns::new(options.per_second, options.burst, clock());
        let throttle = Throttle::new(options.per_second, options.cluster_per_second, clock());
        let waiting = Mutex::new(Waiting { turns, throttle, next: 0, called: BTreeMap::new() });
        let inner = Arc::new(Inner { waiting, changed: Notify::new(), clock, dice, metrics });
        tokio::spawn(call_turns(Arc::downgrade(&inner)));
        tokio::spawn(ask_ledger(asked, ledger, permission, options.timing));
        NodeGate { inner, questions }
    }

    /// How many devices wait for their turn.
    pub fn waiting(&self) -> usize {
        self.inner.lock().turns.len()
    }

    /// Keeps to this node's share of the cluster's rate as members come and go. Ends with the views.
    pub async fn follow(self, mut views: watch::Receiver<Arc<Seen>>) {
        loop {
            let takers = ring::takers(&views.borrow_and_update().view).count();
            self.inner.lock().throttle.share(takers);
            self.inner.changed.notify_one();
            if views.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here can be left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line; given up when it is dropped before its turn.
struct Place<'a> {
    inner: &'a Inner,
    tenant: &'a BusinessId,
    waiter: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.inner.lock();
        waiting.turns.give_up(self.tenant, self.waiter);
        waiting.called.remove(&self.waiter);
    }
}

#[async_trait]
impl Gate for NodeGate {
    async fn turn(&self, key: &DeviceKey, urgency: Urgency) {
        let (call, called) = oneshot::channel();
        let tenant = &key.business_id;
        let (waiter, slot) = {
            let mut waiting = self.inner.lock();
            let waiter = waiting.next;
            waiting.next += 1;
            waiting.turns.wait(tenant, waiter, urgency);
            waiting.called.insert(waiter, call);
            (waiter, waiting.turns.slot())
        };
        let place = Place { inner: &self.inner, tenant, waiter };
        self.inner.changed.notify_one();
        // An error would mean that the gate is closed: then the permit will say no.
        let _ = called.await;
        drop(place);
        tokio::time::sleep(slot.min(LONGEST_JITTER).mul_f64(self.inner.dice.fraction())).await;
    }

    fn report(&self, attempt: Attempt) {
        let now = (self.inner.clock)();
        let result = match attempt {
            Attempt::Answered(took) if took < SLUGGISH => return,
            Attempt::Answered(_) => "slow",
            Attempt::Accepted => "ok",
            Attempt::PushedBack => "pushed_back",
            Attempt::Outdated => {
                self.inner.metrics.count("roost_client_outdated_total", &[]);
                "outdated"
            }
            Attempt::Replaced { ours } => {
                let origin = if ours { "internal" } else { "external" };
                return self.inner.metrics.count("roost_stream_replaced_total", &[("origin", origin)]);
            }
        };
        if !matches!(attempt, Attempt::Accepted | Attempt::Outdated) {
            self.inner.lock().throttle.pushed_back(now);
        }
        self.inner.metrics.count("roost_device_connect_total", &[("result", result)]);
    }

    fn paced(&self, waited: Duration) {
        self.inner.metrics.time("roost_pacing_delay_seconds", &[], waited);
    }

    async fn permit(&self, grant: &Grant) -> Result<DialPermit, PermitRefused> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.questions.send((grant.clone(), reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(2 * PATIENCE, asked).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(Unavailable("this node is leaving".into()).into()),
            Err(_) => Err(Unavailable("no permit in time".into()).into()),
        }
    }
}

/// Calls those whose turn it is. Ends when nobody but this task holds the gate.
async fn call_turns(alive: Weak<Inner>) {
    while let Some(inner) = alive.upgrade() {
        let now = (inner.clock)();
        let next = {
            let mut waiting = inner.lock();
            let rate = waiting.throttle.rate(now);
            waiting.turns.set_rate(rate, now);
            for waiter in waiting.turns.due(now) {
                if let Some(call) = waiting.called.remove(&waiter) {
                    // It may have left in this moment; its turn is lost, which only slows us down.
                    let _ = call.send(());
                }
            }
            for (urgency, name) in URGENCIES {
                let length = waiting.turns.waiting(urgency);
                inner.metrics.set("roost_connect_queue_length", &[("urgency", name)], length as f64);
            }
            inner.metrics.set("roost_connect_rate", &[], rate);
            waiting.turns.next(now)
        };
        // Wakes up now and then, to notice that the gate is gone.
        let pause =
            next.unwrap_or(Duration::from_secs(1)).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let _ = timeout(pause, inner.changed.notified()).await;
    }
}

/// Gathers questions and asks them together.
async fn ask_ledger(
    mut asked: mpsc::Receiver<Question>,
    ledger: Arc<dyn Ledger>,
    permission: Arc<Permission>,
    timing: Timing,
) {
    let mut batch = Vec::new();
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(question) = asked.try_recv()
            {
                batch.push(question);
            }
        }
        let questions = std::mem::take(&mut batch);
        tokio::spawn(ask_batch(questions, ledger.clone(), permission.clone(), timing));
    }
}

async fn ask_batch(
    questions: Vec<Question>,
    ledger: Arc<dyn Ledger>,
    permission: Arc<Permission>,
    timing: Timing,
) {
    let grants: Vec<Grant> = questions.iter().map(|(grant, _)| grant.clone()).collect();
    let sent = permission.clock()();
    let answer = match timeout(PATIENCE, ledger.permit(&grants, permission.age(), timing.margin)).await {
        Ok(Ok(permits)) => Ok(permits),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no permit in time".to_owned()),
    };
    let permits: Result<BTreeMap<Grant, DialPermit>, String> = answer.map(|permits| {
        let permit = |permit: roost_placement::ledger::Permit| {
            let expires = permit_deadline(&permit, sent, &timing);
            (permit.grant.clone(), DialPermit { grant: permit.grant, expires })
        };
        permits.into_iter().map(permit).collect()
    });
    for (grant, reply) in questions {
        let answer = match &permits {
            Ok(permits) => match permits.get(&grant) {
                Some(permit) => Ok(permit.clone()),
                None => Err(why_not(&*ledger, &grant).await),
            },
            Err(why) => Err(Unavailable(why.clone().into()).into()),
        };
        // The device may have stopped waiting.
        let _ = reply.send(answer);
    }
}

/// Why the ledger answered without a permit: the grant has gone, or it stands under a lease that has too
/// little left. Only the first ends the device.
async fn why_not(ledger: &dyn Ledger, grant: &Grant) -> PermitRefused {
    match timeout(PATIENCE, ledger.ownership(&grant.key)).await {
        Ok(Ok(Some(row))) if row.stands(grant) => Unavailable("the lease is about to end".into()).into(),
        Ok(Ok(_)) => PermitRefused::Stale,
        Ok(Err(error)) => error.into(),
        Err(_) => Unavailable("no permit in time".into()).into(),
    }
}
