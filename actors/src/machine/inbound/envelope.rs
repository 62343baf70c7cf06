//! The outside of a message: who says it, where and when.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::Origin;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::person;
use crate::machine::crypto::PeerName;
use crate::machine::{Machine, posts};

/// A message whose ciphertext is with crypto.
#[derive(Debug)]
pub(in crate::machine) struct Inbound {
    pub(in crate::machine) link: u64,
    pub(in crate::machine) raw: Bytes,
    pub(in crate::machine) stanza: Stanza,
    pub(in crate::machine) id: String,
    /// The sending device, in the form in which it came.
    pub(in crate::machine) from: Jid,
    pub(in crate::machine) peer: PeerName,
    /// The group in which it was said.
    pub(in crate::machine) group: Option<Jid>,
    /// The broadcast list of the sender through which it came: what goes back to WhatsApp names it, but the chat is that with
    /// the sender.
    pub(in crate::machine) list: Option<Jid>,
    /// Sent by another device of our account, to this one.
    pub(in crate::machine) recipient: Option<Jid>,
    /// The hidden identity of `recipient`, where the store knows it.
    pub(in crate::machine) spoken_lid: Option<Jid>,
    pub(in crate::machine) own: bool,
    pub(in crate::machine) occurred: UnixMillis,
    pub(in crate::machine) origin: Origin,
    /// Its content is from our phone; the stanza was settled before.
    pub(in crate::machine) from_phone: bool,
}

impl Inbound {
    /// Where it came from, when that is not its sender himself.
    pub(in crate::machine) fn place(&self) -> Option<&Jid> {
        self.group.as_ref().or(self.list.as_ref())
    }

    pub(in crate::machine) fn stanza_jid(&self, key: &str) -> Option<Jid> {
        self.stanza.jid(key)
    }

    /// Whom another device of our account has written to, in every form that is known.
    pub(in crate::machine) fn spoken_to(&self, destination: Option<Jid>) -> api::Person {
        person(&[
            self.recipient.clone(),
            self.stanza_jid("peer_recipient_lid"),
            self.stanza_jid("peer_recipient_pn"),
            self.spoken_lid.clone(),
            destination,
        ])
    }

    /// The same, as crypto knows people; nobody when that is not said.
    pub(in crate::machine) fn spoken_name(&self) -> PeerName {
        let api::Person { lid, phone_number } = self.spoken_to(None);
        let user = |jid: String| Some(jid.split_once('@')?.0.to_owned());
        PeerName { pn: user(phone_number), lid: user(lid), device: 0 }
    }

    /// The name that the sender gave itself.
    pub(in crate::machine) fn push_name(&self) -> String {
        self.stanza.text("notify").unwrap_or_default().into_owned()
    }

    /// The name of a business, as WhatsApp has certified it.
    pub(in crate::machine) fn verified_name(&self) -> String {
        roost_proto::verified::verified_name(&self.stanza).unwrap_or_default()
    }
}

/// Why a message cannot be handled, and how WhatsApp is told.
pub(in crate::machine) struct Refused {
    pub(in crate::machine) reason: &'static str,
    pub(in crate::machine) nack: Option<u16>,
}

impl Machine {
    /// Who says it, where and when.
    pub(in crate::machine) fn envelope(
        &self,
        link: u64,
        raw: &Bytes,
        stanza: &Stanza,
    ) -> Result<Inbound, Refused> {
        let refused = |reason, nack| Refused { reason, nack };
        let account = self.account.as_ref().ok_or(refused("a message came before pairing", None))?;
        let id = stanza.text("id").ok_or(refused("a message without an id", None))?.into_owned();
        let place = stanza.jid("from").ok_or(refused("a message without a sender", Some(487)))?;
        let (group, list, from) = match (place.server, stanza.jid("participant")) {
            (Server::Pn | Server::Lid, None) => (None, None, place),
            (Server::Group, Some(participant)) => (Some(place), None, participant),
            (_, Some(participant)) if posts::is_place(&place) => (Some(place), None, participant),
            (Server::Broadcast, Some(participant)) => (None, Some(place), participant),
            (Server::Broadcast, None) => {
                return Err(refused("a message through a broadcast list without a sender", Some(487)));
            }
            (Server::Group, None) => return Err(refused("a message in a group without a sender", Some(487))),
            _ => {
                return Err(refused(
                    "only chats with people, groups, status posts and broadcast lists are supported",
                    None,
                ));
            }
        };
        let own = account.is_own(&from);
        let other_form = |sender, participant| {
            let key = if group.is_some() || list.is_some() { participant } else { sender };
            stanza.jid(key).map(|jid| jid.user.to_string())
        };
        let (pn, lid) = if own {
            (Some(account.pn.user.to_string()), account.lid.as_ref().map(|lid| lid.user.to_string()))
        } else if from.server == Server::Lid {
            (other_form("sender_pn", "participant_pn"), Some(from.user.to_string()))
        } else {
            (Some(from.user.to_string()), other_form("sender_lid", "participant_lid"))
        };
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok());
        let occurred = seconds.and_then(|t| t.checked_mul(1000)).map_or(self.now.wall, UnixMillis);
        Ok(Inbound {
            link,
            raw: raw.clone(),
            stanza: stanza.clone(),
            id,
            peer: PeerName { pn, lid, device: from.device },
            group,
            // Of a list it names its owner.
            recipient: stanza.jid("recipient").filter(|_| own && list.is_none()),
            spoken_lid: None,
            list,
            from,
            own,
            occurred,
            origin: if stanza.text("offline").is_some() { Origin::OfflineQueue } else { Origin::Live },
            from_phone: false,
        })
    }
}
