//! The children of a device: one set of crypto and store actor, at most one connection, and downloads.
//!
//! What must hold: after [`Children::end`] none of them runs, and a write that was under way has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorId, ActorRef, SpawnErr};
use rand::Rng;
use rand::rngs::StdRng;
use roost_placement::ledger::Grant;
use roost_proto::ask::media::MediaHosts;
use roost_proto::id::Age;
use roost_proto::version::ProtocolVersion;
use tokio::sync::Semaphore;

use super::Input;
use crate::device::Ports;
use crate::machine::{CryptoRequest, DialAs, Fetching};
use crate::port::{Batch, ProxyUri, StateKey, Unneeded, Urgency};
use crate::shell::connection::{self, ConnectionActor};
use crate::shell::crypto::{self, CryptoActor};
use crate::shell::files::Files;
use crate::shell::store::{self, StoreActor};
use crate::warm::WarmLink;

/// How long the rest of a write may take when the device ends. The adapter bounds its own waits far
/// below; this is for one that does not.
const LAST_WRITE: Duration = Duration::from_secs(10);
/// How long a connection may take to write what it was given, and to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

pub(super) struct Children {
    life: u32,
    crypto: ActorRef<crypto::Message>,
    store: ActorRef<store::Message>,
    connection: Option<Connection>,
    files: Files,
    room: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
}

struct Connection {
    link: u64,
    actor: ActorRef<connection::Message>,
    up: bool,
}

impl Children {
    /// Starts a set; the store begins to load.
    pub(super) async fn spawn(
        life: u32,
        me: &ActorRef<Input>,
        grant: &Grant,
        ports: &Ports,
        rng: &mut StdRng,
    ) -> Result<Children, SpawnErr> {
        let closing = Arc::new(AtomicBool::new(false));
        let arguments = crypto::Arguments {
            store: ports.store.clone(),
            clocks: ports.clocks.clone(),
            grant: grant.clone(),
            profile: ports.profile.clone(),
            ratchets: ports.limits.ratchets,
            seed: draw(rng),
            life,
            supervisor: me.clone(),
        };
        let (crypto, _) = Actor::spawn_linked(None, CryptoActor, arguments, me.get_cell()).await?;
        let arguments = store::Arguments {
            store: ports.store.clone(),
            clocks: ports.clocks.clone(),
            grant: grant.clone(),
            closing: closing.clone(),
            life,
            supervisor: me.clone(),
        };
        let (store, _) = Actor::spawn_linked(None, StoreActor, arguments, me.get_cell()).await?;
        let _ = store.send_message(store::Message::Load);
        let room = Arc::new(Semaphore::new(ports.limits.inbound));
        let files = Files::new(ports.files.clone(), grant.key.business_id.clone(), life, me.clone());
        Ok(Children { life, crypto, store, connection: None, files, room, closing })
    }

    /// The number of this set.
    pub(super) fn life(&self) -> u32 {
        self.life
    }

    pub(super) fn open_vault(&self, rows: Vec<(StateKey, Bytes)>, age: Age) {
        let _ = self.crypto.send_message(crypto::Message::Open(rows, age));
    }

    pub(super) fn crypto(&self, token: u64, request: CryptoRequest) {
        let _ = self.crypto.send_message(crypto::Message::Work(token, request));
    }

    pub(super) fn durable(&self, token: u64) {
        let _ = self.crypto.send_message(crypto::Message::Durable(token));
    }

    pub(super) fn commit(&self, batch: Arc<Batch>) {
        let _ = self.store.send_message(store::Message::Commit(batch));
    }

    pub(super) fn look_up(&self, token: u64, whatsapp_ids: Vec<String>) {
        let _ = self.store.send_message(store::Message::Lookup(token, whatsapp_ids));
    }

    pub(super) fn fetch(&mut self, token: u64, via: Option<ProxyUri>, hosts: Vec<String>, what: Fetching) {
        self.files.fetch(token, via, hosts, what);
    }

    pub(super) fn delete(&mut self, via: Option<ProxyUri>, hosts: MediaHosts, file: Box<Unneeded>) {
        self.files.delete(via, hosts, file);
    }

    pub(super) fn room(&self, places: usize) {
        self.room.add_permits(places);
    }

    #[expect(clippy::too_many_arguments, reason = "each is another part of one dial")]
    pub(super) async fn dial(
        &mut self,
        me: &ActorRef<Input>,
        grant: &Grant,
        ports: &Ports,
        seed: [u8; 32],
        link: u64,
        dial: DialAs,
        routing: Option<Bytes>,
        via: Option<ProxyUri>,
        version: ProtocolVersion,
        urgency: Urgency,
        warm: Option<WarmLink>,
    ) -> Result<(), SpawnErr> {
        self.end_connection().await;
        let arguments = connection::Arguments {
            ports: ports.clone(),
            grant: grant.clone(),
            link,
            dial,
            routing,
            via,
            version,
            urgency,
            seed,
            room: self.room.clone(),
            crypto: self.crypto.clone(),
            life: self.life,
            supervisor: me.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, ConnectionActor, (arguments, warm), me.get_cell()).await?;
        self.connection = Some(Connection { link, actor, up: false });
        Ok(())
    }

    pub(super) fn link_is_up(&mut self, link: u64) {
        if let Some(connection) = self.connection.as_mut().filter(|connection| connection.link == link) {
            connection.up = true;
        }
    }

    pub(super) fn write(&self, link: u64, bytes: Bytes) {
        if let Some(connection) = self.connection.as_ref().filter(|connection| connection.link == link) {
            let _ = connection.actor.send_message(connection::Message::Write(bytes));
        }
    }

    pub(super) async fn close_link(&mut self, link: u64) {
        if self.connection.as_ref().is_some_and(|connection| connection.link == link) {
            self.end_connection().await;
        }
    }

    /// The link of a connection that failed by itself.
    pub(super) fn lost_connection(&mut self, id: ActorId) -> Option<u64> {
        let lost = self.connection.take_if(|connection| connection.actor.get_id() == id)?;
        Some(lost.link)
    }

    /// Whether the device cannot go on without this child.
    pub(super) fn is_essential(&self, id: ActorId) -> bool {
        !self.closing.load(Ordering::Acquire) && (self.crypto.get_id() == id || self.store.get_id() == id)
    }

    pub(super) async fn end(&mut self) {
        self.closing.store(true, Ordering::Release);
        self.end_connection().await;
        self.files.end().await;
        self.crypto.kill();
        let _ = self.crypto.wait(Some(LAST_WRITE)).await;
        if self.store.stop_and_wait(None, Some(LAST_WRITE)).await.is_err() {
            self.store.kill();
            let _ = self.store.wait(Some(LAST_WRITE)).await;
        }
    }

    async fn end_connection(&mut self) {
        let Some(Connection { actor, up, .. }) = self.connection.take() else { return };
        // A connection that is still being opened has nothing to say goodbye to.
        if !up || actor.drain_and_wait(Some(GOODBYE)).await.is_err() {
            actor.kill();
            let _ = actor.wait(Some(LAST_WRITE)).await;
        }
    }
}

/// A seed of its own for a part of the device.
pub(super) fn draw(rng: &mut StdRng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}
