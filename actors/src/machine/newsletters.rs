//! Newsletters: what is said in them, which is not encrypted, and what we hear of views, reactions and following.
//!
//! What must hold: as everywhere, what came is in the log before it is acknowledged. Views and reactions are news
//! about counts: each word of WhatsApp is one event, however often it comes.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::ask::newsletters;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Stanza};

use super::Machine;
use super::commit::Pending;
use super::inbound::bounded;
use crate::port::NewEvent;

impl Machine {
    /// `<message from=…@newsletter id server_id t edit?><plaintext>{bytes}</plaintext></message>`
    pub(super) fn on_newsletter_message(&mut self, link: u64, raw: Bytes, newsletter: &Jid, stanza: &Stanza) {
        let slot = self.lane.open();
        let (id, edit) = (stanza.text("id").unwrap_or_default(), stanza.text("edit"));
        let revoked = edit.as_deref().is_some_and(|edit| matches!(edit, "7" | "8"));
        let ack = self.plain_ack(stanza, None);
        let says =
            |post: &api::NewsletterPost| post.message.as_ref().is_some_and(|said| said.content.is_some());
        let post = newsletters::post(stanza).filter(|post| revoked || says(post));
        let Some(post) = post else {
            let reason = "a message of a newsletter that says nothing";
            return self.put_aside(slot, link, raw, stanza, reason, ack);
        };
        // A post may be edited more than once, under one id.
        let edited = stanza.child("meta").and_then(|meta| meta.number("msg_edit_t"));
        let moment = edited.or_else(|| stanza.number("t")).unwrap_or(0);
        let edits = edit.as_deref().map_or("0".to_owned(), |edit| format!("{edit}-{moment}"));
        let dedupe = bounded(format!("news/{newsletter}/{}/{edits}/{id}", post.server_id));
        let payload = Payload::NewsletterPosted(api::NewsletterPosted {
            newsletter: newsletter.to_string(),
            post: Some(post),
            edited: edit.is_some() && !revoked,
            revoked,
        });
        let mut outcome = Pending::default();
        outcome.batch.events.push(self.news(stanza, dedupe, payload));
        self.settle_slot(slot, link, outcome, ack);
    }

    /// `<notification type=newsletter from=…@newsletter><live_updates><message server_id>…`
    pub(super) fn on_newsletter_update(&mut self, stanza: &Stanza, outcome: &mut Pending) {
        let (Some(from), Some(updates)) = (stanza.jid("from"), stanza.child("live_updates")) else { return };
        let posts = newsletters::posts(updates.child("messages").unwrap_or(updates));
        if posts.is_empty() {
            return;
        }
        let id = stanza.text("id").unwrap_or_default();
        let dedupe = bounded(format!("news-counts/{from}/{id}"));
        let updated = api::NewsletterUpdated { newsletter: from.to_string(), posts };
        outcome.batch.events.push(self.news(stanza, dedupe, Payload::NewsletterUpdated(updated)));
    }

    /// `<notification type=mex><update op_name>{JSON}</update></notification>`
    pub(super) fn on_newsletter_change(&mut self, stanza: &Stanza, outcome: &mut Pending) {
        let id = stanza.text("id").unwrap_or_default();
        for (place, change) in newsletters::changes(stanza).into_iter().enumerate() {
            let dedupe = bounded(format!("news-change/{}/{id}/{place}", change.newsletter));
            outcome.batch.events.push(self.news(stanza, dedupe, Payload::NewsletterChanged(change)));
        }
    }

    fn news(&self, stanza: &Stanza, dedupe: String, payload: Payload) -> NewEvent {
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let origin = if stanza.text("offline").is_some() { Origin::OfflineQueue } else { Origin::Live };
        NewEvent { dedupe, occurred: seconds.map_or(self.now.wall, UnixMillis), origin, payload }
    }
}
