//! Sending to a group: members, their devices, one ciphertext for all.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::content::Wire;
use roost_proto::e2e;
use roost_proto::stanza::{Jid, Server};

use super::called::Called;
use super::crowd::{Crowd, unknown};
use super::{Item, Stage, audience};
use crate::machine::commit::Pending;
use crate::machine::crypto::{GroupEncryption, PeerName, Purpose};
use crate::machine::groups::Group;
use crate::machine::{Account, CryptoRequest, Machine, posts};

impl Item {
    /// Whether it goes out under a sender key.
    pub(super) fn is_for_a_crowd(&self) -> bool {
        let chat = self.message.chat.parse::<Jid>();
        chat.is_ok_and(|chat| chat.server == Server::Group || posts::is_place(&chat))
    }
}

impl Machine {
    /// Begins with a message to a group, as far as what is known of it allows.
    pub(super) fn start_group(&mut self, ordinal: i64, account: &Account, chat: &Jid) {
        let Some(group) = self.groups.get(&chat.to_string()).cloned() else {
            self.set_stage(ordinal, Stage::Resolving);
            return self.ask_group(chat);
        };
        let unknown = unknown(&group, &self.directory);
        if !unknown.is_empty() {
            self.set_stage(ordinal, Stage::Resolving);
            return self.ask_devices(unknown);
        }
        self.encrypt_for_crowd(ordinal, account, chat, &group);
    }

    /// Every device of every member is known: encrypt once for all of them.
    pub(super) fn encrypt_for_crowd(&mut self, ordinal: i64, account: &Account, chat: &Jid, group: &Group) {
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let mut crowd = Crowd::of(account, chat, group, &self.directory, &item.skip);
        let called = Called::of(&item.message.content, &item.skip, &mut self.rng);
        crowd.at = self.now.wall;
        crowd.called = called.as_ref().map(|called| called.bot.clone());
        let targets = crowd.targets(account, group);
        let plaintext = Bytes::from(e2e::pad(&item.message.content, &mut self.rng));
        let bundles = item.bundles.clone();
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return };
        item.phash = Some(crowd.phash.clone());
        item.stage = Stage::Encrypting;
        item.crowd = Some(crowd);
        let slot = self.lane.open();
        let group = chat.to_string();
        let beside = called.map(|called| (called.peer(), called.plaintext));
        let request = CryptoRequest::EncryptForGroup { group, bundles, plaintext, targets, beside };
        self.ask_crypto(request, Purpose::Outgoing { slot, ordinal });
    }

    pub(in crate::machine) fn on_group_encrypted(
        &mut self,
        slot: u64,
        ordinal: i64,
        encryption: GroupEncryption,
    ) {
        let (changes, ciphertext, distributed, beside, renewed) = match encryption {
            GroupEncryption::Missing(peers) => {
                self.lane.fill(slot, Pending::default());
                return self.fetch_bundles(ordinal, &peers);
            }
            GroupEncryption::Failed => {
                self.lane.fill(slot, Pending::default());
                return self.fail(ordinal, "RECIPIENT_HAS_NO_KEYS");
            }
            GroupEncryption::Done { changes, ciphertext, distributed, beside, renewed } => {
                (changes, ciphertext, distributed, beside, renewed)
            }
        };
        let mut outcome = crate::machine::crypto::with_state(changes);
        self.note_renewed(&mut outcome, &self.sending(ordinal), &renewed);
        let account = self.account.clone();
        let item = self.outbox.items.get_mut(&ordinal);
        let (Some(account), Some(item)) = (account, item) else { return self.lane.fill(slot, outcome) };
        let Some(mut crowd) = item.crowd.take() else { return self.lane.fill(slot, outcome) };
        let called = crowd.called.take().zip(beside);
        let devices: BTreeMap<(&str, u16), &Jid> =
            crowd.devices.iter().rev().map(|jid| ((&*jid.user, jid.device), jid)).collect();
        let named = |peer: &PeerName| {
            let jid = audience::jid_of(peer);
            let names = [Some(&*jid.user), peer.pn.as_deref()];
            let as_in_group = names.into_iter().flatten().find_map(|user| devices.get(&(user, jid.device)));
            as_in_group.map_or_else(|| jid.clone(), |device| (*device).clone())
        };
        let distributed = distributed.into_iter().map(|(peer, made)| (named(&peer), made)).collect();
        let marks = Wire::of(&item.message.content);
        let id = &item.message.whatsapp_id;
        let stanza = crowd.stanza(&account, id, &marks, &ciphertext, distributed, called);
        match crate::machine::connect::encode(&stanza) {
            Some(wire) => self.commit_message(slot, ordinal, outcome, wire),
            None => {
                self.lane.fill(slot, outcome);
                self.fail(ordinal, "INVALID_FIELD");
            }
        }
    }

    /// This account is not in the group, or there is no such group.
    pub(in crate::machine) fn fail_group(&mut self, group: &str) {
        let waiting = self
            .outbox
            .items
            .iter()
            .filter(|(_, item)| item.stage == Stage::Resolving && item.message.chat == group);
        let ordinals: Vec<i64> = waiting.map(|(ordinal, _)| *ordinal).collect();
        for ordinal in ordinals {
            self.fail(ordinal, "NOT_IN_GROUP");
        }
    }
}
