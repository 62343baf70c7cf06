//! The record of one run: who saw what, put together from the database, WhatsApp and the callers.
//!
//! What must hold: a fact is written when it happens, by the world; nothing that a node says about itself
//! is one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roost_placement::ledger::{Grant, MemberState};
use roost_proto::id::{DeviceKey, Life};

use super::plan::name;
use super::time::Time;
use crate::history::{History, How, What, short_digest};
use crate::wa::{DeviceRef, Pn, Seen};

/// The record. Cloning gives the same record.
#[derive(Clone)]
pub(crate) struct Record {
    time: Time,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    history: History,
    /// Whose number it is.
    numbers: BTreeMap<Pn, DeviceKey>,
    /// The last permit that was given for each device, and the last grant.
    permits: BTreeMap<DeviceKey, Grant>,
    /// Whose socket each connection is, where that is known.
    sockets: BTreeMap<u64, Grant>,
    grants: BTreeMap<DeviceKey, Grant>,
    /// The life that runs on each node.
    lives: BTreeMap<usize, Life>,
    /// How often each kind of rare thing happened.
    rare: BTreeMap<&'static str, u64>,
}

impl Inner {
    /// Whose socket a connection of a device is: known, or of the last permit.
    fn holder(&mut self, key: &DeviceKey, connection: u64) -> Option<Grant> {
        self.sockets.remove(&connection).or_else(|| {
            // Without any permit it is the owner's, and nobody's when there is no owner.
            self.permits.get(key).or(self.grants.get(key)).cloned()
        })
    }
}

