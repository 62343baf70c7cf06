//! What is said in a newsletter: posts, their edits and ends, and what is counted of them.
//!
//! What must hold: only the owner and admins speak; followers' devices get what is said, once each; an edit and a revocation name
//! their post by the id of their stanza. Whoever asked is told of views and reactions for a while. That the numbers of
//! messages begin at 100 is a simplification; how long the real server tells of counts is what clients have been
//! seen to be told (300 s). Guesses, as no client shows them: with which codes it refuses, that
//! an edit that changes nothing is told to nobody, that a post that was taken back stays in the list, empty, and that
//! encrypted files are refused, and that what has changed since a moment is what was said, edited, looked at or answered
//! then or later.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::UnixMillis;
use roost_proto::media::{PlainFile, content_in, media_of};
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::{MOST, NO_SUCH};
use crate::wa::account::{DeviceRef, Pn, seconds};
use crate::wa::machine::{Machine, Refusal};
use crate::wa::media::Store;
use crate::wa::query::Answer;
use crate::wa::refusals::refuse;

/// For how long who asked is told of counts, in seconds.
const WATCHED_S: u64 = 300;

/// Something that was said in a newsletter.
#[derive(Debug, Clone)]
pub struct Post {
    id: String,
    kind: String,
    media: Option<String>,
    at_s: u64,
    /// What it says; empty when it was taken back.
    bytes: Vec<u8>,
    /// When it was edited or taken back last, and which of the two.
    edit: Option<(UnixMillis, &'static str)>,
    /// When anything of it has changed last, in seconds.
    changed_s: u64,
    /// Who has looked at it.
    pub views: BTreeSet<Pn>,
    /// What they think of it.
    pub reactions: BTreeMap<Pn, String>,
}

impl Post {
    /// `<message>`: whole, or only its counts.
    fn element(&self, number: u64, whole: bool) -> Stanza {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for code in self.reactions.values() {
            *counts.entry(code).or_default() += 1;
        }
        let reactions = counts
            .iter()
            .map(|(code, n)| Builder::new("reaction").attr("code", *code).attr("count", *n).build());
        let mut children = vec![
            Builder::new("views_count").attr("count", self.views.len()).build(),
            Builder::new("reactions").children(reactions).build(),
        ];
        if whole {
            children.splice(0..0, self.content());
        }
        Builder::new("message")
            .attr("id", self.id.as_str())
            .attr("server_id", number)
            .attr("type", self.kind.as_str())
            .attr("t", self.at_s)
            .children(children)
            .build()
    }

    /// What it says now, and since when.
    fn content(&self) -> Vec<Stanza> {
        let plain = Builder::new("plaintext");
        let plain = match &self.media {
            Some(media) => plain.attr("mediatype", media.as_str()),
            None => plain,
        };
        let mut children = vec![plain.bytes(self.bytes.clone()).build()];
        if let Some((at, _)) = self.edit {
            let meta = Builder::new("meta").attr("msg_edit_t", at.0.max(0).cast_unsigned());
            children.push(meta.attr("original_msg_t", self.at_s).build());
        }
        children
    }
}

/// What is wrong with the file of a post, whose upload is said to be called this.
fn unfit(media: &Store, bytes: &[u8], handle: Option<&str>) -> Option<&'static str> {
    let content = content_in(bytes)?;
    match PlainFile::of(media_of(&content)?) {
        Some(file) => media.may_show(&file.direct_path, handle).err(),
        None => Some("a post with an encrypted file"),
    }
}

