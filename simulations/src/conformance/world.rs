//! What the checks have in common: lives, devices, grants, batches, and waiting with a bound.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_actors::port::{
    Batch, Committed, DeviceStoreError, MessageState, MessageUpdate, NewEvent, NewMessage, StateKey,
    StateKind, Terms,
};
use roost_node::directory::CreateError;
use roost_placement::ledger::{Candidate, Grant, Ledger, MemberState, Timing};
use roost_proto::api;
use roost_proto::id::{BusinessId, DeviceKey, Life, UnixMillis};

use super::{Ports, Subject};

/// A lease that no check outlives.
pub(super) const LONG: Timing = Timing {
    beat: Duration::from_secs(60),
    ttl: Duration::from_secs(600),
    margin: Duration::from_secs(1),
    grace: Duration::from_secs(60),
};

/// A lease that is over almost at once.
pub(super) const SHORT: Timing = Timing {
    beat: Duration::from_millis(1),
    ttl: Duration::from_millis(2),
    margin: Duration::ZERO,
    grace: Duration::ZERO,
};

/// One fresh database with a store open on it.
pub struct World {
    subject: Arc<dyn Subject>,
    /// The store that a check talks to when it needs only one.
    pub ports: Ports,
}

impl World {
    /// Opens the subject once.
    pub async fn new(subject: Arc<dyn Subject>) -> World {
        let ports = subject.open().await;
        World { subject, ports }
    }

    /// One more process on the same database.
    pub(super) async fn another(&self) -> Ports {
        self.subject.open().await
    }

    /// Whether the database is on another time-line now.
    pub(super) async fn fail_over(&self) -> bool {
        self.subject.fail_over().await
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        &*self.ports.ledger
    }

    /// A new life with this timing, still joining.
    pub(super) async fn joining(&self, node: &str, timing: &Timing) -> Life {
        self.ledger().join(&candidate(node), None, timing).await.expect("the slot is free")
    }

    /// A new life with a long lease, active.
    pub(super) async fn active(&self, node: &str) -> Life {
        let life = self.joining(node, &LONG).await;
        assert!(self.ledger().set_state(&life, MemberState::Active).await.expect("an answer"));
        life
    }

    /// A device of the tenant `acme`, or of another as `tenant/device`; both are made when missing.
    pub(super) async fn device(&self, name: &str) -> DeviceKey {
        let (tenant, device) = name.split_once('/').unwrap_or(("acme", name));
        let business_id: BusinessId = tenant.parse().expect("an id");
        match self.ports.directory.create_tenant(&business_id, tenant).await {
            Ok(_) | Err(CreateError::Exists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let key = DeviceKey { business_id, device_id: device.parse().expect("an id") };
        self.ports.directory.create_device(&key, device, None).await.expect("a new device");
        key
    }

    /// A new device that `me` owns.
    pub(super) async fn owned(&self, me: &Life, name: &str) -> Grant {
        let key = self.device(name).await;
        self.claim(me, &key).await
    }

    /// Commits a batch under a grant that stands.
    pub(super) async fn commit(&self, grant: &Grant, batch: Batch) -> Committed {
        self.ports.devices.commit(grant, batch).await.expect("committed")
    }

    /// Claims a free device.
    pub(super) async fn claim(&self, me: &Life, key: &DeviceKey) -> Grant {
        let won = self.ledger().claim(me, None, std::slice::from_ref(key)).await.expect("an answer");
        won.into_iter().next().expect("the device is free")
    }

    /// Takes a device over from a life that is dead.
    pub(super) async fn take_over(&self, me: &Life, from: &Life, key: &DeviceKey) -> Grant {
        let what = || async {
            // A row that another transaction holds is skipped, so a taker asks again.
            self.ledger().claim(me, Some(from), std::slice::from_ref(key)).await.expect("an answer").pop()
        };
        until("the device is taken over", what).await
    }
}

pub(super) fn candidate(node: &str) -> Candidate {
    Candidate {
        node: node.parse().expect("an id"),
        address: format!("{node}:7000"),
        zone: "a".to_owned(),
        weight: 100,
        version: 1,
    }
}

/// Waits until `what` is there, at most ten seconds.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(name: &str, what: impl Fn() -> F) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let wait = async {
        loop {
            if let Some(found) = what().await {
                return found;
            }
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    waited.unwrap_or_else(|_| panic!("ten seconds passed, and still not: {name}"))
}

/// Lets this much time pass by the databases' clocks, which no check can set.
pub(super) async fn pass(span: Duration) {
    let from = std::time::Instant::now();
    until("time passes", || async { (from.elapsed() > span).then_some(()) }).await;
}

pub(super) fn refused<T: Debug>(result: Result<T, DeviceStoreError>) {
    assert!(matches!(result, Err(DeviceStoreError::Fenced)), "not fenced: {result:?}");
}

pub(super) fn state(kind: StateKind, name: &str) -> StateKey {
    StateKey { kind, name: name.to_owned() }
}

pub(super) fn put(kind: StateKind, name: &str, value: &str) -> (StateKey, Option<Bytes>) {
    (state(kind, name), Some(Bytes::copy_from_slice(value.as_bytes())))
}

/// An event that can be told by its dedupe key.
pub(super) fn event(dedupe: &str) -> NewEvent {
    let payload = api::MessageReceived { whatsapp_id: dedupe.to_owned(), ..Default::default() };
    NewEvent {
        dedupe: dedupe.to_owned(),
        occurred: UnixMillis(1_700_000_000_000),
        origin: api::event::Origin::Live,
        payload: api::event::Payload::MessageReceived(payload),
    }
}

pub(super) fn events(dedupes: &[&str]) -> Batch {
    Batch { events: dedupes.iter().map(|dedupe| event(dedupe)).collect(), ..Batch::default() }
}

/// An accept whose ids follow from `name` and whose hash follows from `content`.
pub(super) fn message(name: &str, content: &str) -> NewMessage {
    let mut request_hash = [0; 32];
    request_hash[..content.len().min(32)].copy_from_slice(&content.as_bytes()[..content.len().min(32)]);
    NewMessage {
        message_id: format!("m-{name}"),
        request_id: format!("r-{name}"),
        request_hash,
        whatsapp_id: format!("3EB0{name}"),
        chat: "491701234567@s.whatsapp.net".to_owned(),
        content: Bytes::copy_from_slice(content.as_bytes()),
        accepted: UnixMillis(1_700_000_000_001),
        terms: Terms { expires: Some(UnixMillis(1_800_000_000_002)), once: true },
    }
}

pub(super) fn accepts(messages: &[NewMessage]) -> Batch {
    Batch { accepts: messages.to_vec(), ..Batch::default() }
}

pub(super) fn update(name: &str, state: MessageState, at: i64) -> MessageUpdate {
    let message_id = format!("m-{name}");
    MessageUpdate { message_id, state, wire: None, failure: None, at: UnixMillis(at) }
}
