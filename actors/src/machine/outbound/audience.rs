//! The audience of a one-to-one message: every device of the recipient, and every other device of the
//! sender; and the stanza that carries a ciphertext for each.

use std::collections::BTreeSet;

use bytes::Bytes;
use rand::Rng;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::content::Wire;
use roost_proto::e2e;
use roost_proto::id::UnixMillis;
use roost_proto::phash::phash;
use roost_proto::signal::{Ciphertext, CiphertextKind};
use roost_proto::stanza::{Builder, Jid, Server, Stanza};

use super::called;
use crate::machine::commit::Pending;
use crate::machine::crypto::{PeerName, Target};
use crate::machine::inbound::bounded;
use crate::machine::prekeys::leaf;
use crate::machine::resolve::Directory;
use crate::machine::{Account, Machine};

/// Who gets a message, by bare JIDs of one address form: LIDs where the recipient's is known.
#[derive(Debug)]
pub(super) struct Audience {
    /// The recipient.
    pub(super) peer: Jid,
    /// Our account.
    own: Jid,
    /// The chat as it is written on the wire; equals `peer`.
    pub(super) chat: Jid,
    /// Phone number of the recipient, when a LID stands for it.
    pn: Option<Jid>,
    /// Where posts are, when it is about a post of the recipient.
    post: Option<Jid>,
}

/// The devices of an audience, each with its plaintext: 0 for the recipient's, 1 for our own.
pub(super) struct Targets {
    pub(super) list: Vec<(Jid, Target)>,
    /// How many of them are what the message is for.
    pub(super) peers: usize,
}

impl Audience {
    pub(super) fn of(account: &Account, chat: &Jid, directory: &Directory) -> Audience {
        let chat = chat.to_non_ad();
        let own_pn = account.pn.to_non_ad();
        let own_lid = account.lid.as_ref().map(Jid::to_non_ad);
        if account.is_own(&chat) {
            let own = own_lid.unwrap_or(own_pn);
            return Audience { peer: own.clone(), chat: own.clone(), own, pn: None, post: None };
        }
        if !chat.is_pn() {
            let own = own_lid.unwrap_or(own_pn);
            return Audience { peer: chat.clone(), chat, own, pn: None, post: None };
        }
        match (directory.lid(&chat.user).flatten(), own_lid) {
            (Some(lid), Some(own)) => {
                let peer = Jid::lid(lid);
                Audience { peer: peer.clone(), own, chat: peer, pn: Some(chat), post: None }
            }
            _ => Audience { peer: chat.clone(), own: own_pn, chat, pn: None, post: None },
        }
    }

    /// The same for what is about a post of the recipient, which is sent to where posts are.
    pub(super) fn about(self, post: Option<Jid>) -> Audience {
        Audience { post, ..self }
    }

    /// Users whose devices must be asked for.
    pub(super) fn unknown(&self, directory: &Directory) -> Vec<Jid> {
        // A phone number whose LID nobody knew yet is asked by that number; the answer may name the LID.
        let users = [self.peer.clone(), self.own.clone()];
        let users: BTreeSet<String> =
            users.iter().filter(|user| directory.devices(user).is_none()).map(ToString::to_string).collect();
        users.iter().filter_map(|user| user.parse().ok()).collect()
    }

    /// Whether WhatsApp knows nobody there.
    pub(super) fn absent(&self, directory: &Directory) -> bool {
        directory.devices(&self.peer).is_none_or(<[u16]>::is_empty)
    }

    pub(super) fn targets(&self, account: &Account, directory: &Directory, skip: &[Jid]) -> Targets {
        let mut list = Vec::new();
        let mut peers = 0;
        let to_self = self.peer == self.own;
        let mut users = vec![(&self.own, 1)];
        if !to_self {
            users.insert(0, (&self.peer, 0));
        }
        for (user, plaintext) in users {
            for device in directory.devices(user).unwrap_or_default() {
                let jid = user.with_device(*device);
                let this_one = *user == self.own && *device == account.device();
                if this_one || skip.contains(&jid) {
                    continue;
                }
                peers += usize::from(plaintext == 0 || to_self);
                let peer = self.peer_name(account, &jid);
                list.push((jid, Target { peer, plaintext }));
            }
        }
        Targets { list, peers }
    }

    /// What the targets get: the message as it is, and wrapped for our own devices; padded.
    pub(super) fn plaintexts(&self, message: &[u8], rng: &mut impl Rng) -> Vec<Bytes> {
        let sent = e2e::DeviceSent { destination: self.chat.to_string(), message: message.to_vec() };
        let wrapped = e2e::wrap_device_sent(&sent);
        [message, &wrapped].map(|message| Bytes::from(e2e::pad(message, rng))).to_vec()
    }

    /// The hash by which WhatsApp compares device lists.
    pub(super) fn phash(&self, directory: &Directory) -> String {
        let users: BTreeSet<String> = [&self.peer, &self.own].map(ToString::to_string).into();
        let users = users.iter().filter_map(|user| user.parse::<Jid>().ok());
        let devices: Vec<Jid> = users
            .flat_map(|user| {
                let devices = directory.devices(&user).unwrap_or_default();
                devices.iter().map(|device| user.with_device(*device)).collect::<Vec<_>>()
            })
            .collect();
        phash(&devices)
    }

