//! A device's store and its crypto: one question to the database at a time for each, as in their actors.
//!
//! What must hold: a commit whose outcome is unknown is told as such and never repeated here; reads are asked
//! again until they are answered; a device that was fenced is told so once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_actors::loading::Loading;
use roost_actors::machine::Event;
use roost_actors::port::{self, Accepted, Batch, Committed, DeviceStore as _, DeviceStoreError, StateKey};
use roost_actors::vault::{Vault, Wants};
use roost_placement::ledger::Unavailable;

use super::context::Context;
use super::core::{Core, now};
use super::device::Device;
use super::input::{ForDevice, Input};
use crate::run::{Database, limits};

/// What the store is asked.
pub(super) enum Work {
    Load,
    Commit(Arc<Batch>),
    Lookup(u64, Vec<String>),
}

/// The call failed, or took too long.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
struct Silent;

fn silent() -> DeviceStoreError {
    Unavailable(Box::new(Silent)).into()
}

impl Device {
    /// Asks the store for what is next.
    pub(super) fn store(&mut self, core: &mut Core, ctx: &mut Context) {
        if self.storing || self.ending || !self.pauses.0.is_zero() {
            return;
        }
        while matches!(self.work.front(), Some(Work::Commit(_))) && !core.permission.may_act() {
            self.work.pop_front();
            self.mail.push_back(Event::CommitFailed);
        }
        let Some(work) = self.work.front() else { return };
        self.storing = true;
        let (key, number, grant) = (self.grant.key.clone(), self.number, self.grant.clone());
        let hears = move |what| Input::Device(key, number, what);
        let fails = hears.clone();
        match work {
            Work::Load => core.ask(
                ctx,
                move |db: &Database| hears(ForDevice::Loaded(now(db.load(&grant)).map(Box::new))),
                move || fails(ForDevice::Loaded(Err(silent()))),
            ),
            Work::Lookup(token, ids) => {
                let (token, ids) = (*token, ids.clone());
                core.ask(
                    ctx,
                    move |db: &Database| hears(ForDevice::Found(token, now(db.sent_messages(&grant, &ids)))),
                    move || fails(ForDevice::Found(token, Err(silent()))),
                );
            }
            Work::Commit(batch) => {
                let batch = batch.clone();
                core.ask(
                    ctx,
                    move |db: &Database| {
                        hears(ForDevice::Committed(now(db.commit(&grant, (*batch).clone()))))
                    },
                    move || fails(ForDevice::Committed(Err(silent()))),
                );
            }
        }
    }

    /// The store has answered, or it is time to ask it again.
    pub(super) fn stored(&mut self, core: &mut Core, ctx: &mut Context, what: ForDevice) {
        match what {
            ForDevice::StoreAgain => self.pauses.0 = Duration::ZERO,
            ForDevice::RowsAgain => self.pauses.1 = Duration::ZERO,
            ForDevice::Rows(keys, rows) => {
                self.reading = false;
                match rows {
                    Ok(mut rows) => {
                        rows.resize(keys.len(), None);
                        self.give_rows(&keys, rows);
                    }
                    Err(DeviceStoreError::Fenced) => self.mail.push_back(Event::Fenced),
                    Err(DeviceStoreError::Damaged { .. }) => self.give_rows(&keys, vec![None; keys.len()]),
                    Err(DeviceStoreError::Unavailable(_)) => {
                        self.pauses.1 = AGAIN;
                        self.later(core, ctx, ForDevice::RowsAgain);
                    }
                }
                return;
            }
            answer => {
                self.storing = false;
                if self.ending {
                    return core.gone.push_back(self.grant.key.clone());
                }
                self.hear(core, ctx, answer);
            }
        }
        self.store(core, ctx);
    }

