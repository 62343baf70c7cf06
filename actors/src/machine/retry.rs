//! Messages that could not be decrypted: asking for them again, and sending ours again when asked.
//!
//! What must hold: a message is asked for behind the commit that says so (`awaited.rs`). A message is sent
//! again under a fresh message key, to the asking device only, behind the commit of the ratchet, and not
//! for ever. A question takes its room among what is read until its answer is on the way, or must be looked for at
//! WhatsApp, which is listened to meanwhile.

mod counts;
mod members;

use std::time::Duration;

use roost_proto::content::Wire;
use roost_proto::signal::Bundle;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza, iq};
use roost_proto::{e2e, retry};

use super::commit::{After, Pending};
use super::connect::encode;
use super::crypto::{DecryptFailure, Encryption, PeerName, Purpose, RetryKeys, Target};
use super::identities::{Wanted, name_of};
use super::inbound::{Inbound, retry_name};
use super::prekeys::{id24, leaf, signed_prekey};
use super::requests::Asked;
use super::timer::Timer;
use super::{CryptoRequest, Effect, Machine, posts};
use crate::port::StoredMessage;
use counts::Counts;

/// Messages to send again that wait for keys, or for a pause; what is above comes again with the next login.
const WAITING: usize = 64;
/// How often keys are asked for over one link, and the pause in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// How often each device was sent a message again, and who waits.
#[derive(Debug, Default)]
pub(super) struct Resends {
    counts: Counts,
    /// How many wait for WhatsApp's answer about keys.
    asking: usize,
    /// Wait for WhatsApp's answer about the members of their groups.
    for_members: Vec<Job>,
    /// Wait for [`Timer::Resend`], because keys or members could not be had.
    waiting: Vec<Job>,
}

/// One message to send again to one device.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) link: u64,
    pub(super) receipt: Stanza,
    /// The receipt has its place among what is read.
    pub(super) has_room: bool,
    /// The device that asks.
    pub(super) to: Jid,
    /// The group in which it was said.
    pub(super) group: Option<Jid>,
    pub(super) id: String,
    pub(super) count: u64,
    pub(super) message: Option<StoredMessage>,
    pub(super) bundle: Option<Bundle>,
    /// Whom to look for among the members of the group, until that is done.
    pub(super) member: Option<PeerName>,
    /// How often keys or members were asked for in vain.
    pub(super) tries: u32,
}

impl Machine {
    /// Ours to ask: the sender must encrypt it anew.
    pub(super) fn ask_again(
        &mut self,
        slot: u64,
        message: Inbound,
        mut outcome: Pending,
        failure: DecryptFailure,
    ) {
        let DecryptFailure::Undecryptable { why, registration_id, keys } = failure else {
            return self.lane.fill(slot, outcome);
        };
        let name = retry_name(&message.from, &message.id);
        let asked = self.awaited.asked(&name);
        if asked >= self.limits.retries {
            self.sender_spent(&mut outcome, &name);
        } else {
            self.await_again(&mut outcome, name, why, message.raw.clone());
            let receipt = self.retry_receipt(&message, asked + 1, registration_id, keys.as_deref());
            if let Some(bytes) = encode(&receipt) {
                outcome.after.push(After::Wire(message.link, bytes));
            }
        }
        let ack = self.plain_ack(&message.stanza, None);
        self.settle_slot(slot, message.link, outcome, ack);
    }

