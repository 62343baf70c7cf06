//! Status posts: for whom each is, and what we hear of those of others.
//!
//! What must hold: for whom a post is becomes durable with the post, so that whoever owns the device sends it to
//! the same people, takes it back from the same people, and gives it to nobody else who asks for it. What is
//! known of a post is forgotten a day after it, when WhatsApp shows it no more.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{Meaning, Ref, Statement, Wire};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Server};

use super::Machine;
use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::crypto::PeerName;
use super::heard::{Head, Scene, said};
use crate::device::{Recipient, SendRequest};
use crate::port::{NewMessage, StateKey, StateKind};

/// Where posts are sent.
pub(super) const PLACE: &str = "status@broadcast";
/// For so long a post is shown, in milliseconds.
const LIFETIME: i64 = 24 * 3600 * 1000;
/// Posts that are remembered; beyond, the oldest can neither be sent nor taken back any more.
const POSTS: usize = 128;
/// First byte of a row.
const FORMAT: u8 = 1;

/// What is known of the posts of the last day, by WhatsApp's ids.
#[derive(Debug, Default)]
pub(super) struct Posts {
    known: BTreeMap<String, Post>,
    /// Those of which it is not decided yet whether they are accepted.
    undecided: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Post {
    at: UnixMillis,
    people: Vec<Jid>,
}

impl Post {
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.bytes(&self.at.0.to_be_bytes());
        for person in &self.people {
            out.text(&person.to_string());
        }
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Post> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let at = UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let mut people = Vec::new();
        while let Some(person) = rest.text() {
            people.push(person.parse().ok()?);
        }
        Some(Post { at, people })
    }
}

impl Posts {
    /// Whether a post of this id may still turn out to be none.
    pub(super) fn is_undecided(&self, whatsapp_id: &str) -> bool {
        self.undecided.contains(whatsapp_id)
    }

    /// For whom a post is: bare JIDs of either form.
    pub(super) fn people(&self, whatsapp_id: &str) -> Option<&[Jid]> {
        self.known.get(whatsapp_id).map(|post| post.people.as_slice())
    }
}

impl Machine {
    /// What the last owner knew. A row that cannot be read is left out: its post can only fail.
    pub(super) fn posts_load(&mut self, rows: Vec<(String, Bytes)>) {
        let read = rows.into_iter().filter_map(|(id, bytes)| Some((id, Post::from_bytes(&bytes)?)));
        self.posts.known.extend(read);
    }

    /// All posts were of another account.
    pub(super) fn posts_reset(&mut self, outcome: &mut Pending) {
        let Posts { known, .. } = std::mem::take(&mut self.posts);
        outcome.batch.state.extend(known.into_keys().map(|id| (row(&id), None)));
    }

    /// Who gets a post, or hears that it was taken back; `None` when that is not known (any more).
    pub(super) fn people_for(&self, request: &SendRequest) -> Option<Vec<Jid>> {
        match (&request.to, &request.content.kind) {
            (Recipient::Status(_), Content::Revoke(revoke)) => {
                let id = revoke.message.as_ref().map(|message| message.whatsapp_id.as_str());
                self.posts.people(id.unwrap_or_default()).map(<[Jid]>::to_vec)
            }
            (Recipient::Status(people), _) => Some(people.clone()),
            _ => Some(Vec::new()),
        }
    }

    /// A post is accepted with the batch that gathers: its people are durable with it.
    pub(super) fn keep_post(&mut self, whatsapp_id: String, people: Vec<Jid>) {
        let now = self.now.wall;
        let post = Post { at: now, people };
        let mut changes = vec![(row(&whatsapp_id), Some(post.to_bytes()))];
        self.posts.undecided.insert(whatsapp_id.clone());
        self.posts.known.insert(whatsapp_id, post);
        let mut by_age: Vec<(UnixMillis, String)> =
            self.posts.known.iter().map(|(id, post)| (post.at, id.clone())).collect();
        by_age.sort();
        let surplus = by_age.len().saturating_sub(POSTS);
        for (place, (at, id)) in by_age.into_iter().enumerate() {
            if place < surplus || now.0 - at.0 > LIFETIME {
                self.posts.known.remove(&id);
                changes.push((row(&id), None));
            }
        }
        self.commits.pending().batch.state.extend(changes);
    }

