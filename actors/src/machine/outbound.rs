//! Sending: from an accepted message to WhatsApp's acknowledgement.
//!
//! What must hold: a message is durable before it is called accepted; its bytes and the ratchets are
//! durable before the bytes are on the wire; the same bytes go out again until WhatsApp has acknowledged
//! them, whoever owns the device by then. Messages of one chat are encrypted in the order in which they
//! were accepted; chats do not wait for each other.

mod accept;
mod audience;
mod called;
mod crowd;
mod ended;
mod group;
mod newsletter;
mod parted;
mod post;
mod terms;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_placement::seeded::{self, Bug};
use roost_proto::content::Wire;
use roost_proto::signal::{Bundle, Ciphertext};
use roost_proto::stanza::{Jid, Server, Stanza};

use super::commit::{After, Pending};
use super::crypto::{Encryption, PeerName, Purpose};
use super::requests::Asked;
use super::tokens::{For, element, stranger, takes_part};
use super::{CryptoRequest, Machine};
use crate::port::{MessageState, MessageUpdate, NewMessage, StoredMessage};
pub(super) use accept::{Admission, Editing};
use audience::Audience;
use called::Called;
use crowd::Crowd;
use ended::Copies;
use turn::Turn;

/// Where a message is on its way.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Durable, and nothing more; not before this moment.
    Accepted(BootTime),
    /// The LID of the recipient is looked up.
    FindingLid,
    /// Device lists are asked for.
    Resolving,
    /// Prekey bundles are asked for.
    Fetching,
    /// With crypto.
    Encrypting,
    /// Encrypted; its commit is on the way.
    Committing,
    /// On the wire since then, or about to be.
    Sending { wire: Bytes, since: Option<BootTime> },
    /// WhatsApp has said its word; the commit of that is on the way.
    Settling,
}

/// A message that WhatsApp has not acknowledged.
#[derive(Debug)]
struct Item {
    message: NewMessage,
    /// When it is too late to encrypt it.
    expires: Option<BootTime>,
    /// It may have been on the wire of a link that is gone.
    unsure: bool,
    /// Id of its stanza in a newsletter.
    stanza_id: Option<String>,
    stage: Stage,
    turn: Turn,
    bundles: Vec<(PeerName, Bundle)>,
    /// Devices that have no usable bundle.
    skip: Vec<Jid>,
    /// Devices whose bundles are asked for.
    fetching: Vec<Jid>,
    rounds: u32,
    /// How often it was encrypted anew because WhatsApp called its list of devices stale.
    restarts: u32,
    copies: Copies,
    phash: Option<String>,
    /// To whom it is being encrypted: the devices in the order of the ciphertexts.
    audience: Option<(Audience, Vec<Jid>)>,
    /// The same for a group.
    crowd: Option<Crowd>,
    /// What lets us write to the recipient: a token of his, or one for strangers.
    proof: Option<Stanza>,
    /// Who is to be given a token of ours, when WhatsApp has the message.
    trusts: Option<PeerName>,
}

/// Messages on their way, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: BTreeMap<i64, Item>,
    unanswered: newsletter::Unanswered,
    /// Accepts whose commit is on the way.
    accepting: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn forget(&mut self, ordinal: i64) {
        self.items.remove(&ordinal);
    }
}

impl Machine {
    pub(super) fn outbox_load(&mut self, stored: Vec<StoredMessage>) {
        stored.into_iter().for_each(|message| self.outbox_add(message));
    }

    /// An accept was answered, one way or the other.
    pub(super) fn outbox_answered(&mut self) {
        self.outbox.accepting = self.outbox.accepting.saturating_sub(1);
    }

    pub(super) fn outbox_add(&mut self, stored: StoredMessage) {
        let (expires, unsure) = (self.expires(&stored.message), stored.wire.is_some());
        let stage = match stored.wire {
            Some(wire) => Stage::Sending { wire, since: None },
            None => Stage::Accepted(self.now.boot),
        };
        let turn = Turn::new(self.may_begin(&stored.message.chat));
        let item = Item {
            stanza_id: newsletter::stanza_id(&stored.message),
            message: stored.message,
            expires,
            unsure,
            stage,
            turn,
            bundles: Vec::new(),
            skip: Vec::new(),
            fetching: Vec::new(),
            rounds: 0,
            restarts: 0,
            copies: Copies::default(),
            phash: None,
            audience: None,
            crowd: None,
            proof: None,
            trusts: None,
        };
        self.outbox.items.insert(stored.ordinal, item);
    }

    /// Moves everything on that can move.
    pub(super) fn outbox_pump(&mut self) {
        if !self.may_act() || self.commits.failing() {
            return;
        }
        self.outbox_expire();
        if let Some(link) = self.connection.online() {
            self.outbox_move(link);
        }
        self.plan_next_look();
    }

