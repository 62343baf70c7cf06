//! Calls: phones and companions ring the companions of other accounts, and each part of a call goes to its other side.
//! No media, nobody talks.
//!
//! What must hold: a part belongs to a call that was offered, and comes from one of its sides: from the device that calls,
//! or from one of an account that is called, until another device of that has taken the call. Each account that is called
//! answers for itself. After the end nothing is done with a call any more but what whatsapp-rust does: who calls tells the
//! other devices of who has taken or rejected the call that it rings no more. A phone that calls does so at once. What is
//! refused is acknowledged with an error; the codes are guesses.

mod links;
mod phones;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Content, Jid, Read as _, Stanza, server_jid};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{Machine, Refusal};

/// Calls, and links to calls, of one account that are remembered.
const REMEMBERED: usize = 100;

/// The calls that an account made and what became of them, by call id, and its links to calls by their tokens.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    made: Latest<Call>,
    links: Latest<CallLink>,
}

/// So many of something as are remembered, by name; the oldest is the first, and is forgotten first.
#[derive(Debug, Clone)]
struct Latest<T>(VecDeque<(String, T)>);

/// One call.
#[derive(Debug, Clone)]
struct Call {
    /// The device that calls.
    device: u16,
    /// Whom.
    called: BTreeSet<Pn>,
    /// What those of them have done about it who have done something.
    answers: BTreeMap<Pn, Answer>,
    /// The JID of the group that is called.
    group: Option<Jid>,
    /// Who calls has ended it.
    ended: bool,
}

/// What an account that is called has done about the call.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// The device that has done it.
    device: u16,
    /// `accepted`, `rejected` or `ended`.
    state: &'static str,
}

/// A link that people join a call by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLink {
    /// `audio` or `video`.
    pub media: String,
    /// When the call is planned, in seconds.
    pub start_s: Option<u64>,
}

/// Why a part of a call goes nowhere: the code that it is acknowledged with, and what the log says.
type Refused = (u16, &'static str);

/// Why a device cannot say a part of a call that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    /// It neither calls nor is called.
    #[error("a call of others")]
    Others,
    /// It calls, and what it says is an answer.
    #[error("nobody answers his own call")]
    Own,
    /// A device of its account has taken the call: another one, or it says so once more.
    #[error("a device has taken the call")]
    Taken,
    /// The call is over, or is so for its account.
    #[error("the call is over")]
    Over,
}

impl Unsaid {
    fn refused(self) -> Refused {
        match self {
            Unsaid::Others => (403, "a call of others"),
            Unsaid::Own => (403, "nobody answers his own call"),
            Unsaid::Taken => (410, "a device has taken the call"),
            Unsaid::Over => (410, "the call is over"),
        }
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Latest<T> {
    fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, one)| one)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, one)| one)
    }

    /// Remembers one under a new name.
    fn note(&mut self, name: &str, one: T) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((name.to_owned(), one));
    }
}

impl Calls {
    /// `ringing`, `accepted`, `rejected` or `ended`; of the call of a group that goes on `ringing`.
    pub fn state(&self, id: &str) -> Option<&'static str> {
        Some(self.made.get(id)?.state())
    }

    /// What a link leads to.
    pub fn link(&self, token: &str) -> Option<&CallLink> {
        self.links.get(token)
    }

    /// The device that calls has ended the call.
    fn ends(&mut self, id: &str) {
        if let Some(call) = self.made.get_mut(id) {
            call.ended = true;
        }
    }
}

impl Call {
    fn new(device: u16, called: BTreeSet<Pn>, group: Option<Jid>) -> Self {
        Self { device, called, answers: BTreeMap::new(), group, ended: false }
    }