    fn retry_receipt(
        &self,
        message: &Inbound,
        count: u32,
        registration: u32,
        keys: Option<&RetryKeys>,
    ) -> Stanza {
        let seconds = message.stanza.text("t").unwrap_or_default().into_owned();
        let retry = Builder::new("retry")
            .attr("count", count)
            .attr("id", message.id.clone())
            .attr("t", seconds)
            .attr("v", "1")
            .build();
        let mut children = vec![retry, leaf("registration", registration.to_be_bytes().to_vec())];
        if let Some(keys) = keys {
            let signed = &keys.signed_prekey;
            let mut parts = vec![leaf("type", vec![5]), leaf("identity", keys.identity.to_vec())];
            if let Some((id, public)) = keys.one_time {
                let key = [leaf("id", id24(id)), leaf("value", public.to_vec())];
                parts.push(Builder::new("key").children(key).build());
            }
            parts.push(signed_prekey(signed.id, &signed.public, &signed.signature));
            if let Some(account) = &self.account {
                parts.push(leaf("device-identity", account.identity.to_vec()));
            }
            children.push(Builder::new("keys").children(parts).build());
        }
        let mut receipt = Builder::new("receipt").attr("id", message.id.clone()).attr("type", "retry");
        receipt = match message.place() {
            Some(place) => receipt.attr("to", place.clone()).attr("participant", message.from.clone()),
            None => receipt.attr("to", message.from.clone()),
        };
        if let Some(recipient) = &message.recipient {
            receipt = receipt.attr("recipient", recipient.clone());
        }
        if message.stanza.text("category").as_deref() == Some("peer") {
            receipt = receipt.attr("category", "peer");
        }
        receipt.children(children).build()
    }

    /// Theirs: a device asks for a message of ours. The receipt is acknowledged when the message has been
    /// sent again, so that a crash in between asks once more.
    pub(super) fn on_retry_receipt(&mut self, link: u64, receipt: Stanza) {
        let (Some(place), Some(id)) = (receipt.jid("from"), receipt.text("id").map(|id| id.into_owned()))
        else {
            return self.effects.push(Effect::Credit(1));
        };
        let to = receipt.jid("participant").unwrap_or_else(|| place.clone());
        let group = Some(place).filter(|place| place.server == Server::Group || posts::is_place(place));
        let retry = receipt.child("retry");
        let count = retry.and_then(|retry| retry.number("count")).unwrap_or(1);
        let bundle = retry::bundle(&receipt);
        let (message, member, has_room) = (None, None, true);
        let job = Job { link, receipt, has_room, to, group, id, count, message, bundle, member, tries: 0 };
        if count > u64::from(self.limits.retries) {
            return self.give_up_resend(&job);
        }
        self.look_up(job.id.clone(), super::receipts::Lookup::Resend(Box::new(job)));
    }

    /// The message that is asked for was found, or not. Only those of its chat may have it again.
    pub(super) fn on_resend_found(&mut self, mut job: Job, message: Option<StoredMessage>) {
        let chat = message.as_ref().and_then(|stored| stored.message.chat.parse::<Jid>().ok());
        let Some(chat) = chat else { return self.give_up_resend(&job) };
        // What there is not counts for nobody: it would only let others be forgotten.
        if self.resends.counts.count(&job.to, &job.id) > self.limits.retries {
            return self.give_up_resend(&job);
        }
        job.message = message;
        let ours = self.account.as_ref().is_some_and(|account| account.is_own(&job.to));
        let may_have = match &job.group {
            Some(place) if posts::is_place(place) => *place == chat && self.may_see_post(&job.id, &job.to),
            Some(group) if *group == chat => return self.resend_in_group(job),
            Some(_) => false,
            None => ours || (chat.user == job.to.user && chat.server == job.to.server),
        };
        let post = job.group.as_ref().is_some_and(|place| posts::is_place(place) && *place == chat);
        match two_forms(&chat, &job.to).filter(|_| job.group.is_none()) {
            _ if may_have => self.resend(job),
            // The post may be for the other name of who asks.
            _ if post => {
                let user = name_of(&job.to);
                let wanted = Wanted::Viewer(Box::new(job));
                self.ask_crypto(CryptoRequest::Identities { user }, Purpose::Identities(wanted));
            }
            Some((pn, lid)) => match self.directory.lid(&pn) {
                Some(known) => {
                    let same = known == Some(&lid);
                    self.on_right(job, same);
                }
                None => {
                    let purpose = Purpose::ResendRight(lid, Box::new(job));
                    self.ask_crypto(CryptoRequest::Lid { pn }, purpose);
                }
            },
            None => self.give_up_resend(&job),
        }
    }

