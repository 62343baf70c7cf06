//! Requests to WhatsApp (`<iq>`): their ids, their answers, and the answers that never come.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use roost_placement::lease::BootTime;
use roost_proto::ask;
use roost_proto::stanza::iq::Refused;
use roost_proto::stanza::{Builder, ClientIds, Read, Stanza, iq};

use super::crypto::PeerName;
use super::timer::Timer;
use super::{Machine, peer, retry};
use crate::device::CommandError;

/// What a request is for.
#[derive(Debug)]
pub(super) enum Asked {
    Active,
    PrekeyCount,
    PrekeyUpload {
        pages: Vec<u32>,
    },
    KeyDigest,
    TimeLock,
    Capping,
    /// The same two for somebody who waits, one after the other.
    FreshTimeLock,
    FreshCapping,
    SignedPrekey {
        id: u32,
    },
    Ping,
    Devices {
        users: Vec<String>,
    },
    Bundles {
        ordinal: i64,
    },
    Group {
        group: String,
    },
    ResendBundle {
        job: Box<retry::Job>,
    },
    Logout {
        token: u64,
    },
    AppState,
    MediaHosts,
    PhoneBundle {
        job: Box<peer::Job>,
    },
    PairHello {
        attempt: u64,
    },
    /// A part of a pairing that asks for a passkey.
    Passkey {
        attempt: u64,
        part: super::passkey::Part,
    },
    /// A contact is given a token of this time.
    Token {
        to: PeerName,
        at: u64,
    },
    /// What is made once is made.
    Making {
        request_id: String,
    },
    /// Whether it was made before.
    Made {
        request_id: String,
    },
    /// Somebody asks through us.
    Caller {
        token: u64,
    },
}

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The link is lost, or there was none.
    Lost,
    /// It did not come in time.
    Late,
    /// WhatsApp refused.
    Refused(Refused),
}

impl NoAnswer {
    /// WhatsApp's code, 408 for no answer in time, 0 for a lost link.
    fn code(self) -> u16 {
        match self {
            NoAnswer::Lost => 0,
            NoAnswer::Late => 408,
            NoAnswer::Refused(refused) => refused.code,
        }
    }
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
            return self.answered(asked, Err(NoAnswer::Lost));
        }
        let id = self.requests.ids.next_id();
        let stanza = build(&id).build();
        self.open_request(id, asked, self.limits.request, &stanza);
    }

    /// The same on any link that is up, also before a login: while a device is being paired.
    pub(super) fn request_unpaired(&mut self, asked: Asked, build: impl FnOnce(&str) -> Builder) {
        let id = self.next_request_id();
        let stanza = build(&id).build();
        self.open_request(id, asked, self.limits.request, &stanza);
    }

    /// A question that is whole but for its id.
    pub(super) fn request_of_ours(&mut self, asked: Asked, question: Stanza) {
        let id = self.requests.ids.next_id();
        let stanza = ask::with_id(question, &id);
        self.open_request(id, asked, self.limits.request, &stanza);
    }

    /// Waits for the answer to a request that goes on the wire later; returns the id for it.
    pub(super) fn expect_answer(&mut self, asked: Asked) -> String {
        let id = self.requests.ids.next_id();
        self.requests.open.insert(id.clone(), (asked, self.now.boot.plus(self.limits.request)));
        self.set_timer_at_most(Timer::Requests, self.limits.request);
        id
    }

    pub(super) fn next_request_id(&mut self) -> String {
        self.requests.ids.next_id()
    }

    /// The same for somebody; the answer may take as long as he waits.
    pub(super) fn request_within(&mut self, patience: Duration, asked: Asked, question: Stanza) {
        let id = self.requests.ids.next_id();
        let stanza = ask::with_id(question, &id);
        self.open_request(id, asked, patience.min(self.limits.request), &stanza);
    }

    fn open_request(&mut self, id: String, asked: Asked, patience: Duration, stanza: &Stanza) {
        self.requests.open.insert(id, (asked, self.now.boot.plus(patience)));
        self.set_timer_at_most(Timer::Requests, patience);
        self.send(stanza);
    }

    /// How many callers wait for answers.
    pub(super) fn callers(&self) -> usize {
        self.requests.open.values().filter(|(asked, _)| matches!(asked, Asked::Caller { .. })).count()
    }

    /// An answer of the server.
    pub(super) fn on_answer(&mut self, stanza: Stanza) {
        let Some(id) = stanza.text("id").map(|id| id.into_owned()) else { return };
        if let Some((asked, _)) = self.requests.open.remove(&id) {
            self.answered(asked, iq::outcome(stanza).map_err(NoAnswer::Refused));
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
                self.answered(asked, Err(NoAnswer::Late));
            }
        }
        let waiting = self.expire_makings();
        let open = self.requests.open.values().map(|(_, deadline)| *deadline);
        if let Some(next) = open.chain(waiting).min() {
            self.set_timer(Timer::Requests, next.since(now));
        }
    }

    /// The link is gone, and all answers with it.
    pub(super) fn forget_requests(&mut self) {
        for (_, (asked, _)) in std::mem::take(&mut self.requests.open) {
            self.answered(asked, Err(NoAnswer::Lost));
        }
        self.clear_timer(Timer::Requests);
    }

    fn answered(&mut self, asked: Asked, outcome: Result<Stanza, NoAnswer>) {
        let asked = match asked {
            Asked::Caller { token } => return self.asked(token, outcome),
            Asked::Making { request_id } => return self.on_making(request_id, outcome),
            Asked::Made { request_id } => return self.on_made(request_id, outcome),
            asked => asked,
        };
        let outcome = outcome.map_err(NoAnswer::code);
        match asked {
            Asked::Caller { .. } | Asked::Making { .. } | Asked::Made { .. } => {
                unreachable!("answered above")
            }
            Asked::Active => self.on_active(outcome.err()),
            Asked::PrekeyCount => self.on_prekey_count(outcome.ok()),
            Asked::PrekeyUpload { pages } => self.on_prekeys_uploaded(pages, outcome.err()),
            Asked::KeyDigest => self.on_key_digest(outcome),
            Asked::TimeLock => self.on_time_lock(outcome),
            Asked::Capping => self.on_capping(outcome),
            Asked::FreshTimeLock => self.on_fresh_time_lock(outcome),
            Asked::FreshCapping => self.on_fresh_capping(outcome),
            Asked::SignedPrekey { id } => self.on_signed_prekey_answer(id, outcome.err()),
            Asked::Ping => self.on_pong(outcome.err()),
            Asked::Devices { users } => self.on_devices(&users, outcome),
            Asked::Bundles { ordinal } => self.on_bundles(ordinal, outcome),
            Asked::Group { group } => self.on_group(group, outcome),
            Asked::ResendBundle { job } => self.on_resend_bundle(*job, outcome),
            Asked::AppState => self.on_app_state(outcome),
            Asked::MediaHosts => self.on_media_hosts(outcome),
            Asked::PhoneBundle { job } => self.on_phone_bundle(*job, outcome),
            Asked::PairHello { attempt } => self.on_pair_hello_answer(attempt, outcome),
            Asked::Passkey { attempt, part } => self.on_passkey_answer(attempt, part, outcome),
            Asked::Token { to, at } => self.on_token_issued(to, at, outcome.is_err()),
            Asked::Logout { token } => {
                let result = outcome.map(|_| ()).map_err(CommandError::of);
                let done = result.is_ok();
                self.done(token, result);
                if done {
                    self.logged_out("it was unlinked on request", 0);
                }
            }
        }
    }
}