    fn state(&self) -> &'static str {
        let answer = self.answers.values().next().filter(|_| self.group.is_none());
        match (self.ended, answer) {
            (true, _) => "ended",
            (false, Some(answer)) => answer.state,
            (false, None) => "ringing",
        }
    }

    /// Whether a device may say a part of this call of `caller` now.
    fn takes(&self, caller: Pn, device: DeviceRef, tag: &str) -> Result<(), Unsaid> {
        if device.pn == caller {
            return match (tag, self.state()) {
                ("accept" | "reject", _) => Err(Unsaid::Own),
                _ if device.device != self.device => Err(Unsaid::Others),
                (_, "ringing" | "accepted") => Ok(()),
                // To the devices that it still rings on, which a phone has told already.
                ("terminate", "rejected") if self.device != 0 => Ok(()),
                _ => Err(Unsaid::Over),
            };
        }
        if !self.called.contains(&device.pn) {
            return Err(Unsaid::Others);
        }
        match self.answers.get(&device.pn).map(|answer| (answer.state, answer.device)) {
            _ if self.ended => Err(Unsaid::Over),
            None => Ok(()),
            Some(("accepted", taker)) if taker == device.device && !matches!(tag, "accept" | "reject") => {
                Ok(())
            }
            Some(("accepted", _)) => Err(Unsaid::Taken),
            // Rejected once more it stays rejected.
            Some(("rejected", _)) if tag == "reject" => Ok(()),
            Some(_) => Err(Unsaid::Over),
        }
    }
}

impl Machine {
    /// `<call to><offer …/></call>` of a companion, or another part of a call, or a question about a link to one.
    /// Baileys waits for the acknowledgement.
    pub(super) fn call(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let part = stanza.all().first().ok_or("a call without content")?;
        let to = stanza.jid("to").unwrap_or_else(server_jid);
        let done = match &*part.tag {
            "link_create" => self.create_call_link(device, &to, part).map(Some),
            "link_query" => self.query_call_link(device, &to, part).map(Some),
            "offer" => self.companion_calls(now, device, &to, part).map(|()| None),
            "preaccept" | "accept" | "reject" | "terminate" | "transport" | "relaylatency" => {
                self.carry_part(now, device, &to, part).map(|()| None)
            }
            // Whatever else belongs to a call ends here.
            _ => Ok(None),
        };
        if let (Some(connection), Some(id)) = (self.online.get(&device).copied(), stanza.text("id")) {
            let ack = Builder::new("ack")
                .attr("class", "call")
                .attr("id", id.into_owned())
                .attr("from", to)
                .attr("type", part.tag.to_string());
            let ack = match &done {
                Ok(None) => ack,
                Ok(Some(answer)) => ack.children([answer.clone()]),
                Err((code, _)) => ack.attr("error", code.to_string()),
            };
            self.send(now, connection, ack.build());
        }
        done.map(drop).map_err(|(_, why)| why.into())
    }

    /// A companion calls an account: its companions hear the offer, each with the call's key when that is encrypted for it.
    /// That those without a key hear it too is a guess.
    fn companion_calls(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        to: &Jid,
        offer: &Stanza,
    ) -> Result<(), Refused> {
        let (id, caller) = self.call_named(offer)?;
        if caller != device.pn {
            return Err((403, "a call in the name of somebody else"));
        }
        let called = self.account_of(to).ok_or((404, "nobody has the address that is called"))?.pn;
        if self.account(caller).calls.made.get(&id).is_some() {
            return Err((409, "there is a call with this id"));
        }
        let call = Call::new(device.device, BTreeSet::from([called]), None);
        self.account_mut(caller).calls.made.note(&id, call);
        let to = self.companions_of(called).collect();
        self.tell_call(now, to, device, offer);
        Ok(())
    }

    /// A part of a call that was offered.
    fn carry_part(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        to: &Jid,
        part: &Stanza,
    ) -> Result<(), Refused> {
        let (id, caller) = self.call_named(part)?;
        let call = self.account(caller).calls.made.get(&id).ok_or((404, "there is no such call"))?.clone();
        call.takes(caller, device, &part.tag).map_err(Unsaid::refused)?;
        if device.pn != caller {
            self.answer_call(now, device, (caller, &id, &call), part);
            return Ok(());
        }
        let other = self.device_at(to).filter(|other| call.called.contains(&other.pn));
        let other = other.ok_or((403, "to somebody who is not called"))?;
        let rings_elsewhere = part.text("reason").is_some_and(|reason| reason.ends_with("_elsewhere"));
        if part.tag == "terminate" && call.state() != "rejected" && !rings_elsewhere {
            self.account_mut(caller).calls.ends(&id);
        }
        let receivers = match to.device {
            0 => self.companions_of(other.pn).collect(),
            _ => vec![other],
        };
        self.tell_call(now, receivers, device, part);
        Ok(())
    }

