//! A device's link to WhatsApp: turn, handshake, permit, login, stanzas. What the connection actor does.
//!
//! What must hold: the last message of the handshake is sent only after a permit was looked at; nothing is
//! written while the node may not act; not more is read than the machine has room for.

use std::collections::VecDeque;

use bytes::Bytes;
use roost_actors::device::Profile;
use roost_actors::machine::{DialAs, Event};
use roost_actors::port::{DialPermit, Urgency};
use roost_placement::lease::permit_deadline;
use roost_placement::seeded::{self, Bug};
use roost_proto::id::Age;
use roost_proto::stanza::{self, Read as _, Stanza};
use roost_proto::version::ProtocolVersion;

use super::context::{Context, LinkId};
use super::core::Core;
use super::device::{Device, Todo};
use super::input::{ForDevice, Input, Ticket, Turn};
use super::whatsapp::Up;
use crate::history::{What, WireKind, short_digest};
use crate::run::limits;

/// One link, in the order in which it comes up.
pub(super) struct Link {
    /// The machine's number of it.
    number: u64,
    dial: DialAs,
    /// Its place in the line for a turn, while it waits.
    waiter: Option<u64>,
    /// The link itself, once it is dialled.
    id: Option<LinkId>,
    /// What the last message of the handshake says.
    last: Option<([u8; 32], Vec<u8>)>,
    up: bool,
    /// Stanzas that the lease holds back, each with the age of the database in which it was to go out.
    held: VecDeque<(Age, Bytes)>,
    unread: VecDeque<Bytes>,
    /// It is over, once everything is read.
    over: Option<&'static str>,
}

impl Device {
    pub(super) fn dial(
        &mut self,
        core: &mut Core,
        ctx: &mut Context,
        number: u64,
        dial: DialAs,
        urgency: Urgency,
    ) {
        self.hang_up(core, ctx);
        let link = Link {
            number,
            dial,
            waiter: None,
            id: None,
            last: None,
            up: false,
            held: VecDeque::new(),
            unread: VecDeque::new(),
            over: None,
        };
        let link = self.link.insert(link);
        let key = self.grant.key.clone();
        match self.warm.take() {
            Some(id) => {
                link.id = Some(id);
                self.half_open(core, ctx);
                self.be_late(core, ctx, number);
            }
            None => {
                let turn = Turn::Device(key.clone(), self.number, number);
                link.waiter = Some(core.wait_for_turn(ctx, &key.business_id, urgency, turn));
            }
        }
    }

    fn be_late(&self, core: &Core, ctx: &mut Context, number: u64) {
        let late = Input::Device(self.grant.key.clone(), self.number, ForDevice::LinkLate(number));
        core.wake(ctx, limits().connect, late);
    }

    /// It is its turn.
    pub(super) fn turn(&mut self, core: &mut Core, ctx: &mut Context, number: u64) {
        let key = self.grant.key.clone();
        let Some(link) = self.link.as_mut().filter(|link| link.number == number) else { return };
        link.waiter = None;
        link.id = Some(core.dial(ctx, &key));
        self.be_late(core, ctx, number);
    }

    /// The server's half of the handshake came.
    pub(super) fn hello(&mut self, core: &mut Core, ctx: &mut Context, id: LinkId) {
        if self.link.as_ref().is_some_and(|link| link.id == Some(id)) {
            self.half_open(core, ctx);
            self.run(core, ctx);
        }
    }

    /// Everything but the last message: a permit is asked for.
    fn half_open(&mut self, core: &mut Core, ctx: &mut Context) {
        let Some(link) = &mut self.link else { return };
        let vault = self.vault.as_mut().expect("who dials has been loaded");
        let number = link.number;
        match vault.handshake(&link.dial, ProtocolVersion::BUILT_IN, &Profile::default()) {
            Some((noise, payload)) => {
                link.last = Some((*noise.public(), payload));
                core.ask_permit(ctx, self.number, Some(number), &self.grant);
            }
            None => self.lose(core, ctx, "there are no keys to connect with"),
        }
    }

    /// The answer to a question for a permit.
    pub(super) fn permit(&mut self, core: &mut Core, ctx: &mut Context, link: Option<u64>, ticket: Ticket) {
        if let Ticket::Stale = ticket {
            ctx.record.rarely("permit refused");
            return self.mail.push_back(Event::Stale);
        }
        let Some(number) = link else {
            let stands = matches!(ticket, Ticket::Given(..));
            return self.mail.push_back(Event::PermitAnswered(stands));
        };
        let dials = |link: &Link| link.number == number && link.last.is_some() && !link.up;
        if !self.link.as_ref().is_some_and(dials) {
            return;
        }
        let permit = match ticket {
            Ticket::Given(permit, sent) => {
                let expires = permit_deadline(&permit, sent, &ctx.plan.timing);
                DialPermit { grant: permit.grant, expires }
            }
            _ if seeded::on(Bug::NoPermit) => DialPermit { grant: self.grant.clone(), expires: core.boot() },
            _ => return self.lose(core, ctx, "no permit"),
        };
        if !permit.lets(&self.grant, core.boot(), core.permission.may_act()) {
            ctx.record.rarely("permit ran out");
            return self.lose(core, ctx, "the permit to connect ran out");
        }
        ctx.record.fact(What::CheckedPermit(self.grant.clone()));
        self.todo.push_front(Todo::Login);
    }

