//! What phones do about calls: they call, give up, and take or reject the calls of others.

use std::collections::BTreeSet;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Stanza, message_id};

use super::Call;
use crate::wa::account::{DeviceRef, Pn};
use crate::wa::machine::{Effect, Machine};
use crate::wa::phones::PhoneError;

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
        let offer = self.part_of(pn, "offer", &id).children(media).build();
        let called = BTreeSet::from([to]);
        let call = Call { device: 0, called, group: None, state: "ringing" };
        self.account_mut(pn).calls.made.note(&id, call);
        let to = self.companions_of(to).collect();
        self.tell_call(now, to, DeviceRef { pn, device: 0 }, &offer);
        Ok((id, self.settle_phones(now)))
    }

    /// The phone `pn` calls a group: the companions of its members get a notice, as the offers are for their phones.
    /// Returns the id of the call.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_calls_group(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        group: &Jid,
        video: bool,
    ) -> Result<(String, Vec<Effect>), PhoneError> {
        let members = self.groups.get(group.user.as_str()).map(|group| &group.members);
        let members = members.filter(|members| members.contains_key(&pn));
        let members = members.ok_or_else(|| PhoneError::UnknownReceiver(group.to_string()))?;
        let called: BTreeSet<Pn> = members.keys().copied().filter(|member| *member != pn).collect();
        let id = message_id(&mut self.rng);
        let notice = self
            .part_of(pn, "offer_notice", &id)
            .attr("type", "group")
            .attr("media", if video { "video" } else { "audio" })
            .attr("group-jid", group.clone())
            .build();
        let to = called.iter().flat_map(|member| self.companions_of(*member)).collect();
        let call = Call { device: 0, called, group: Some(group.clone()), state: "ringing" };
        self.account_mut(pn).calls.made.note(&id, call);
        self.tell_call(now, to, DeviceRef { pn, device: 0 }, &notice);
        Ok((id, self.settle_phones(now)))
    }

    /// The phone that calls says another part of its call to whom it calls: `transport`, `relaylatency`, or any other tag.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_says_of_call(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        id: &str,
        tag: &'static str,
    ) -> Result<((), Vec<Effect>), PhoneError> {
        let part = self.part_of_known(pn, tag, id)?.build();
        self.tell_called(now, pn, id, None, &part);
        Ok(((), self.settle_phones(now)))
    }

    /// The phone `pn` gives up its call, with this reason; with none when it is empty.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_hangs_up(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        id: &str,
        reason: &str,
    ) -> Result<((), Vec<Effect>), PhoneError> {
        let end = self.part_of_known(pn, "terminate", id)?;
        let end = if reason.is_empty() { end } else { end.attr("reason", reason.to_owned()) }.build();
        self.tell_called(now, pn, id, None, &end);
        self.account_mut(pn).calls.becomes(id, "ended");
        Ok(((), self.settle_phones(now)))
    }

    /// The phone `called` takes the call of the phone `pn`, or rejects it: the companions of the latter hear it, and those
    /// of the former that it rings no more.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_answers(
        &mut self,
        now: UnixMillis,
        (pn, id): (Pn, &str),
        called: Pn,
        takes: bool,
    ) -> Result<((), Vec<Effect>), PhoneError> {
        if !self.accounts.contains_key(&called) {
            return Err(PhoneError::UnknownPhone(called));
        }
        let (tag, state, reason) = match takes {
            true => ("accept", "accepted", "accepted_elsewhere"),
            false => ("reject", "rejected", "rejected_elsewhere"),
        };
        let answer = self.part_of_known(pn, tag, id)?.build();
        let end = self.part_of(pn, "terminate", id).attr("reason", reason).build();
        let to = self.companions_of(pn).collect();
        self.tell_call(now, to, DeviceRef { pn: called, device: 0 }, &answer);
        self.tell_called(now, pn, id, Some(called), &end);
        if self.account(pn).calls.made.get(id).is_some_and(|call| call.group.is_none()) {
            self.account_mut(pn).calls.becomes(id, state);
        }
        Ok(((), self.settle_phones(now)))
    }

    fn part_of_known(&self, pn: Pn, tag: &'static str, id: &str) -> Result<Builder, PhoneError> {
        let account = self.accounts.get(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let call = account.calls.made.get(id).ok_or_else(|| PhoneError::UnknownCall(id.to_owned()))?;
        let part = self.part_of(pn, tag, id);
        Ok(call.group.iter().fold(part, |part, group| part.attr("group-jid", group.clone())))
    }

    /// What the phone that calls says to all whom it calls, or to one of them.
    fn tell_called(&mut self, now: UnixMillis, pn: Pn, id: &str, only: Option<Pn>, part: &Stanza) {
        let called = self.account(pn).calls.made.get(id).map(|call| call.called.clone()).unwrap_or_default();
        let called = called.into_iter().filter(|pn| only.is_none_or(|only| only == *pn));
        let to = called.flat_map(|pn| self.companions_of(pn).collect::<Vec<_>>()).collect();
        self.tell_call(now, to, DeviceRef { pn, device: 0 }, part);
    }
}
