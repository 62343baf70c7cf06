//! What others change of what they show, as notifications tell it: picture, about text, default timer, what they are as
//! a business, and their number.
//!
//! What must hold: each is in the log before it is acknowledged. WhatsApp names who did it in one form; the store
//! knows the other.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::profile_changed::What;
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::commit::Pending;
use super::crypto::{PeerName, Purpose};
use super::elsewhere::{numbers, timer};
use super::identities::{Wanted, name_of};
use super::inbound::{bounded, person};
use super::{CryptoRequest, Machine};
use crate::port::NewEvent;

impl Machine {
    /// `<notification type=picture><set jid id author?/>|<delete jid author?/>`, `type=status <set>{bytes}`,
    /// `type=disappearing_mode <disappearing_mode duration t/>`, `type=business <profile/>|<verified_name/>|…`,
    /// `type=contacts <update jid/>|<modify old new old_lid? new_lid?/>`.
    pub(super) fn on_profile_notification(&mut self, link: u64, stanza: Stanza) {
        let slot = self.lane.open();
        if let Some(forms) = stanza.child("modify").and_then(numbers).filter(|_| is(&stanza, "contacts")) {
            return self.on_number_changed(slot, link, &stanza, forms);
        }
        let user = subject(&stanza).filter(|who| who.is_pn() || who.is_lid());
        let user = user.map_or_else(PeerName::default, |who| name_of(&who));
        let wanted = Wanted::Profile { slot, link, stanza: Box::new(stanza) };
        self.ask_crypto(CryptoRequest::Identities { user }, Purpose::Identities(wanted));
    }

    /// Which number now belongs to which hidden identity is learned before it is told.
    fn on_number_changed(&mut self, slot: u64, link: u64, stanza: &Stanza, forms: [[Option<Jid>; 2]; 2]) {
        let pair = |[pn, lid]: &[Option<Jid>; 2]| {
            let (pn, lid) =
                (pn.as_ref().filter(|jid| jid.is_pn())?, lid.as_ref().filter(|jid| jid.is_lid())?);
            Some(PeerName { pn: Some(pn.user.to_string()), lid: Some(lid.user.to_string()), device: 0 })
        };
        let pairs: Vec<PeerName> = forms.iter().filter_map(pair).collect();
        if !pairs.is_empty() {
            self.change_state(CryptoRequest::Learn { pairs });
        }
        let [before, now] = forms.map(|forms| person(&forms));
        let id = stanza.text("id").unwrap_or_default();
        let dedupe = bounded(format!("number/{}/{}/{id}", before.phone_number, now.phone_number));
        let changed = api::NumberChanged { before: Some(before), now: Some(now) };
        let mut outcome = Pending::default();
        outcome.batch.events.push(self.told(stanza, dedupe, Payload::NumberChanged(changed)));
        let ack = self.plain_ack(stanza, None);
        self.settle_slot(slot, link, outcome, ack);
    }

    pub(super) fn profile_changed(&self, stanza: &Stanza, who: api::Person) -> Option<NewEvent> {
        let (from, id) = (subject_place(stanza)?, stanza.text("id")?);
        let of_group = from.server == Server::Group;
        if !of_group && !matches!(from.server, Server::Pn | Server::Lid) {
            return None;
        }
        let changed = change(stanza)?;
        let payload = if of_group {
            Payload::GroupChanged(api::GroupChanged {
                group: from.to_string(),
                author: Some(who).filter(|who| *who != api::Person::default()),
                change: Some(api::group_changed::Change::Picture(changed.value)),
            })
        } else {
            Payload::ProfileChanged(api::ProfileChanged { person: Some(who), ..changed })
        };
        Some(self.told(stanza, bounded(format!("contact/{from}/{id}")), payload))
    }
}

fn is(stanza: &Stanza, kind: &str) -> bool {
    stanza.text("type").as_deref() == Some(kind)
}

/// Whom or which group a notification is about.
fn subject_place(stanza: &Stanza) -> Option<Jid> {
    let first = stanza.all().first();
    match stanza.text("type").as_deref() {
        // Named inside; by a hash alone he is found only in an address book.
        Some("contacts") => first?.jid("jid"),
        Some("business") => first?.jid("jid").or_else(|| stanza.jid("from")),
        _ => stanza.jid("from"),
    }
}

/// Who did it: in a group whoever WhatsApp names, elsewhere the one it is about.
fn subject(stanza: &Stanza) -> Option<Jid> {
    let change = stanza.child("set").or(stanza.child("delete"));
    match subject_place(stanza)? {
        place if place.server == Server::Group => change.and_then(|change| change.jid("author")),
        who => Some(who),
    }
}

/// What has changed, without whose.
fn change(stanza: &Stanza) -> Option<api::ProfileChanged> {
    let set = stanza.child("set");
    let mut changed = api::ProfileChanged::default();
    let what = match stanza.text("type").as_deref()? {
        "picture" => {
            changed.value = set.and_then(|set| set.text("id")).unwrap_or_default().into_owned();
            What::Picture
        }
        "status" => {
            let text = set.and_then(Read::leaf_text).unwrap_or_default();
            changed.value = text.chars().take(1000).collect();
            What::About
        }
        "disappearing_mode" => {
            changed.default_timer = Some(timer(stanza.child("disappearing_mode")?));
            What::DefaultTimer
        }
        "contacts" => stanza.child("update").map(|_| What::Untold)?,
        // `business`.
        _ => {
            let part = stanza.all().first()?;
            match &*part.tag {
                "remove" => What::NoBusiness,
                "verified_name" => {
                    let name = part.text("name").or_else(|| Some(part.child("name")?.leaf_text()?.into()));
                    changed.value = name.unwrap_or_default().chars().take(1000).collect();
                    What::VerifiedName
                }
                "profile" => What::BusinessProfile,
                "product_catalog" | "collection" => What::Catalog,
                _ => What::Untold,
            }
        }
    };
    changed.what = what.into();
    Some(changed)
}
