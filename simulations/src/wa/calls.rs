//! Calls: a phone rings the companions of another account, which may reject. No media, nobody talks.
//!
//! What a companion that rejects does to the account's other devices is a guess: they hear `terminate`.

use std::collections::BTreeMap;

use rand::RngExt as _;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza, message_id, server_jid};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{Effect, Machine, Refusal};
use super::phones::PhoneError;

/// Calls of one phone that are remembered.
const REMEMBERED: usize = 100;

/// What became of the calls that a phone made, by call id.
#[derive(Debug, Clone, Default)]
pub struct Calls(BTreeMap<String, &'static str>);

impl Calls {
    /// `ringing`, `rejected` or `ended`.
    pub fn state(&self, id: &str) -> Option<&'static str> {
        self.0.get(id).copied()
    }

    fn note(&mut self, id: &str, state: &'static str) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(id.to_owned(), state);
    }
}

impl Machine {
    /// The phone `pn` calls an account. Returns the id of the call.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_calls(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        to: Pn,
        video: bool,
    ) -> Result<(String, Vec<Effect>), PhoneError> {
        if !self.accounts.contains_key(&pn) {
            return Err(PhoneError::UnknownPhone(pn));
        }
        if !self.accounts.contains_key(&to) {
            return Err(PhoneError::UnknownReceiver(to.to_string()));
        }
        let id = message_id(&mut self.rng);
        let mut media = vec![Builder::new("audio").attr("enc", "opus").attr("rate", 16_000u32).build()];
        if video {
            media.push(Builder::new("video").attr("enc", "vp8").build());
        }
        let offer = self.call_part(pn, "offer", &id).children(media).build();
        self.account_mut(pn).calls.note(&id, "ringing");
        self.ring(now, pn, to, &offer);
        Ok((id, self.settle_phones(now)))
    }

    /// The phone `pn` gives up its call.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_hangs_up(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        to: Pn,
        id: &str,
    ) -> Result<((), Vec<Effect>), PhoneError> {
        if !self.accounts.contains_key(&pn) || !self.accounts.contains_key(&to) {
            return Err(PhoneError::UnknownPhone(pn));
        }
        self.account_mut(pn).calls.note(id, "ended");
        let end = self.call_part(pn, "terminate", id).attr("reason", "timeout").build();
        self.ring(now, pn, to, &end);
        Ok(((), self.settle_phones(now)))
    }

    fn call_part(&self, pn: Pn, tag: &'static str, id: &str) -> Builder {
        let caller = self.account(pn);
        Builder::new(tag)
            .attr("call-id", id.to_owned())
            .attr("call-creator", caller.jid(Form::Lid))
            .attr("caller_pn", caller.jid(Form::Pn))
    }

    fn ring(&mut self, now: UnixMillis, pn: Pn, to: Pn, part: &Stanza) {
        let (from, name) = (self.account(pn).jid(Form::Lid), self.account(pn).name.clone());
        self.tell_call(now, to, None, &from, &name, part);
    }

    fn tell_call(
        &mut self,
        now: UnixMillis,
        to: Pn,
        but: Option<DeviceRef>,
        from: &Jid,
        name: &str,
        part: &Stanza,
    ) {
        let receivers: Vec<DeviceRef> =
            self.companions_of(to).filter(|device| Some(*device) != but).collect();
        for receiver in receivers {
            let call = Builder::new("call")
                .attr("from", from.clone())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .attr("notify", name.to_owned())
                .attr("platform", "android")
                .attr("version", "2.25.1.1")
                .children([part.clone()]);
            self.deliver(now, receiver, call.build());
        }
    }

    /// `<link_create token media/>` for `<link_create media/>` to `@call`. Nobody joins by it.
    fn call_link(&mut self, to: &Jid, part: &Stanza) -> Option<Stanza> {
        let media = part.text("media").filter(|media| matches!(&**media, "audio" | "video"))?;
        let token = format!("{:022x}", self.rng.random::<u64>());
        let link = Builder::new("link_create").attr("token", token).attr("media", media.into_owned()).build();
        (to.server == Server::Call && part.tag == "link_create").then_some(link)
    }

    /// `<call to><reject …/></call>` of a companion; whatever else belongs to a call ends here.
    pub(super) fn call(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let part = stanza.all().first().ok_or("a call without content")?;
        // Baileys waits for it.
        if let (Some(connection), Some(id)) = (self.online.get(&device).copied(), stanza.text("id")) {
            let to = stanza.jid("to").unwrap_or_else(server_jid);
            let ack = Builder::new("ack")
                .attr("class", "call")
                .attr("id", id.into_owned())
                .attr("from", to.clone());
            let ack = ack.attr("type", part.tag.to_string());
            let link = self.call_link(&to, part);
            let refused = part.tag == "link_create" && link.is_none();
            let ack = match link {
                Some(link) => ack.children([link]),
                // With which code the real server refuses is a guess.
                None if refused => ack.attr("error", "400"),
                None => ack,
            };
            self.send(now, connection, ack.build());
            if refused {
                return Err("a link for a call that is neither audio nor video, or asked of somebody".into());
            }
        }
        if part.tag != "reject" {
            return Ok(());
        }
        let to = stanza.need_jid("to").map_err(|error| Refusal::from(error.to_string()))?;
        let id = part.need_text("call-id").map_err(|error| Refusal::from(error.to_string()))?.into_owned();
        let caller = self.account_of(&to).ok_or("nobody called")?.pn;
        if self.account(caller).calls.state(&id).is_none() {
            return Err("there is no such call".into());
        }
        self.account_mut(caller).calls.note(&id, "rejected");
        let from = self.account(device.pn).device_jid(device.device, Form::Lid);
        let name = self.account(device.pn).name.clone();
        self.tell_call(now, caller, None, &from, &name, &part.clone());
        let over = self.call_part(caller, "terminate", &id).attr("reason", "rejected_elsewhere").build();
        let (from, name) = (self.account(caller).jid(Form::Lid), self.account(caller).name.clone());
        self.tell_call(now, device.pn, Some(device), &from, &name, &over);
        Ok(())
    }
}
