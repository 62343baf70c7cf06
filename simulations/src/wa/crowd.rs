//! Messages to groups: one ciphertext for every device of every member, and the sender key in front of it for
//! those that the sender gave it to.
//!
//! What must hold: only members send, only admins where only admins may; a device gets the key that is meant
//! for it and no other; who is asked to encrypt again does so to one device only.

use roost_proto::id::UnixMillis;
use roost_proto::phash::phash;
use roost_proto::signal::CiphertextKind;
use roost_proto::stanza::{Builder, HOSTED, Jid, Read as _, Stanza};

use super::account::{DeviceRef, Form, seconds};
use super::groups::Group;
use super::machine::{Machine, Refusal};
use super::route::NOT_COPIED;

impl Machine {
    /// A device sends a message to a group.
    pub(super) fn group_message(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        id: &str,
        to: &Jid,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let refuse = |machine: &mut Self, code: &str, why: &'static str| {
            machine.refuse_message(now, from, stanza, to, code, why)
        };
        let Some(group) = self.groups.get(&*to.user).cloned() else {
            return refuse(self, "404", "there is no such group");
        };
        if !group.members.contains_key(&from.pn) {
            return refuse(self, "403", "a stranger speaks in a group");
        }
        // To announcements of a community its members react, and whatsapp-rust conceals it there. That nothing else of
        // theirs is let through is a guess.
        let reacts =
            group.on.contains("default_sub_group") && stanza.text("type").as_deref() == Some("reaction");
        if group.announce && !group.is_admin(from.pn) && !reacts {
            return refuse(self, "403", "only admins speak in this group");
        }
        if stanza.text("addressing_mode").is_some_and(|mode| mode != "lid") {
            return refuse(self, "421", "the group is addressed by hidden identities");
        }
        if let Some(participant) = stanza.jid("participant") {
            let is_member = self.account_of(&participant).is_none_or(|a| group.members.contains_key(&a.pn));
            if !is_member {
                return refuse(self, "403", "sent again to a stranger to the group");
            }
            return self.group_resend(now, from, to, stanza, &participant);
        }
        let Some(shared) = stanza.all_named("enc").find(|enc| enc.text("type").as_deref() == Some("skmsg"))
        else {
            return refuse(self, "400", "a message to a group without a ciphertext for it");
        };
        // Under which conditions the real server calls a list stale, instead of telling its own hash, is not known.
        if self.faults.take(from, |faults| &mut faults.stale_lists) {
            return refuse(self, "421", "the list of the devices of the group is stale");
        }
        let chain =
            shared.leaf().and_then(|bytes| self.ledger.group_ciphertext(from, &group.id, id, bytes, now));
        if let Some(chain) = chain {
            self.ledger.speaks(from, &group, chain);
        }
        let devices: Vec<DeviceRef> = group
            .members
            .keys()
            .flat_map(|pn| self.account(*pn).members().map(|device| DeviceRef { pn: *pn, device }))
            .collect();
        let named: Vec<Jid> =
            devices.iter().map(|d| self.account(d.pn).device_jid(d.device, Form::Lid)).collect();
        let keys = self.distributed(from, &group, stanza);
        for to_device in devices.into_iter().filter(|device| *device != from) {
            let mut ciphertexts = Vec::new();
            for (_, enc) in keys.iter().filter(|(device, _)| *device == to_device) {
                let kind = enc.text("type").and_then(|kind| CiphertextKind::parse(&kind));
                if let (Some(kind), Some(bytes)) = (kind, enc.leaf()) {
                    self.ledger.ciphertext((from, to_device), id, kind, bytes, now);
                    self.ledger.key_given(from, &group, to_device.pn);
                }
                ciphertexts.push((*enc).clone());
            }
            ciphertexts.push(shared.clone());
            let delivery = self.group_delivery(now, from, stanza, to, ciphertexts);
            self.deliver(now, to_device, delivery);
        }
        self.call_bot(now, from, to, stanza);
        let hash = phash(&named);
        let differs = stanza.text("phash").is_some_and(|theirs| theirs != hash);
        let extra = differs.then_some(("phash", hash));
        self.ack_message(now, from, stanza, to, extra.as_slice());
        Ok(())
    }

    /// The sender keys in a message, by the devices that they are for.
    fn distributed<'a>(
        &mut self,
        from: DeviceRef,
        group: &Group,
        stanza: &'a Stanza,
    ) -> Vec<(DeviceRef, &'a Stanza)> {
        let mut keys = Vec::new();
        let entries = stanza.child("participants").into_iter().flat_map(|all| all.all_named("to"));
        for entry in entries {
            let device = entry.jid("jid").and_then(|jid| self.device_at(&jid));
            // That the server refuses a key for a hosted device is a guess; clients give none.
            let device = device.filter(|device| device.device != HOSTED);
            match device.filter(|device| group.members.contains_key(&device.pn)) {
                Some(device) => keys.extend(entry.all_named("enc").map(|enc| (device, enc))),
                None => {
                    tracing::warn!(device = %from, to = ?entry.text("jid"), "a sender key for a stranger");
                    let record = self.ledger.device(from);
                    record.misdirected += 1;
                    record.refused_stanzas += 1;
                }
            }
        }
        keys
    }

    /// A device could not read it: encrypted again, for that device alone. The codes of the refusals are guesses.
    pub(super) fn group_resend(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        to: &Jid,
        stanza: &Stanza,
        participant: &Jid,
    ) -> Result<(), Refusal> {
        let Some(device) = self.existing(participant) else {
            let why = "sent again to a device that there is not";
            return self.refuse_message(now, from, stanza, to, "404", why);
        };
        let single =
            |enc: &&Stanza| enc.text("type").is_some_and(|kind| CiphertextKind::parse(&kind).is_some());
        let bare: Vec<Stanza> = stanza.all_named("enc").filter(single).cloned().collect();
        if bare.is_empty() {
            return self.refuse_message(now, from, stanza, to, "400", "sent again without a ciphertext");
        }
        self.hand_out(now, (from, device), stanza, to, bare);
        self.ack_message(now, from, stanza, to, &[]);
        Ok(())
    }

    /// Gives a device what is encrypted for it; what it alone can read is remembered.
    pub(super) fn hand_out(
        &mut self,
        now: UnixMillis,
        (from, device): (DeviceRef, DeviceRef),
        stanza: &Stanza,
        to: &Jid,
        ciphertexts: Vec<Stanza>,
    ) {
        let id = stanza.text("id").unwrap_or_default();
        for enc in &ciphertexts {
            let kind = enc.text("type").and_then(|kind| CiphertextKind::parse(&kind));
            if let (Some(kind), Some(bytes)) = (kind, enc.leaf()) {
                self.ledger.ciphertext((from, device), &id, kind, bytes, now);
            }
        }
        let delivery = self.group_delivery(now, from, stanza, to, ciphertexts);
        self.deliver(now, device, delivery);
    }

    pub(super) fn group_delivery(
        &self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        mut children: Vec<Stanza>,
    ) -> Stanza {
        let sender = self.account(from.pn);
        let mut builder = Builder::new("message")
            .attr("from", to.to_non_ad())
            .attr("participant", sender.device_jid(from.device, Form::Lid))
            .attr("participant_pn", sender.jid(Form::Pn))
            .attr("addressing_mode", "lid")
            .attr("id", stanza.text("id").unwrap_or_default().into_owned())
            .attr("type", stanza.text("type").unwrap_or("text".into()).into_owned())
            .attr("t", seconds(now))
            .attr("notify", sender.name.as_str());
        if let Some(edit) = stanza.text("edit") {
            builder = builder.attr("edit", edit.into_owned());
        }
        let opens = children.iter().any(|enc| enc.text("type").as_deref() == Some("pkmsg"));
        children.extend(stanza.child("device-identity").filter(|_| opens).cloned());
        children.extend(stanza.all().iter().filter(|child| !NOT_COPIED.contains(&&*child.tag)).cloned());
        children.extend(sender.certified());
        builder.children(children).build()
    }
}
