//! WhatsApp: the pure half of the simulated one, behind links of this run instead of sockets.
//!
//! What must hold: everything it decides is `wa::Machine`'s; this file only says which connection is which
//! link, and tells the record what was seen. The handshake is a round trip: Noise is not what is tried here.

use std::collections::BTreeMap;

use roost_placement::ledger::Grant;
use roost_proto::id::UnixMillis;
use roost_proto::noise::Pattern;
use roost_proto::stanza::{self, Stanza};

use super::context::{Context, Host, LinkId, ProcessId};
use super::input::Input;
use super::queue::Happening;
use crate::run::EPOCH;
use crate::wa::{ConnectionId, Effect, Event, Fault, Machine, Scanner};

/// What a process sends on a link.
pub(super) enum Up {
    /// It opens the link.
    Dial {
        by: ProcessId,
        place: usize,
    },
    /// The last message of the handshake.
    Login {
        grant: Box<Grant>,
        noise: [u8; 32],
        payload: Vec<u8>,
    },
    Stanza(Box<Stanza>),
    /// It has closed the link.
    Gone,
}

struct Socket {
    by: ProcessId,
    place: usize,
    connection: Option<ConnectionId>,
}

/// WhatsApp as a run has it.
pub(super) struct WhatsApp {
    pub(super) machine: Machine,
    sockets: BTreeMap<LinkId, Socket>,
    links: BTreeMap<ConnectionId, LinkId>,
}

impl WhatsApp {
    pub(super) fn new(seed: u64) -> WhatsApp {
        let mut machine = Machine::new(seed, true);
        machine.keep_journal();
        WhatsApp { machine, sockets: BTreeMap::new(), links: BTreeMap::new() }
    }

    /// Something came on a link.
    pub(super) fn take(&mut self, ctx: &mut Context, link: LinkId, up: Up) {
        match up {
            Up::Dial { by, place } => {
                self.sockets.insert(link, Socket { by, place, connection: None });
                let hello = Happening::Process(by, Input::Hello(link));
                ctx.send(Host::WhatsApp, Host::Node(place), Some(link), hello);
            }
            Up::Login { grant, noise, payload } => {
                let Some(socket) = self.sockets.get_mut(&link) else { return };
                let connection = ctx.id();
                socket.connection = Some(connection);
                self.links.insert(connection, link);
                ctx.record.socket(connection, *grant);
                self.event(ctx, connection, Event::Opened { noise, payload, pattern: Pattern::Xx });
            }
            Up::Stanza(stanza) => {
                if let Some(connection) = self.sockets.get(&link).and_then(|socket| socket.connection) {
                    self.event(ctx, connection, Event::Received(*stanza));
                }
            }
            Up::Gone => {
                let Some(socket) = self.sockets.remove(&link) else { return };
                ctx.forget_link(link, socket.place);
                if let Some(connection) = socket.connection {
                    self.links.remove(&connection);
                    self.event(ctx, connection, Event::Closed);
                }
            }
        }
    }

    /// A phone scans what a device shows; it may be too late for that.
    pub(super) fn scan(&mut self, ctx: &mut Context, code: &str, pn: u64) {
        let scanner = Scanner { pn: Some(pn), name: None };
        if let Ok((_, effects)) = self.machine.scan(wall(ctx), code, &scanner) {
            self.carry_out(ctx, effects);
        }
    }

    /// A phone writes to an account.
    pub(super) fn phone_says(&mut self, ctx: &mut Context, from: u64, to: u64, text: &str) {
        let said = self.machine.phone_sends(wall(ctx), from, &to.to_string(), text);
        let (_, effects) = said.expect("both accounts exist");
        self.carry_out(ctx, effects);
    }

    /// The account with this name.
    pub(super) fn account(&mut self, ctx: &Context, name: &str) -> u64 {
        self.machine.find_or_create(wall(ctx), None, Some(name))
    }

    /// It misbehaves. A device that is gone has no faults.
    pub(super) fn commit(&mut self, ctx: &mut Context, fault: &Fault) {
        ctx.record.fault(format!("WhatsApp: {fault:?}"));
        if let Ok(effects) = self.machine.commit(wall(ctx), fault) {
            self.carry_out(ctx, effects);
        }
    }

    /// It behaves again.
    pub(super) fn heal(&mut self, ctx: &mut Context) {
        self.commit(ctx, &Fault::Delay { device: None, ms: 0 });
        self.commit(ctx, &Fault::Unavailable { ms: 0, existing: false });
    }

    fn event(&mut self, ctx: &mut Context, connection: ConnectionId, event: Event) {
        let effects = self.machine.handle(wall(ctx), connection, event);
        self.carry_out(ctx, effects);
    }

    fn carry_out(&mut self, ctx: &mut Context, effects: Vec<Effect>) {
        self.machine.take_journal().into_iter().for_each(|seen| ctx.record.seen(seen));
        for effect in effects {
            let (connection, not_before, stanza) = match effect {
                Effect::Send { connection, stanza, not_before } => (connection, not_before, Some(stanza)),
                Effect::Damage { connection, .. } | Effect::Close { connection } => {
                    (connection, UnixMillis(0), None)
                }
            };
            let Some(link) = self.links.get(&connection).copied() else { continue };
            let socket = &self.sockets[&link];
            let (by, to) = (socket.by, Host::Node(socket.place));
            let then = u64::try_from((not_before.0 - EPOCH).max(0)).unwrap_or_default() * 1000;
            let input = match stanza {
                Some(stanza) => {
                    let bytes = stanza::say(&stanza).expect("WhatsApp writes stanzas");
                    Input::Frame(link, bytes)
                }
                None => Input::Closed(link, "WhatsApp closed it"),
            };
            ctx.send_at(then, Host::WhatsApp, to, Some(link), Happening::Process(by, input));
        }
    }
}

/// WhatsApp's clock is right.
fn wall(ctx: &Context) -> UnixMillis {
    UnixMillis(EPOCH + i64::try_from(ctx.now() / 1000).unwrap_or(i64::MAX / 2))
}