    /// The chat has one form of a name and the asking device the other: they are of the same person, or not.
    pub(super) fn on_right(&mut self, job: Job, same: bool) {
        if same { self.resend(job) } else { self.give_up_resend(&job) }
    }

    /// It is known who asks for what was sent to many.
    pub(super) fn on_viewer(&mut self, job: Job, known: PeerName) {
        if job.group.as_ref().is_some_and(|place| !posts::is_place(place)) {
            return self.on_member_named(job, known);
        }
        let same = self.is_post_for(&job.id, &known);
        self.on_right(job, same);
    }

    fn resend(&mut self, job: Job) {
        if job.bundle.is_some() { self.encrypt_resend(job) } else { self.ask_resend_bundle(job) }
    }

    /// The asking device has lost the ratchet, or never had it: a new one opens with any bundle.
    fn ask_resend_bundle(&mut self, mut job: Job) {
        self.leave_room(&mut job);
        if self.resends.asking == WAITING {
            return;
        }
        self.resends.asking += 1;
        let to = job.to.clone();
        self.request(Asked::ResendBundle { job: Box::new(job) }, |id| {
            let user = Builder::new("user").attr("jid", to).attr("reason", "identity").build();
            iq::get(id, "encrypt").children([Builder::new("key").children([user]).build()])
        });
    }

    pub(super) fn on_resend_bundle(&mut self, mut job: Job, outcome: Result<Stanza, u16>) {
        self.resends.asking -= 1;
        let answer = match outcome {
            Ok(answer) => answer,
            Err(code) if is_final(code) => return self.give_up_resend(&job),
            // Nobody acknowledges the receipt, so it comes again with the next login.
            Err(0) => return,
            Err(_) => return self.resend_later(job),
        };
        job.bundle = super::resolve::read_bundles(&answer).into_iter().find_map(|(_, bundle)| bundle);
        if job.bundle.is_none() {
            return self.give_up_resend(&job);
        }
        self.encrypt_resend(job);
    }

    /// The link holds, so the receipt does not come again soon: WhatsApp is asked again after a pause.
    fn resend_later(&mut self, mut job: Job) {
        job.tries += 1;
        if job.tries < TRIES && self.resends.waiting.len() < WAITING {
            self.resends.waiting.push(job);
            self.set_timer_at_most(Timer::Resend, PAUSE);
        }
    }

    pub(super) fn resend_now(&mut self) {
        for job in std::mem::take(&mut self.resends.waiting) {
            match job.member {
                Some(_) => self.ask_members(job),
                None => self.ask_resend_bundle(job),
            }
        }
    }

    /// Whatever was asked for over the lost link is asked for again over the next.
    pub(super) fn resends_link_lost(&mut self) {
        self.resends.waiting.clear();
        self.resends.for_members.clear();
        self.clear_timer(Timer::Resend);
    }

    fn encrypt_resend(&mut self, mut job: Job) {
        let (Some(account), Some(message), Some(bundle)) = (&self.account, &job.message, &job.bundle) else {
            return self.leave_room(&mut job);
        };
        let content = &message.message.content;
        let plaintext = if account.is_own(&job.to) && job.group.is_none() {
            let destination = message.message.chat.clone();
            e2e::wrap_device_sent(&e2e::DeviceSent { destination, message: content.to_vec() })
        } else {
            content.to_vec()
        };
        let peer = self.peer_name(&job.to);
        let request = CryptoRequest::Encrypt {
            bundles: vec![(peer.clone(), bundle.clone())],
            plaintexts: vec![e2e::pad(&plaintext, &mut self.rng).into()],
            targets: vec![Target { peer, plaintext: 0 }],
            lost: job.group.as_ref().map(ToString::to_string),
        };
        let slot = self.lane.open();
        self.ask_crypto(request, Purpose::Resend { slot, job: Box::new(job) });
    }

