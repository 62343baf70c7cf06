//! The crypto actor: the only place where the keys of a device are used.
//!
//! It carries out requests one after another, reads the rows that a request needs under the epoch, and
//! answers with what changed. It writes nothing. When a request makes it fail it says which one, and does nothing more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_placement::ledger::Grant;
use roost_proto::id::Age;
use roost_proto::signal::KeyPair;
use roost_proto::version::ProtocolVersion;
use tokio::sync::oneshot;

use super::supervisor::{Child, Input};
use crate::device::Profile;
use crate::machine::{Account, CryptoRequest, DialAs};
use crate::port::{Clocks, DeviceStore, DeviceStoreError, StateKey};
use crate::vault::{Vault, Wants};

/// Rows that cannot be read are asked for again, however long it takes: without them nothing can go on.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the actor is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// The state that the store had, and its age.
    Open(Vec<(StateKey, Bytes)>, Age),
    /// A request of the machine.
    Work(u64, CryptoRequest),
    /// Changes up to this request are durable.
    Durable(u64),
    /// What a handshake needs; `None` when there are no keys.
    Handshake(DialAs, ProtocolVersion, oneshot::Sender<Option<(KeyPair, Vec<u8>)>>),
}

/// What it starts with.
pub(super) struct Arguments {
    pub(super) store: Arc<dyn DeviceStore>,
    pub(super) clocks: Arc<dyn Clocks>,
    pub(super) grant: Grant,
    pub(super) profile: Profile,
    pub(super) ratchets: usize,
    pub(super) seed: [u8; 32],
    /// Which set of children it belongs to.
    pub(super) life: u32,
    pub(super) supervisor: ActorRef<Input>,
}

/// What it tells about the state that it was given.
pub(super) type Opened = Result<(Option<Account>, bool), String>;

pub(super) struct CryptoActor;

pub(super) struct State {
    arguments: Arguments,
    vault: Option<Vault>,
}

impl Actor for CryptoActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { arguments, vault: None })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Open(rows, age) => state.open(rows, age),
            Message::Durable(token) => {
                if let Some(vault) = &mut state.vault {
                    vault.durable(token);
                }
            }
            Message::Handshake(dial, version, reply) => {
                let profile = &state.arguments.profile;
                let vault = state.vault.as_mut();
                let _ = reply.send(vault.and_then(|vault| vault.handshake(&dial, version, profile)));
            }
            Message::Work(token, request) => state.work(token, &request).await,
        }
        Ok(())
    }
}

impl State {
    fn open(&mut self, rows: Vec<(StateKey, Bytes)>, age: Age) {
        let rng = StdRng::from_seed(self.arguments.seed);
        let opened = match Vault::open(rows, self.arguments.ratchets, age, rng) {
            Ok((vault, account)) => {
                let keys = vault.has_keys();
                self.vault = Some(vault);
                Ok((account, keys))
            }
            Err(damage) => Err(damage.to_string()),
        };
        self.tell(Child::Opened(opened));
    }

    async fn work(&mut self, token: u64, request: &CryptoRequest) {
        let Some(vault) = self.vault.as_mut() else { return };
        vault.begin(token);
        let mut pause = FIRST_PAUSE;
        loop {
            let clocks = &self.arguments.clocks;
            vault.live_in(clocks.age(), clocks.trusted());
            let Ok(wants) = catch_unwind(AssertUnwindSafe(|| vault.work(request))) else {
                // What is in memory is of no use any more. The answers before this one are told before it is.
                self.vault = None;
                return self.tell(Child::CryptoFailed(token));
            };
            match wants {
                Wants::Nothing(changed) => return self.tell(Child::Crypto(token, changed)),
                Wants::Rows(keys) => match read(&self.arguments, vault.age(), &keys).await {
                    Ok(rows) => {
                        keys.iter().zip(rows).for_each(|(key, row)| vault.give(key, row));
                        pause = FIRST_PAUSE;
                    }
                    Err(Unread::Fenced) => return self.tell(Child::Fenced),
                    Err(Unread::NotNow) => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }

    fn tell(&self, child: Child) {
        let _ = self.arguments.supervisor.send_message(Input::Child(self.arguments.life, child));
    }
}

/// Why rows were not read.
enum Unread {
    Fenced,
    /// The store does not answer, or is in another age.
    NotNow,
}

async fn read(arguments: &Arguments, age: Age, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unread> {
    match arguments.store.read(&arguments.grant, age, keys).await {
        Ok(mut rows) => {
            rows.resize(keys.len(), None);
            Ok(rows)
        }
        Err(DeviceStoreError::Fenced) => Err(Unread::Fenced),
        Err(DeviceStoreError::Unavailable(error)) => {
            tracing::debug!(%error, "reading state");
            Err(Unread::NotNow)
        }
        Err(error @ DeviceStoreError::Damaged { .. }) => {
            // One damaged ratchet must not stop the device: it counts as absent and is replaced.
            tracing::warn!(%error, device = %arguments.grant.key, "stored state is damaged");
            Ok(vec![None; keys.len()])
        }
    }
}

#[cfg(test)]
mod tests;