    /// A post whose people were kept is accepted, or not: another one of its id may be for others then.
    pub(super) fn post_decided(&mut self, whatsapp_id: &str, accepted: bool) {
        self.posts.undecided.remove(whatsapp_id);
        if !accepted {
            self.posts.known.remove(whatsapp_id);
            self.commits.pending().batch.state.push((row(whatsapp_id), None));
        }
    }

    /// Who has posted what a message in the place of posts reacts to; `None` when it is a post itself.
    pub(super) fn reacts_to(&self, message: &NewMessage) -> Option<Jid> {
        let reacts = Wire::of(&message.content).kind == "reaction";
        self.posts.people(&message.whatsapp_id).filter(|_| reacts)?.first().cloned()
    }

    /// Whether a post is for somebody who is known by both of his names, or by one.
    pub(super) fn is_post_for(&self, whatsapp_id: &str, known: &PeerName) -> bool {
        let is_it = |person: &Jid| {
            let user = if person.is_lid() { &known.lid } else { &known.pn };
            user.as_deref() == Some(&*person.user)
        };
        self.posts.people(whatsapp_id).is_some_and(|people| people.iter().any(is_it))
    }

    /// Whether a device may have a post of ours that it could not read, as far as that can be said without asking who it is.
    pub(super) fn may_see_post(&self, whatsapp_id: &str, device: &Jid) -> bool {
        let ours = self.account.as_ref().is_some_and(|account| account.is_own(device));
        let is_it = |person: &Jid| {
            let lid = self.directory.lid(&person.user).flatten().filter(|_| person.is_pn());
            (person.user == device.user && person.server == device.server)
                || (device.is_lid() && lid == Some(&*device.user))
        };
        ours || self.posts.people(whatsapp_id).is_some_and(|people| people.iter().any(is_it))
    }

    /// The event of a post of somebody else, or of another device of ours; `None` for what only the protocol
    /// itself needs.
    pub(super) fn post_heard(&self, head: &Head, scene: &Scene, meaning: Meaning) -> Option<Payload> {
        let sender = Some(scene.sender.clone());
        match meaning {
            Meaning::Said(statement) => {
                let Statement { content, context, .. } = *statement;
                let message = api::MessageReceived {
                    whatsapp_id: head.id.clone(),
                    sender,
                    from_me: head.own,
                    push_name: head.push_name.clone(),
                    verified_name: head.verified_name.clone(),
                    context,
                    content: Some(content),
                    ..Default::default()
                };
                Some(Payload::StatusReceived(api::StatusReceived { message: Some(message) }))
            }
            Meaning::Revoked(Ref { id, .. }) => Some(Payload::StatusRevoked(api::StatusRevoked {
                whatsapp_id: id,
                sender,
                from_me: head.own,
            })),
            Meaning::Reacted(target, emoji) => Some(Payload::ReactionReceived(api::ReactionReceived {
                said: Some(said(head, scene)),
                message: Some(self.reference(head, scene, &target)),
                emoji,
                unreadable: false,
            })),
            _ => None,
        }
    }
}

/// Whether this is where posts are sent.
pub(super) fn is_place(jid: &Jid) -> bool {
    jid.server == Server::Broadcast && jid.user == "status"
}

fn row(whatsapp_id: &str) -> StateKey {
    StateKey { kind: StateKind::StatusPost, name: whatsapp_id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_reads_back_as_it_was_written() {
        let post = Post { at: UnixMillis(7), people: vec![Jid::lid("77"), Jid::pn("4915")] };
        let bytes = post.to_bytes();
        assert_eq!(Post::from_bytes(&bytes), Some(post));
        assert_eq!(Post::from_bytes(&bytes[..4]), None);
    }
}