    /// What somebody says who is called, and may say it. What is rejected already is rejected once more for nobody.
    fn answer_call(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        (caller, id, call): (Pn, &str, &Call),
        part: &Stanza,
    ) {
        if part.tag == "reject" && call.answers.contains_key(&device.pn) {
            return;
        }
        let elsewhere = match &*part.tag {
            "accept" => Some(("accepted", "accepted_elsewhere")),
            // A device that is busy speaks for itself alone.
            "reject" if part.text("reason").as_deref() != Some("busy") => {
                Some(("rejected", "rejected_elsewhere"))
            }
            "terminate" => Some(("ended", "")),
            _ => None,
        };
        if let Some((state, _)) = elsewhere
            && let Some(call) = self.account_mut(caller).calls.made.get_mut(id)
        {
            call.answers.insert(device.pn, Answer { device: device.device, state });
        }
        let receivers = match call.device {
            0 => self.companions_of(caller).collect(),
            number => vec![DeviceRef { pn: caller, device: number }],
        };
        self.tell_call(now, receivers, device, part);
        if let Some((_, reason)) = elsewhere.filter(|(_, reason)| call.device == 0 && !reason.is_empty()) {
            let others = self.companions_of(device.pn).filter(|other| *other != device).collect();
            let end = self.part_of(caller, "terminate", id).attr("reason", reason).build();
            self.tell_call(now, others, DeviceRef { pn: caller, device: 0 }, &end);
        }
    }

    /// Which call a part belongs to, and whose it is.
    fn call_named(&self, part: &Stanza) -> Result<(String, Pn), Refused> {
        let id = part.text("call-id").filter(|id| !id.is_empty()).ok_or((400, "a call without an id"))?;
        let creator = part.jid("call-creator").ok_or((400, "a call without its creator"))?;
        let caller = self.account_of(&creator).ok_or((404, "nobody called"))?.pn;
        Ok((id.into_owned(), caller))
    }

    /// A part of a call of this account, with its number beside its hidden identity.
    fn part_of(&self, caller: Pn, tag: &'static str, id: &str) -> Builder {
        let caller = self.account(caller);
        Builder::new(tag)
            .attr("call-id", id.to_owned())
            .attr("call-creator", caller.jid(Form::Lid))
            .attr("caller_pn", caller.jid(Form::Pn))
    }

    /// Tells each device of a part that this one has said.
    fn tell_call(&mut self, now: UnixMillis, to: Vec<DeviceRef>, from: DeviceRef, part: &Stanza) {
        let account = self.account(from.pn);
        let (jid, name) = (account.device_jid(from.device, Form::Lid), account.name.clone());
        for receiver in to {
            let call = Builder::new("call")
                .attr("from", jid.clone())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .attr("notify", name.clone())
                .attr("platform", "android")
                .attr("version", "2.25.1.1")
                .children([self.part_for(receiver, part)]);
            self.deliver(now, receiver, call.build());
        }
    }

    /// The part as one device gets it: of what was encrypted for many, its own.
    fn part_for(&self, receiver: DeviceRef, part: &Stanza) -> Stanza {
        let Some(destination) = part.child("destination") else { return part.clone() };
        let is_his = |to: &&Stanza| to.jid("jid").and_then(|jid| self.device_at(&jid)) == Some(receiver);
        let own = destination.all().iter().find(is_his).and_then(|to| to.child("enc")).cloned();
        let mut part = part.clone();
        if let Some(Content::Nodes(children)) = &mut part.content {
            children.retain(|child| child.tag != "destination");
            children.extend(own);
        }
        part
    }
}
