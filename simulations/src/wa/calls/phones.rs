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
        self.account_mut(pn).calls.made.note(&id, Call::new(0, called, None));
        let to = self.companions_of(to).collect();
        self.tell_call(now, to, DeviceRef { pn, device: 0 }, &offer);
        Ok((id, self.settle_phones(now)))
    }

    /// The phone `pn` calls a group. That the companions of its members get a notice, and the offers are for their phones
    /// alone, is a guess. Returns the id of the call.
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
        self.account_mut(pn).calls.made.note(&id, Call::new(0, called, Some(group.clone())));
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
        let (call, part) = self.part_of_known(pn, (pn, id), tag)?;
        self.tell_called(now, pn, &call, &part.build());
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
        let (call, end) = self.part_of_known(pn, (pn, id), "terminate")?;
        let end = if reason.is_empty() { end } else { end.attr("reason", reason.to_owned()) }.build();
        self.tell_called(now, pn, &call, &end);
        self.account_mut(pn).calls.ends(id);
        Ok(((), self.settle_phones(now)))
    }

    /// The phone `called` takes the call of the account `pn`, or rejects it: the companions of the latter hear it, or that
    /// which calls, and if its phone calls, those of the former hear that it rings no more.
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
        let tag = if takes { "accept" } else { "reject" };
        let (call, answer) = self.part_of_known(called, (pn, id), tag)?;
        self.answer_call(now, DeviceRef { pn: called, device: 0 }, (pn, id, &call), &answer.build());
        Ok(((), self.settle_phones(now)))
    }

    /// A call that the account `pn` made, and a part of it that the phone `speaker` may say now.
    fn part_of_known(
        &self,
        speaker: Pn,
        (pn, id): (Pn, &str),
        tag: &'static str,
    ) -> Result<(Call, Builder), PhoneError> {
        if !self.accounts.contains_key(&speaker) {
            return Err(PhoneError::UnknownPhone(speaker));
        }
        let account = self.accounts.get(&pn).ok_or(PhoneError::UnknownPhone(pn))?;
        let call = account.calls.made.get(id).ok_or_else(|| PhoneError::UnknownCall(id.to_owned()))?;
        call.takes(pn, DeviceRef { pn: speaker, device: 0 }, tag)?;
        let part = self.part_of(pn, tag, id);
        let part = call.group.iter().fold(part, |part, group| part.attr("group-jid", group.clone()));
        Ok((call.clone(), part))
    }

    /// What the phone that calls says to all whom it calls.
    fn tell_called(&mut self, now: UnixMillis, pn: Pn, call: &Call, part: &Stanza) {
        let to = call.called.iter().flat_map(|pn| self.companions_of(*pn).collect::<Vec<_>>()).collect();
        self.tell_call(now, to, DeviceRef { pn, device: 0 }, part);
    }
}