    pub(super) fn on_resend_encrypted(&mut self, slot: u64, job: Job, encryption: Encryption) {
        let mut outcome = Pending::default();
        if let Encryption::Done { changes, ciphertexts, renewed } = encryption {
            outcome.batch.state = changes;
            self.note_renewed(&mut outcome, &format!("again/{}", job.id), &renewed);
            if let Some(Some(ciphertext)) = ciphertexts.into_iter().next() {
                let content = job.message.as_ref().map(|stored| stored.message.content.clone());
                let marks = Wire::of(&content.unwrap_or_default());
                let enc = Builder::new("enc").attr("v", "2").attr("type", ciphertext.kind.as_str());
                let enc = marks.mark(enc).attr("count", job.count).bytes(ciphertext.bytes.to_vec()).build();
                let identity = self.account.as_ref().map(|account| account.identity.to_vec());
                let children = [Some(enc), identity.map(|identity| leaf("device-identity", identity))]
                    .into_iter()
                    .flatten()
                    .chain(marks.children(self.now.wall, job.group.is_none()));
                let mut stanza = Builder::new("message")
                    .attr("id", job.id.clone())
                    .attr("type", marks.kind)
                    .attr("t", self.now.wall.0.max(0).cast_unsigned() / 1000);
                stanza = match &job.group {
                    Some(group) => stanza.attr("to", group.clone()).attr("participant", job.to.clone()),
                    None => stanza.attr("to", job.to.clone()).attr("device_fanout", "false"),
                };
                if let Some(edit) = marks.edit {
                    stanza = stanza.attr("edit", edit);
                }
                if let Some(recipient) = job.receipt.jid("recipient") {
                    stanza = stanza.attr("recipient", recipient);
                }
                if let Some(bytes) = encode(&stanza.children(children).build()) {
                    outcome.after.push(After::Wire(job.link, bytes));
                }
            }
        }
        if let Some(bytes) = self.plain_ack(&job.receipt, None).as_ref().and_then(encode) {
            outcome.after.push(After::Wire(job.link, bytes));
        }
        outcome.after.extend(job.has_room.then_some(After::Settled));
        self.lane.fill(slot, outcome);
    }

    fn give_up_resend(&mut self, job: &Job) {
        let ack = self.plain_ack(&job.receipt, None).as_ref().and_then(encode);
        let after = &mut self.commits.pending().after;
        after.extend(ack.map(|bytes| After::Wire(job.link, bytes)));
        after.extend(job.has_room.then_some(After::Settled));
    }

    /// Others are read while this one waits for WhatsApp.
    fn leave_room(&mut self, job: &mut Job) {
        if std::mem::take(&mut job.has_room) {
            self.effects.push(Effect::Credit(1));
        }
    }

    /// How crypto knows a device by its JID.
    pub(super) fn peer_name(&self, jid: &Jid) -> PeerName {
        let user = Some(jid.user.to_string());
        match (jid.is_lid(), self.account.as_ref().filter(|account| account.is_own(jid))) {
            (_, Some(account)) => PeerName {
                pn: Some(account.pn.user.to_string()),
                lid: account.lid.as_ref().map(|lid| lid.user.to_string()),
                device: jid.device,
            },
            (_, None) if jid.server == Server::Bot => {
                PeerName { pn: None, lid: Some(jid.to_non_ad().to_string()), device: jid.device }
            }
            (true, None) => PeerName { pn: None, lid: user, device: jid.device },
            (false, None) => PeerName { pn: user, lid: None, device: jid.device },
        }
    }
}

/// The phone number and the LID, if these two are one of each.
fn two_forms(one: &Jid, other: &Jid) -> Option<(String, String)> {
    let (pn, lid) = if one.is_pn() { (one, other) } else { (other, one) };
    (pn.is_pn() && lid.is_lid()).then(|| (pn.user.to_string(), lid.user.to_string()))
}

/// Whether asking WhatsApp again could not help: it understood the question and refused.
fn is_final(code: u16) -> bool {
    matches!(code, 400..=499) && !matches!(code, 408 | 429)
}
