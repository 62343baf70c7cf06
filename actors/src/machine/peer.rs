//! Talking with the phone of our own account: what it shares with us, and what we ask it for.
//!
//! What must hold: only device 0 of our own account is believed. What we ask is not kept: whoever wants the
//! answer asks again when none comes.

use bytes::Bytes;
use roost_proto::e2e;
use roost_proto::phone::PeerMessage;
use roost_proto::signal::{Bundle, CiphertextKind};
use roost_proto::stanza::{Builder, Jid, Stanza, message_id};

use super::commit::{After, Pending};
use super::connect::encode;
use super::crypto::{Encryption, PeerName, Purpose, Target, with_state};
use super::inbound::Inbound;
use super::prekeys::leaf;
use super::requests::Asked;
use super::{CryptoRequest, Machine};

/// A message for the phone, on its way.
#[derive(Debug)]
pub(super) struct Job {
    id: String,
    padded: Bytes,
    bundle: Option<Bundle>,
}

impl Machine {
    /// A message of our own phone that is not for the user. True when it was one.
    pub(super) fn hear_phone(
        &mut self,
        slot: u64,
        message: &Inbound,
        padded: &[u8],
        outcome: &mut Pending,
    ) -> bool {
        let peer = message.own && message.from.device == 0;
        let read = e2e::unpad(padded).ok().filter(|_| peer).and_then(PeerMessage::read);
        match read {
            Some(PeerMessage::Keys(keys)) => self.learn_keys(keys, outcome),
            Some(PeerMessage::History(notice)) => self.take_history(message, notice, outcome),
            Some(PeerMessage::Messages { messages, .. }) => {
                self.take_from_phone(slot, message.link, messages);
            }
            Some(PeerMessage::Collection { request, recovery }) => self.take_collection(&request, recovery),
            // What only a companion says; our phone asks nothing of us.
            Some(
                PeerMessage::WantKeys(_)
                | PeerMessage::WantHistory(_)
                | PeerMessage::WantMessages(_)
                | PeerMessage::WantCollection { .. },
            ) => {}
            None => return false,
        }
        true
    }

    /// Sends the phone a message. Returns its id. With `anew` a new ratchet is opened, because the last
    /// message may not have been read.
    pub(super) fn tell_phone(&mut self, message: &PeerMessage, anew: bool) -> String {
        let id = message_id(&mut self.rng);
        let padded = Bytes::from(e2e::pad(&message.to_bytes(), &mut self.rng));
        let job = Job { id: id.clone(), padded, bundle: None };
        if anew {
            self.ask_phone_bundle(job)
        } else {
            self.encrypt_for_phone(job)
        }
        id
    }

    pub(super) fn phone(&self) -> Option<(PeerName, Jid)> {
        let account = self.account.as_ref()?;
        let user = |jid: &Jid| jid.user.to_string();
        let name = PeerName { pn: Some(user(&account.pn)), lid: account.lid.as_ref().map(user), device: 0 };
        Some((name, account.pn.to_non_ad()))
    }

    fn encrypt_for_phone(&mut self, job: Job) {
        let Some((peer, _)) = self.phone() else { return };
        let bundles = job.bundle.iter().map(|bundle| (peer.clone(), bundle.clone())).collect();
        let (plaintexts, targets) = (vec![job.padded.clone()], vec![Target { peer, plaintext: 0 }]);
        let slot = self.lane.open();
        let request = CryptoRequest::Encrypt { bundles, plaintexts, targets, lost: None };
        self.ask_crypto(request, Purpose::Peer { slot, job: Box::new(job) });
    }

    fn ask_phone_bundle(&mut self, job: Job) {
        let Some((_, phone)) = self.phone() else { return };
        self.request(Asked::PhoneBundle { job: Box::new(job) }, |id| {
            super::resolve::ask_bundles(id, &[phone])
        });
    }

    pub(super) fn on_phone_bundle(&mut self, mut job: Job, outcome: Result<Stanza, u16>) {
        let Ok(answer) = outcome else { return };
        job.bundle = super::resolve::read_bundles(&answer).into_iter().find_map(|(_, bundle)| bundle);
        if job.bundle.is_some() {
            self.encrypt_for_phone(job);
        }
    }

    pub(super) fn on_peer_encrypted(&mut self, slot: u64, job: Job, encryption: Encryption) {
        let (changes, made) = match encryption {
            Encryption::Missing(_) => {
                self.lane.fill(slot, Pending::default());
                return if job.bundle.is_none() {
                    self.ask_phone_bundle(job)
                };
            }
            Encryption::Done { changes, ciphertexts, .. } => {
                (changes, ciphertexts.into_iter().flatten().next())
            }
        };
        let mut outcome = with_state(changes);
        let link = self.connection.online();
        if let (Some(made), Some((_, phone)), Some(link)) = (made, self.phone(), link) {
            let opens = made.kind == CiphertextKind::Pkmsg;
            let enc = Builder::new("enc").attr("v", "2").attr("type", made.kind.as_str());
            let identity = self.account.as_ref().filter(|_| opens).map(|account| account.identity.to_vec());
            let children = [enc.bytes(made.bytes.to_vec()).build()].into_iter();
            let stanza = Builder::new("message")
                .attr("id", job.id)
                .attr("to", phone)
                .attr("type", "text")
                .attr("category", "peer")
                .children(children.chain(identity.map(|identity| leaf("device-identity", identity))));
            if let Some(bytes) = encode(&stanza.build()) {
                outcome.after.push(After::Wire(link, bytes));
            }
        }
        self.lane.fill(slot, outcome);
    }
}