impl Record {
    /// An empty record on this clock.
    pub(crate) fn new(time: Time, history: History) -> Record {
        let inner = Inner {
            history,
            numbers: BTreeMap::new(),
            permits: BTreeMap::new(),
            sockets: BTreeMap::new(),
            grants: BTreeMap::new(),
            lives: BTreeMap::new(),
            rare: BTreeMap::new(),
        };
        Record { time, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Something happened now.
    pub(crate) fn fact(&self, what: What) {
        let at = self.time.now();
        let mut inner = self.lock();
        match &what {
            What::Permitted(grant) => {
                inner.permits.insert(grant.key.clone(), grant.clone());
            }
            What::Granted { key, epoch, owner: Some(life), .. } => {
                let grant = Grant { key: key.clone(), life: life.clone(), epoch: *epoch };
                inner.grants.insert(key.clone(), grant);
            }
            _ => {}
        }
        if let Some(rare) = rare(&what) {
            *inner.rare.entry(rare).or_default() += 1;
        }
        inner.history.record(at, what);
    }

    /// Something was done to the world, in words.
    pub(crate) fn fault(&self, words: impl Into<String>) {
        self.fact(What::Fault(words.into()));
    }

    /// Something was done to the world that lasts so long, at one node or everywhere.
    pub(crate) fn spell(&self, words: impl Into<String>, node: Option<usize>, lasting: Duration) {
        let node = node.map(|node| name(node).parse().expect("a name of ours is an id"));
        let until = self.time.now() + u64::try_from(lasting.as_micros()).unwrap_or(u64::MAX / 4);
        self.fact(What::Spell { words: words.into(), node, until });
    }

    /// A rare thing happened that no fact shows: tests want to know that it does.
    pub(crate) fn rarely(&self, what: &'static str) {
        *self.lock().rare.entry(what).or_default() += 1;
    }

    /// A process began on a node.
    pub(crate) fn started(&self, place: usize, life: &Life) {
        self.lock().lives.insert(place, life.clone());
        self.fact(What::Started(life.clone()));
    }

    /// The process on a node is gone; returns which life that was.
    pub(crate) fn exited(&self, place: usize) -> Option<Life> {
        let life = self.lock().lives.remove(&place)?;
        self.fact(What::Exited(life.clone()));
        Some(life)
    }

    /// The life that runs on a node.
    pub(crate) fn life(&self, place: usize) -> Option<Life> {
        self.lock().lives.get(&place).cloned()
    }

    /// This number belongs to this device of ours.
    pub(crate) fn number(&self, pn: Pn, key: &DeviceKey) {
        self.lock().numbers.insert(pn, key.clone());
    }

    /// This connection is the socket of whoever has this grant.
    pub(crate) fn socket(&self, connection: u64, grant: Grant) {
        self.lock().sockets.insert(connection, grant);
    }

    /// What the simulated WhatsApp saw.
    pub(crate) fn seen(&self, seen: Seen) {
        let ours = |device: DeviceRef| {
            let key = self.lock().numbers.get(&device.pn).cloned();
            key.filter(|_| device.device != 0)
        };
        match seen {
            Seen::Login { device, connection } => {
                let Some(key) = ours(device) else { return };
                let Some(grant) = self.lock().holder(&key, connection) else { return };
                self.fact(What::Online { grant, connection });
            }
            Seen::Ended { device, connection, why } => {
                let Some(key) = ours(device) else { return };
                self.fact(What::Offline { key, connection, why });
            }
            Seen::Delivered { to, id } => {
                let Some(key) = ours(to) else { return };
                self.fact(What::Delivered { key, message: id });
            }
            Seen::Settled { by, id } => {
                let Some(key) = ours(by) else { return };
                self.fact(What::Settled { key, message: id });
            }
            Seen::Told { to, id, carries } => {
                let Some(key) = ours(to) else { return };
                self.fact(What::Told { key, message: id, carries });
            }
            Seen::Ciphertext { from, to, key, digest } => {
                // Phones are part of the world; only what our devices encrypt is on trial.
                if ours(from).is_some() {
                    let (key, digest) = (short_digest(&key), short_digest(&digest));
                    self.fact(What::Ciphertext { from: from.to_string(), to: to.to_string(), key, digest });
                }
            }
            Seen::Prekey { device, id, public } => {
                let Some(key) = ours(device) else { return };
                self.fact(What::Prekey { key, id, public: short_digest(&public) });
            }
            Seen::SignedPrekey { device, id, public } => {
                let Some(key) = ours(device) else { return };
                self.fact(What::SignedPrekey { key, id, public: short_digest(&public) });
            }
            Seen::Read { by, from, id } => {
                // The phone of the sending account has a copy, which counts for nobody.
                if ours(from).is_some() && by.pn != from.pn {
                    self.fact(What::Reached {
                        receiver: by.pn.to_string(),
                        sender: from.pn.to_string(),
                        message: id,
                        content: 0,
                    });
                }
            }
        }
    }

    /// How often each kind of rare thing happened.
    pub(crate) fn rare(&self) -> BTreeMap<String, u64> {
        self.lock().rare.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
    }

    /// Looks at the history, or ends it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut History) -> T) -> T {
        look(&mut self.lock().history)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of what a fact is, when it is rare enough that a test wants to know that it happens at all.
fn rare(what: &What) -> Option<&'static str> {
    Some(match what {
        What::Buried { .. } => "buried",
        What::Certified { .. } => "certified",
        What::Granted { how: How::TakeOver(_), .. } => "taken over",
        What::Granted { how: How::Give(_), .. } => "given",
        What::Granted { how: How::Release(_), .. } => "released",
        What::Stood { state: MemberState::Draining, .. } => "drained",
        What::ClockStepped { .. } => "clock stepped",
        What::Thawed(_) => "thawed",
        What::Quiesced(_) => "quiesced",
        What::HeardReplaced(_) => "heard replaced",
        What::Exited(_) => "exited",
        What::Refused { .. } => "refused",
        What::Offline { why, .. } if why == "replaced" => "replaced",
        What::Online { .. } => "login",
        What::Accepted { .. } => "accepted",
        What::Reached { .. } => "reached",
        What::Acknowledged { .. } => "acknowledged",
        _ => return None,
    })
}