    fn outbox_move(&mut self, link: u64) {
        let (now, barred) = (self.now.boot, self.bar().is_some());
        let mut behind: BTreeSet<String> = BTreeSet::new();
        let (mut ready, mut unsure, mut over) = (Vec::new(), Vec::new(), Vec::new());
        let mut busy = 0;
        for (ordinal, item) in &mut self.outbox.items {
            match &mut item.stage {
                Stage::Sending { wire, since } => {
                    let again = since.is_none_or(|at| now.since(at) >= self.limits.resend);
                    if again && item.message.terms.once && (item.unsure || since.is_some()) {
                        over.push(*ordinal);
                    } else if again && barred && !item.turn.is_reply() {
                        unsure.push(*ordinal);
                    } else if again {
                        *since = Some(now);
                        item.copies.sent();
                        self.outbox.unanswered.sent(item.stanza_id.as_ref(), *ordinal);
                        self.wire.push_back((link, wire.clone()));
                    }
                }
                Stage::Accepted(from) => {
                    let free = busy + ready.len() < self.limits.sending;
                    // What is barred keeps nobody's place.
                    let held = item.turn.is_barred(barred, now);
                    if *from <= now && free && !held && !behind.contains(&item.message.chat) {
                        ready.push(*ordinal);
                    }
                    behind.insert(item.message.chat.clone());
                }
                Stage::Committing | Stage::Settling => {}
                Stage::FindingLid | Stage::Resolving | Stage::Fetching | Stage::Encrypting => {
                    busy += 1;
                    behind.insert(item.message.chat.clone());
                }
            }
        }
        for ordinal in over {
            self.end(ordinal, MessageState::Indeterminate, None);
        }
        for ordinal in unsure {
            self.look_whether_it_begins(ordinal);
        }
        for ordinal in ready {
            if self.has_its_turn(ordinal, barred) {
                self.start(ordinal);
            }
        }
    }