    fn hear(&mut self, core: &mut Core, ctx: &mut Context, answer: ForDevice) {
        let failed = match answer {
            ForDevice::Committed(done) => {
                self.work.pop_front();
                if let Ok(committed) = &done {
                    self.note_written(committed);
                }
                self.mail.push_back(match done {
                    Ok(committed) => Event::Committed(committed),
                    Err(DeviceStoreError::Fenced) => {
                        ctx.record.rarely("write fenced");
                        Event::Fenced
                    }
                    Err(_) => {
                        ctx.record.rarely("commit unknown");
                        Event::CommitFailed
                    }
                });
                return;
            }
            ForDevice::Loaded(Ok(loaded)) => {
                self.work.pop_front();
                return self.open_vault(loaded);
            }
            ForDevice::Found(token, Ok(messages)) => {
                self.work.pop_front();
                return self.mail.push_back(Event::Found { token, messages });
            }
            ForDevice::Loaded(Err(error)) | ForDevice::Found(_, Err(error)) => error,
            _ => unreachable!("only answers of the store come here"),
        };
        match failed {
            DeviceStoreError::Fenced => self.mail.push_back(Event::Fenced),
            DeviceStoreError::Damaged { .. } => self.end(core, ctx),
            DeviceStoreError::Unavailable(_) => {
                self.pauses.0 = AGAIN;
                self.later(core, ctx, ForDevice::StoreAgain);
            }
        }
    }

    /// Remembers what was committed, as the store does in production.
    fn note_written(&mut self, committed: &Committed) {
        let accepted = committed.accepts.iter().filter_map(|accepted| match accepted {
            Accepted::New { ordinal } => Some(*ordinal),
            Accepted::Repeated(_) | Accepted::KeyReused | Accepted::IdTaken => None,
        });
        if let Some(heads) = &mut self.heads {
            heads.wrote(committed.events.iter().flatten().copied(), accepted);
        }
    }

    fn later(&self, core: &Core, ctx: &mut Context, what: ForDevice) {
        core.wake(ctx, AGAIN, Input::Device(self.grant.key.clone(), self.number, what));
    }

    fn open_vault(&mut self, loaded: Box<port::Loaded>) {
        self.heads = Some(loaded.heads);
        let (loading, rows) = Loading::split(loaded);
        let opened = Vault::open(rows, limits().ratchets, loading.age(), self.rng());
        let (vault, account) = opened.expect("what a vault has written it can read");
        let loaded = loading.finish(account, vault.has_keys());
        self.vault = Some(vault);
        self.mail.push_back(Event::Loaded(Box::new(loaded)));
    }

    fn give_rows(&mut self, keys: &[StateKey], rows: Vec<Option<Bytes>>) {
        if let Some(vault) = &mut self.vault {
            keys.iter().zip(rows).for_each(|(key, row)| vault.give(key, row));
        }
    }

    /// Crypto does its next piece of work; whether it did.
    pub(super) fn think(&mut self, core: &mut Core, ctx: &mut Context) -> bool {
        if self.reading || !self.pauses.1.is_zero() {
            return false;
        }
        let (Some(vault), Some((token, request))) = (&mut self.vault, self.crypto.front()) else {
            return false;
        };
        vault.live_in(core.permission.age(), core.permission.trusted());
        let age = vault.age();
        vault.begin(*token);
        match vault.work(request) {
            Wants::Nothing(changed) => {
                let token = *token;
                self.crypto.pop_front();
                self.mail.push_back(Event::Crypto { token, changed });
                true
            }
            Wants::Rows(keys) => {
                self.reading = true;
                let (key, number, grant) = (self.grant.key.clone(), self.number, self.grant.clone());
                let hears = move |keys, rows| Input::Device(key, number, ForDevice::Rows(keys, rows));
                let (fails, wanted) = (hears.clone(), keys.clone());
                core.ask(
                    ctx,
                    move |db: &Database| {
                        let rows = now(db.read(&grant, age, &keys));
                        hears(keys, rows)
                    },
                    move || fails(wanted, Err(silent())),
                );
                false
            }
        }
    }
}

/// Before the database is asked again for what it did not answer.
const AGAIN: Duration = Duration::from_millis(100);
