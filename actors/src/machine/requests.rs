//! Requests to WhatsApp (`<iq>`): their ids, their answers, and the answers that never come.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use roost_placement::lease::BootTime;
use roost_proto::stanza::{Builder, ClientIds, Read, Stanza, iq};

use super::timer::Timer;
use super::{Machine, retry};
use crate::device::CommandError;

/// What a request is for.
#[derive(Debug)]
pub(super) enum Asked {
    Active,
    PrekeyCount,
    PrekeyUpload { pages: Vec<u32> },
    Ping,
    Devices { users: Vec<String> },
    Bundles { ordinal: i64 },
    ResendBundle { job: Box<retry::Job> },
    Logout { token: u64 },
}

/// Requests under way on the present link.
#[derive(Debug)]
pub(super) struct Requests {
    ids: ClientIds,
    open: BTreeMap<String, (Asked, BootTime)>,
}

impl Requests {
    pub(super) fn new(rng: &mut StdRng) -> Requests {
        Requests { ids: ClientIds::new(rng), open: BTreeMap::new() }
    }
}

impl Machine {
    /// Sends a request; `build` gets its id. Without a login it counts as lost at once.
    pub(super) fn request(&mut self, asked: Asked, build: impl FnOnce(&str) -> Builder) {
        if !self.connection.greeted() {
            return self.answered(asked, Err(0));
        }
        let id = self.requests.ids.next_id();
        let stanza = build(&id).build();
        let deadline = self.now.boot.plus(self.limits.request);
        self.requests.open.insert(id, (asked, deadline));
        self.set_timer_at_most(Timer::Requests, self.limits.request);
        self.send(&stanza);
    }

    /// An answer of the server.
    pub(super) fn on_answer(&mut self, stanza: Stanza) {
        let Some(id) = stanza.text("id").map(|id| id.into_owned()) else { return };
        if let Some((asked, _)) = self.requests.open.remove(&id) {
            self.answered(asked, iq::outcome(stanza).map_err(|refused| refused.code));
        }
    }

    /// The requests whose answers are late count as refused with 408.
    pub(super) fn expire_requests(&mut self) {
        let now = self.now.boot;
        let late: Vec<String> = self
            .requests
            .open
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            if let Some((asked, _)) = self.requests.open.remove(&id) {
                self.answered(asked, Err(408));
            }
        }
        if let Some(next) = self.requests.open.values().map(|(_, deadline)| *deadline).min() {
            self.set_timer(Timer::Requests, next.since(now));
        }
    }

    /// The link is gone, and all answers with it.
    pub(super) fn forget_requests(&mut self) {
        for (_, (asked, _)) in std::mem::take(&mut self.requests.open) {
            self.answered(asked, Err(0));
        }
        self.clear_timer(Timer::Requests);
    }

    /// `Err` carries WhatsApp's code, 408 for no answer in time, 0 for a lost link.
    fn answered(&mut self, asked: Asked, outcome: Result<Stanza, u16>) {
        match asked {
            Asked::Active => self.on_active(outcome.err()),
            Asked::PrekeyCount => self.on_prekey_count(outcome.ok()),
            Asked::PrekeyUpload { pages } => self.on_prekeys_uploaded(pages, outcome.err()),
            Asked::Ping => self.on_pong(outcome.err()),
            Asked::Devices { users } => self.on_devices(&users, outcome),
            Asked::Bundles { ordinal } => self.on_bundles(ordinal, outcome),
            Asked::ResendBundle { job } => self.on_resend_bundle(*job, outcome),
            Asked::Logout { token } => {
                let result = match outcome {
                    Ok(_) => Ok(()),
                    Err(0) => Err(CommandError::NotConnected),
                    Err(code) => Err(CommandError::Refused(code)),
                };
                let done = result.is_ok();
                self.done(token, result);
                if done {
                    self.logged_out("it was unlinked on request", 0);
                }
            }
        }
    }
}