    /// Begins with a message, as far as what is known of its audience allows.
    fn start(&mut self, ordinal: i64) {
        let Some(account) = self.account.clone() else { return };
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let Ok(chat) = item.message.chat.parse::<Jid>() else {
            return self.fail(ordinal, "INVALID_FIELD");
        };
        if chat.server == Server::Group {
            return self.start_group(ordinal, &account, &chat);
        }
        let Some((chat, post)) = self.whom(&chat, &item.message) else {
            return self.start_post(ordinal, &account, &chat);
        };
        if chat.server == Server::Newsletter {
            return self.start_in_newsletter(ordinal, &chat);
        }
        let own = account.is_own(&chat);
        if chat.is_pn() && !own && self.directory.lid(&chat.user).is_none() {
            self.set_stage(ordinal, Stage::FindingLid);
            let pn = chat.user.to_string();
            return self.ask_crypto(CryptoRequest::Lid { pn: pn.clone() }, Purpose::Lid { pn });
        }
        let audience = Audience::of(&account, &chat, &self.directory).about(post);
        let unknown = audience.unknown(&self.directory);
        if !unknown.is_empty() {
            self.set_stage(ordinal, Stage::Resolving);
            return self.ask_devices(unknown);
        }
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let targets = audience.targets(&account, &self.directory, &item.skip);
        if targets.peers == 0 {
            let absent = audience.absent(&self.directory);
            let user = audience.peer.clone();
            self.forget_absent(&user);
            return self
                .fail(ordinal, if absent { "RECIPIENT_NOT_ON_WHATSAPP" } else { "RECIPIENT_HAS_NO_KEYS" });
        }
        let called = Called::of(&item.message.content, &item.skip, &mut self.rng);
        let mut plaintexts = audience.plaintexts(&item.message.content, &mut self.rng);
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return };
        item.phash = Some(audience.phash(&self.directory));
        item.stage = Stage::Encrypting;
        let bundles = item.bundles.clone();
        let slot = self.lane.open();
        let (mut devices, mut targets): (Vec<_>, Vec<_>) = targets.list.into_iter().unzip();
        Called::join(called, &mut devices, &mut targets, &mut plaintexts);
        let contact = audience.contact(&account).filter(|_| takes_part(&audience.peer));
        item.trusts = contact.clone();
        item.audience = Some((audience, devices));
        if let Some(contact) = contact {
            self.ask_token(contact, For::Message(ordinal));
        }
        let request = CryptoRequest::Encrypt { bundles, plaintexts, targets, lost: None };
        self.ask_crypto(request, Purpose::Outgoing { slot, ordinal });
    }

    pub(super) fn on_encrypted(&mut self, slot: u64, ordinal: i64, encryption: Encryption) {
        match encryption {
            Encryption::Missing(peers) => {
                self.lane.fill(slot, Pending::default());
                self.fetch_bundles(ordinal, &peers);
            }
            Encryption::Done { changes, ciphertexts, renewed } => {
                let mut outcome = super::crypto::with_state(changes);
                self.note_renewed(&mut outcome, &self.sending(ordinal), &renewed);
                self.finish_message(slot, ordinal, outcome, ciphertexts);
            }
        }
    }

    fn fetch_bundles(&mut self, ordinal: i64, peers: &[PeerName]) {
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return };
        item.rounds += 1;
        if item.rounds > 3 || self.connection.online().is_none() {
            item.rounds = 0;
            item.stage = Stage::Accepted(self.now.boot.plus(Duration::from_secs(5)));
            return;
        }
        item.stage = Stage::Fetching;
        let devices: Vec<Jid> = peers.iter().map(audience::jid_of).collect();
        item.fetching = devices.clone();
        self.request(Asked::Bundles { ordinal }, |id| super::resolve::ask_bundles(id, &devices));
    }

    pub(super) fn on_bundles(&mut self, ordinal: i64, outcome: Result<Stanza, u16>) {
        let now = self.now.boot;
        let bundles = outcome.as_ref().map(super::resolve::read_bundles).unwrap_or_default();
        let named: Vec<_> =
            bundles.into_iter().map(|(jid, bundle)| (self.peer_name(&jid), jid, bundle)).collect();
        let Some(item) = self.outbox.items.get_mut(&ordinal).filter(|item| item.stage == Stage::Fetching)
        else {
            return;
        };
        let pause = if matches!(outcome, Ok(_) | Err(0)) { Duration::ZERO } else { Duration::from_secs(5) };
        item.stage = Stage::Accepted(now.plus(pause));
        let mut asked = std::mem::take(&mut item.fetching);
        for (peer, jid, bundle) in named {
            match bundle {
                Some(bundle) => item.bundles.push((peer, bundle)),
                None => item.skip.push(jid.clone()),
            }
            asked.retain(|device| *device != jid);
        }
        if outcome.is_ok() {
            item.skip.extend(asked);
        }
    }

    /// Everything for the wire exists: one commit with the ratchets, then out.
    fn finish_message(
        &mut self,
        slot: u64,
        ordinal: i64,
        outcome: Pending,
        ciphertexts: Vec<Option<Ciphertext>>,
    ) {
        let account = self.account.clone();
        let audience = self.outbox.items.get_mut(&ordinal).and_then(|item| item.audience.take());
        let (Some(account), Some((audience, devices))) = (account, audience) else {
            return self.lane.fill(slot, outcome);
        };
        let Some(item) = self.outbox.items.get(&ordinal) else { return self.lane.fill(slot, outcome) };
        let made =
            devices.into_iter().zip(ciphertexts).filter_map(|(jid, made)| Some((jid, made?))).collect();
        let marks = Wire::of(&item.message.content);
        let proof = item.proof.clone();
        let wire = audience.stanza(&account, &item.message.whatsapp_id, &marks, made, proof, self.now.wall);
        match wire.as_ref().and_then(super::connect::encode) {
            Some(wire) => self.commit_message(slot, ordinal, outcome, wire),
            None => {
                self.lane.fill(slot, outcome);
                self.fail(ordinal, "RECIPIENT_HAS_NO_KEYS");
            }
        }
    }

    /// What is known of the tokens between us and the recipient of a message: the one that he has given us, and
    /// whether he is to be given ours.
    pub(super) fn outbox_token(&mut self, ordinal: i64, token: Option<&Bytes>, due: bool) {
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return };
        let recipient = item.trusts.as_ref();
        item.proof = token.map(element).or_else(|| stranger(&self.salt, recipient?));
        item.trusts = item.trusts.take().filter(|_| due);
    }

    /// The bytes of a message exist: durable with the state that they took, then on the wire.
    fn commit_message(&mut self, slot: u64, ordinal: i64, mut outcome: Pending, wire: Bytes) {
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return self.lane.fill(slot, outcome) };
        let begins = item.turn.spend();
        let NewMessage { message_id, whatsapp_id, content, .. } = item.message.clone();
        self.remember_sent(&mut outcome, &whatsapp_id, &content);
        if begins {
            self.note_pace(&mut outcome);
        }
        outcome.batch.messages.push(MessageUpdate {
            message_id,
            state: MessageState::Sending,
            wire: Some(wire.clone()),
            failure: None,
            at: self.now.wall,
        });
        if seeded::on(Bug::EncryptedAgain) {
            outcome.batch.state.clear();
        }
        self.set_stage(ordinal, Stage::Committing);
        if seeded::on(Bug::WireBeforeCommit) {
            self.outgoing(ordinal, wire.clone());
        }
        outcome.after.push(After::Outgoing(ordinal, wire));
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    pub(super) fn outgoing(&mut self, ordinal: i64, wire: Bytes) {
        self.set_stage(ordinal, Stage::Sending { wire, since: None });
    }

    fn set_stage(&mut self, ordinal: i64, stage: Stage) {
        if let Some(item) = self.outbox.items.get_mut(&ordinal) {
            item.stage = stage;
        }
    }
}