    /// The stanza, with a ciphertext for each device in the order of its targets; `None` when no device of
    /// the recipient gets one. The targets are named by the ciphertexts themselves.
    pub(super) fn stanza(
        &self,
        account: &Account,
        id: &str,
        marks: &Wire,
        ciphertexts: Vec<(Jid, Ciphertext)>,
        proof: Option<Stanza>,
        now: UnixMillis,
    ) -> Option<Stanza> {
        let to_self = self.peer == self.own;
        if !ciphertexts.iter().any(|(jid, _)| to_self || jid.to_non_ad() == self.peer) {
            return None;
        }
        let opens = ciphertexts.iter().any(|(_, ciphertext)| ciphertext.kind == CiphertextKind::Pkmsg);
        let is_called = |(jid, _): &(Jid, _)| jid.server == Server::Bot && jid.to_non_ad() != self.peer;
        let (called, ciphertexts): (Vec<_>, Vec<_>) = ciphertexts.into_iter().partition(is_called);
        let participants = ciphertexts.into_iter().map(|(jid, ciphertext)| {
            let enc = Builder::new("enc").attr("v", "2").attr("type", ciphertext.kind.as_str());
            let enc = marks.mark(enc).bytes(ciphertext.bytes.to_vec()).build();
            Builder::new("to").attr("jid", jid).children([enc]).build()
        });
        let mut children = vec![Builder::new("participants").children(participants).build()];
        if opens {
            children.push(leaf("device-identity", account.identity.to_vec()));
        }
        children.extend(marks.children(now, true));
        children.extend(called.into_iter().map(|(bot, made)| called::element(bot, made)));
        children.extend(marks.reporting(id, &self.own, &self.chat));
        children.extend(proof);
        let mut stanza = Builder::new("message")
            .attr("id", id.to_owned())
            .attr("to", self.post.as_ref().unwrap_or(&self.chat).clone())
            .attr("type", marks.kind);
        if let Some(edit) = marks.edit {
            stanza = stanza.attr("edit", edit);
        }
        if let Some(pn) = self.pn.as_ref().filter(|_| self.post.is_none()) {
            stanza = stanza.attr("peer_recipient_pn", pn.clone());
        }
        Some(stanza.children(children).build())
    }

    /// The recipient, when it is not our own account. What is about a post shows him no token, as whatsapp-rust has it.
    pub(super) fn contact(&self, account: &Account) -> Option<PeerName> {
        (self.peer != self.own && self.post.is_none()).then(|| self.peer_name(account, &self.peer))
    }

    fn peer_name(&self, account: &Account, jid: &Jid) -> PeerName {
        let digits = |jid: &Jid| jid.user.to_string();
        let (pn, lid) = if jid.server == Server::Bot {
            (None, Some(jid.to_non_ad().to_string()))
        } else if account.is_own(jid) {
            (Some(digits(&account.pn)), account.lid.as_ref().map(digits))
        } else if jid.is_lid() {
            (self.pn.as_ref().map(digits), Some(digits(jid)))
        } else {
            (Some(digits(jid)), None)
        };
        PeerName { pn, lid, device: jid.device }
    }
}

impl Machine {
    /// The devices of both sides are not what we thought.
    pub(super) fn forget_audience(&mut self, chat: &Jid) {
        self.directory.forget(chat);
        if let Some(account) = &self.account {
            for jid in [Some(&account.pn), account.lid.as_ref()].into_iter().flatten() {
                self.directory.forget(jid);
            }
        }
    }

    /// Names a message that is sent now.
    pub(super) fn sending(&self, ordinal: i64) -> String {
        format!("sent/{}/{ordinal}", self.opening.grant.epoch)
    }

    /// Devices that show another identity key than before, and people whose LID was learned, while the message of this name
    /// was made.
    pub(in crate::machine) fn note_renewed(
        &mut self,
        outcome: &mut Pending,
        made: &str,
        renewed: &[PeerName],
    ) {
        self.note_mapped(outcome);
        for peer in renewed {
            let person = api::Person {
                lid: peer.lid.as_ref().map(|user| format!("{user}@lid")).unwrap_or_default(),
                phone_number: peer
                    .pn
                    .as_ref()
                    .map(|user| format!("{user}@s.whatsapp.net"))
                    .unwrap_or_default(),
            };
            let name = jid_of(peer);
            let dedupe = bounded(format!("identity/{name}/{made}"));
            let changed = api::IdentityChanged { person: Some(person) };
            outcome.batch.events.push(self.synthetic(dedupe, Payload::IdentityChanged(changed)));
        }
    }

    pub(in crate::machine) fn draw(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

/// The JID under which bundles of a device are asked for: its LID, when one is known, or that of a bot.
pub(super) fn jid_of(peer: &PeerName) -> Jid {
    match (&peer.lid, &peer.pn) {
        (Some(bot), _) if bot.ends_with("@bot") => {
            Jid::new(bot.trim_end_matches("@bot"), Server::Bot).with_device(peer.device)
        }
        (Some(lid), _) => Jid::lid_device(lid.as_str(), peer.device),
        (None, pn) => Jid::pn_device(pn.clone().unwrap_or_default(), peer.device),
    }
}