impl Machine {
    /// Namespace `newsletter`: messages, and counts as they change.
    pub(in crate::wa) fn newsletter_iq(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Answer {
        let child = stanza.all().first().ok_or_else(|| refuse(400, "nothing is asked"))?;
        let to = stanza.jid("to").filter(|to| to.server == Server::Newsletter);
        let of = to.or_else(|| child.jid("jid"));
        let id = self.named(of.as_ref().map(|of| &*of.user))?;
        let newsletter = self.newsletters.get_mut(id).expect("it was found");
        let count =
            child.number("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(50).min(100);
        match &*child.tag {
            "messages" => {
                let before = child.number("before").unwrap_or(u64::MAX);
                let posts = newsletter.posts.range(..before).rev().take(count);
                let posts: Vec<Stanza> = posts.map(|(number, post)| post.element(*number, true)).collect();
                Ok(vec![
                    Builder::new("messages")
                        .attr("jid", Jid::new(id, Server::Newsletter))
                        .children(posts)
                        .build(),
                ])
            }
            "message_updates" => {
                let (after, since) = (child.number("after").unwrap_or(0), child.number("since").unwrap_or(0));
                let posts = newsletter.posts.range(after.saturating_add(1)..);
                let posts = posts.filter(|(_, post)| post.changed_s >= since).take(count);
                let posts: Vec<Stanza> = posts.map(|(number, post)| post.element(*number, false)).collect();
                let messages = Builder::new("messages").children(posts).build();
                Ok(vec![Builder::new("message_updates").children([messages]).build()])
            }
            "live_updates" => {
                newsletter.watchers.insert(device, seconds(now) + WATCHED_S);
                Ok(vec![Builder::new("live_updates").attr("duration", WATCHED_S).build()])
            }
            _ => Err(refuse(501, format!("an unknown question about posts: <{}>", child.tag))),
        }
    }

    /// Somebody speaks, or reacts.
    pub(in crate::wa) fn newsletter_message(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        id: &str,
        to: &Jid,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let refuse = |machine: &mut Self, code: &str, why: &'static str| {
            machine.refuse_message(now, from, stanza, to, code, why)
        };
        let Some(newsletter) = self.newsletters.get_mut(&*to.user) else {
            return refuse(self, "404", NO_SUCH);
        };
        let kind = stanza.text("type").unwrap_or("text".into()).into_owned();
        if let Some(reaction) = stanza.child("reaction") {
            let post = stanza.number("server_id").and_then(|number| newsletter.posts.get_mut(&number));
            let Some(post) = post else { return refuse(self, "404", "a reaction to nothing") };
            post.changed_s = seconds(now);
            match reaction.text("code") {
                Some(code) => _ = post.reactions.insert(from.pn, code.chars().take(8).collect()),
                None => _ = post.reactions.remove(&from.pn),
            }
            self.ack_message(now, from, stanza, to, &[]);
            let number = stanza.number("server_id").unwrap_or(0);
            self.tell_counts(now, to, number);
            return Ok(());
        }
        if !newsletter.speaks(from.pn) {
            return refuse(self, "403", "only the owner and the admins of a newsletter speak in it");
        }
        let Some(plain) = stanza.child("plaintext") else {
            return refuse(self, "400", "a message to a newsletter without a plaintext");
        };
        let bytes = plain.leaf().map(<[u8]>::to_vec).unwrap_or_default();
        let media = plain.text("mediatype").map(|media| media.into_owned());
        let edit = match stanza.text("edit").as_deref() {
            None => None,
            Some("3") => Some("3"),
            Some("8") => Some("8"),
            Some(_) => return refuse(self, "400", "an edit of a kind that newsletters do not have"),
        };
        if bytes.is_empty() != (edit == Some("8")) {
            return refuse(self, "400", "only what takes a post back says nothing");
        }
        if let Some(why) = unfit(&self.media, &bytes, stanza.text("media_id").as_deref()) {
            return refuse(self, "400", why);
        }
        let posts = &mut newsletter.posts;
        let known = posts.iter_mut().find(|(_, post)| post.id == id);
        let told = match (edit, known) {
            (None, Some((number, _))) => (*number, false),
            (None, None) => {
                if posts.len() >= MOST {
                    posts.pop_first();
                }
                let number = posts.keys().next_back().map_or(100, |last| last + 1);
                let (views, reactions) = (BTreeSet::new(), BTreeMap::new());
                let (id, at_s, edit, changed_s) = (id.to_owned(), seconds(now), None, seconds(now));
                posts
                    .insert(number, Post { id, kind, media, at_s, bytes, edit, changed_s, views, reactions });
                (number, true)
            }
            (Some(edit), Some((number, post))) if !post.bytes.is_empty() || edit == "8" => {
                let changed = post.bytes != bytes;
                if changed {
                    (post.kind, post.media, post.bytes, post.edit) = (kind, media, bytes, Some((now, edit)));
                    post.changed_s = seconds(now);
                }
                (*number, changed)
            }
            (Some(_), _) => return refuse(self, "404", "an edit of nothing"),
        };
        if let (number, true) = told {
            self.tell_post(now, from, to, number);
        }
        self.ack_message(now, from, stanza, to, &[("server_id", told.0.to_string())]);
        Ok(())
    }

    /// Everybody who hears a newsletter gets a post as it is now, but the device that has made it so.
    fn tell_post(&mut self, now: UnixMillis, from: DeviceRef, to: &Jid, number: u64) {
        let Some(newsletter) = self.newsletters.get(&*to.user) else { return };
        let Some(post) = newsletter.posts.get(&number) else { return };
        let mut delivery = Builder::new("message")
            .attr("from", to.clone())
            .attr("id", post.id.as_str())
            .attr("server_id", number)
            .attr("type", post.kind.as_str())
            .attr("t", seconds(now));
        if let Some((_, edit)) = post.edit {
            delivery = delivery.attr("edit", edit);
        }
        let delivery = delivery.children(post.content()).build();
        let devices = newsletter.audience().into_iter().flat_map(|pn| self.companions_of(pn));
        for device in devices.filter(|device| *device != from).collect::<Vec<_>>() {
            self.deliver(now, device, delivery.clone());
        }
    }

    /// Somebody has looked at messages.
    pub(in crate::wa) fn newsletter_viewed(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        to: &Jid,
        stanza: &Stanza,
    ) {
        let items = stanza.child("list").map_or(&[][..], |list| list.all());
        for number in items.iter().filter_map(|item| item.number("server_id")).collect::<Vec<_>>() {
            let newsletter = self.newsletters.get_mut(&*to.user);
            if let Some(post) = newsletter.and_then(|newsletter| newsletter.posts.get_mut(&number)) {
                if post.views.insert(from.pn) {
                    post.changed_s = seconds(now);
                }
                self.tell_counts(now, to, number);
            }
        }
    }

    fn tell_counts(&mut self, now: UnixMillis, newsletter: &Jid, number: u64) {
        let Some(known) = self.newsletters.get(&*newsletter.user) else { return };
        let Some(post) = known.posts.get(&number).map(|post| post.element(number, false)) else { return };
        let watchers = known.watchers.iter().filter(|(_, until)| **until > seconds(now));
        for device in watchers.map(|(device, _)| *device).collect::<Vec<_>>() {
            let updates = Builder::new("live_updates").children([post.clone()]).build();
            let notification = Builder::new("notification")
                .attr("type", "newsletter")
                .attr("from", newsletter.clone())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .children([updates]);
            self.deliver(now, device, notification.build());
        }
    }
}
