//! What the phone and other companions of the account do: what they have read or played, and what they have changed
//! of what WhatsApp keeps for the account.
//!
//! What must hold: it is in the log before it is acknowledged; a receipt that names none of our own devices as its
//! sender tells nothing, so nobody else can say what we have read.

use roost_proto::api;
use roost_proto::api::account_changed::{BlockList, Change, Privacy};
use roost_proto::api::event::{Origin, Payload};
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::commit::Pending;
use super::inbound::{bounded, person};
use super::receipts::ids_of;
use super::{Machine, posts};
use crate::port::NewEvent;

/// The most people or settings that one notification tells of.
const TOLD: usize = 1000;

impl Machine {
    /// `<receipt type=read-self|played-self>` from a device of ours: in a chat of two from that device, with the other
    /// side as `recipient`; elsewhere from the place, with the author of the messages as `recipient`.
    pub(super) fn on_read_elsewhere(&mut self, link: u64, receipt: &Stanza, played: bool) {
        let slot = self.lane.open();
        let mut outcome = Pending::default();
        outcome.batch.events.extend(self.read_elsewhere(receipt, played));
        let ack = self.plain_ack(receipt, None);
        self.settle_slot(slot, link, outcome, ack);
    }

    fn read_elsewhere(&self, receipt: &Stanza, played: bool) -> Option<NewEvent> {
        if !self.is_said_by_us(receipt) {
            return None;
        }
        let (from, recipient) = (receipt.jid("from")?, receipt.jid("recipient"));
        let place = if from.server == Server::Group || posts::is_place(&from) {
            Some(from.clone())
        } else {
            recipient.clone().filter(|jid| jid.server == Server::Newsletter)
        };
        let other = if place.is_some() { recipient } else { recipient.or(Some(from)) };
        let forms = [other, receipt.jid("peer_recipient_pn"), receipt.jid("peer_recipient_lid")];
        let who = Some(person(&forms)).filter(|who| *who != api::Person::default());
        let whatsapp_ids = ids_of(receipt);
        let group = place.map(|place| place.to_non_ad().to_string()).unwrap_or_default();
        let (chat, sender) = if group.is_empty() { (who, None) } else { (None, who) };
        // The same may be said in either form of a name, and by several devices: the messages are what counts.
        let how = if played { "played" } else { "read" };
        let dedupe = bounded(format!("elsewhere/{how}/{group}/{}", whatsapp_ids.join(",")));
        let read = api::ReadElsewhere { chat, group, sender, whatsapp_ids, played };
        Some(self.told(receipt, dedupe, Payload::ReadElsewhere(read)))
    }

    /// `<notification type=account_sync>`: each child is a part of the account that another device has changed.
    pub(super) fn on_account_sync(&self, stanza: &Stanza, outcome: &mut Pending) {
        if !self.is_said_by_us(stanza) {
            return;
        }
        let id = stanza.text("id").unwrap_or_default();
        for (at, part) in stanza.all().iter().take(TOLD).enumerate() {
            let change = match &*part.tag {
                "devices" => continue,
                "blocklist" => Change::Blocked(block_list(part)),
                "privacy" => Change::Privacy(privacy(part)),
                "disappearing_mode" => Change::DefaultTimer(timer(part)),
                "picture" => Change::Picture(true),
                "status" => Change::About(true),
                tag => Change::Other(tag.chars().take(100).collect()),
            };
            let dedupe = bounded(format!("account/{id}/{at}/{}", part.tag));
            let changed = api::AccountChanged { change: Some(change) };
            outcome.batch.events.push(self.told(stanza, dedupe, Payload::AccountChanged(changed)));
        }
    }

    /// An event that a stanza of WhatsApp tells.
    pub(super) fn told(&self, stanza: &Stanza, dedupe: String, payload: Payload) -> NewEvent {
        let origin = if stanza.text("offline").is_some() { Origin::OfflineQueue } else { Origin::Live };
        NewEvent { dedupe, occurred: self.told_at(stanza), origin, payload }
    }
}

/// `<blocklist action=modify? dhash><item jid action=block|unblock pn_jid?/>*</blocklist>`
fn block_list(part: &Stanza) -> BlockList {
    let people = |action: &str| -> Vec<api::Person> {
        let items = part.all_named("item").filter(|item| item.text("action").as_deref() == Some(action));
        let jids = |item: &Stanza| [item.jid("jid"), item.jid("pn_jid")];
        items
            .take(TOLD)
            .map(|item| person(&jids(item)))
            .filter(|who| *who != api::Person::default())
            .collect()
    };
    let (blocked, unblocked) = (people("block"), people("unblock"));
    let untold = blocked.is_empty() && unblocked.is_empty();
    BlockList { blocked, unblocked, untold }
}

/// `<privacy><category name value/>*</privacy>`
fn privacy(part: &Stanza) -> Privacy {
    let short = |text: std::borrow::Cow<'_, str>| -> String { text.chars().take(100).collect() };
    let categories = part.all_named("category").take(TOLD);
    let settings = categories
        .filter_map(|category| Some((short(category.text("name")?), short(category.text("value")?))));
    Privacy { settings: settings.collect() }
}

/// `<disappearing_mode duration t/>`; without a duration there is none.
pub(super) fn timer(part: &Stanza) -> api::Duration {
    let seconds = part.number("duration").and_then(|seconds| i64::try_from(seconds).ok());
    api::Duration { seconds: seconds.unwrap_or_default(), nanos: 0 }
}

/// Both forms of whoever has changed his number: `<modify old new old_lid? new_lid?/>`.
pub(super) fn numbers(modify: &Stanza) -> Option<[[Option<Jid>; 2]; 2]> {
    let (old, new) = (modify.jid("old")?, modify.jid("new")?);
    Some([[Some(old), modify.jid("old_lid")], [Some(new), modify.jid("new_lid")]])
}