    /// The login leaves.
    pub(super) fn log_in(&mut self, core: &mut Core, ctx: &mut Context) {
        let Some(link) = &mut self.link else { return };
        let (Some(id), Some((noise, payload))) = (link.id, link.last.take()) else { return };
        ctx.record.fact(What::SentLogin(self.grant.clone()));
        core.up(ctx, id, Up::Login { grant: Box::new(self.grant.clone()), noise, payload });
        link.up = true;
        self.mail.push_back(Event::LinkUp { link: link.number });
    }

    /// It has not come up in time.
    pub(super) fn link_late(&mut self, core: &mut Core, ctx: &mut Context, number: u64) {
        if self.link.as_ref().is_some_and(|link| link.number == number && !link.up) {
            self.lose(core, ctx, "no connection in time");
        }
    }

    /// The link is lost; the machine hears it.
    fn lose(&mut self, core: &mut Core, ctx: &mut Context, why: &str) {
        if let Some(link) = &self.link {
            let (number, unreached) = (link.number, link.id.is_some() && link.last.is_none() && !link.up);
            self.mail.push_back(Event::LinkDown { link: number, why: why.to_owned(), unreached });
            self.hang_up(core, ctx);
        }
    }

    /// The machine closes it.
    pub(super) fn close(&mut self, core: &mut Core, ctx: &mut Context, number: u64) {
        if self.link.as_ref().is_some_and(|link| link.number == number) {
            self.hang_up(core, ctx);
        }
    }

    pub(super) fn hang_up(&mut self, core: &mut Core, ctx: &mut Context) {
        let Some(link) = self.link.take() else { return };
        if let Some(waiter) = link.waiter {
            core.give_up_turn(&self.grant.key.business_id, waiter);
        }
        if let Some(id) = link.id {
            core.hang_up(ctx, id);
        }
    }

    /// A frame came, or the end.
    pub(super) fn came(
        &mut self,
        core: &mut Core,
        ctx: &mut Context,
        id: LinkId,
        what: Result<Bytes, &'static str>,
    ) {
        let Some(link) = self.link.as_mut().filter(|link| link.id == Some(id)) else { return };
        match what {
            Ok(frame) => link.unread.push_back(frame),
            Err(why) => link.over = Some(why),
        }
        self.run(core, ctx);
    }

    /// Reads one stanza, if there is one and room for it; whether it did something.
    pub(super) fn read(&mut self, core: &mut Core, ctx: &mut Context) -> bool {
        let Some(link) = &mut self.link else { return false };
        if !link.up && link.over.is_none() {
            return false;
        }
        if self.room > 0
            && let Some(raw) = link.unread.pop_front()
        {
            self.room -= 1;
            let stanza = stanza::hear(&raw).map_err(|error| error.to_string());
            let replaced =
                |stanza: &Stanza| stanza.tag == "stream:error" && stanza.child("conflict").is_some();
            if stanza.as_ref().is_ok_and(replaced) {
                ctx.record.fact(What::HeardReplaced(self.grant.clone()));
            }
            let link = link.number;
            self.mail.push_back(Event::Stanza { link, raw, stanza, poisonous: false });
            return true;
        }
        match link.over.filter(|_| link.unread.is_empty()) {
            Some(why) => {
                self.lose(core, ctx, why);
                true
            }
            None => false,
        }
    }

    /// Puts one stanza on the wire, or keeps it until the node may act.
    pub(super) fn write(&mut self, core: &mut Core, ctx: &mut Context, number: u64, bytes: Bytes) {
        let Some(link) = self.link.as_mut().filter(|link| link.number == number && link.up) else { return };
        if !core.permission.may_act() || !link.held.is_empty() {
            ctx.record.rarely("write withheld");
            return link.held.push_back((core.permission.age(), bytes));
        }
        if let Some(id) = link.id {
            self.put_on_wire(core, ctx, id, &bytes);
        }
    }

    /// Writes one stanza that was held back, if there is one and the node may act again; whether it did something.
    pub(super) fn write_held(&mut self, core: &mut Core, ctx: &mut Context) -> bool {
        if !core.permission.may_act() {
            return false;
        }
        let held = |link: &mut Link| Some((link.id?, link.held.pop_front()?));
        let Some((id, (age, bytes))) = self.link.as_mut().and_then(held) else { return false };
        if age == core.permission.age() {
            self.put_on_wire(core, ctx, id, &bytes);
        } else {
            self.lose(core, ctx, "the database lost a tail before a write");
        }
        true
    }

    fn put_on_wire(&mut self, core: &mut Core, ctx: &mut Context, id: LinkId, bytes: &Bytes) {
        let stanza = stanza::hear(bytes).expect("the machine writes stanzas");
        let kind = match &*stanza.tag {
            // What the device asks its own phone is no row of the log; its ratchet is durable before, and the
            // keys are judged with all others.
            "message" if stanza.text("category").is_some_and(|category| category == "peer") => {
                WireKind::Other
            }
            "message" => WireKind::Message,
            "receipt" | "ack" => WireKind::Settle,
            _ => WireKind::Other,
        };
        let id_text = stanza.text("id").unwrap_or_default().into_owned();
        let digest = short_digest(bytes);
        let grant = self.grant.clone();
        ctx.record.fact(What::Wired { grant, kind, id: id_text, digest, keys: Vec::new() });
        core.up(ctx, id, Up::Stanza(Box::new(stanza)));
    }
}
