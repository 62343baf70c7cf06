//! Presence and typing: our own, and what others show us.
//!
//! What must hold: whether we show ourselves and whom we watch outlives the connection and the owner;
//! receipts of a device that hides say so. What others show is news and not a record: it is logged as far
//! as a bucket of tokens allows, and what comes beyond is left out.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza};

use super::Machine;
use super::codec::{Reader, Writer};
use super::commit::{After, Pending};
use super::identities::name_of;
use super::inbound::person;
use super::tokens::{For, element};
use crate::device::{CommandError, Typing};
use crate::port::{NewEvent, StateKey, StateKind};

/// The most people that a device watches.
const WATCHED: usize = 256;
/// Events of presence and typing that a device logs at once; one more each second.
const BURST: u64 = 60;

/// What a device shows and watches.
#[derive(Debug, Default)]
pub(super) struct Presence {
    hidden: bool,
    /// Bare JIDs in the form in which they were asked for, and what they showed last.
    watched: BTreeMap<String, Option<(bool, Option<i64>)>>,
    /// What was taken from the bucket, and when it was last filled.
    taken: u64,
    filled: Option<BootTime>,
    logged: u64,
}

impl Presence {
    pub(super) fn hidden(&self) -> bool {
        self.hidden
    }

    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(1);
        out.bytes(&[u8::from(self.hidden)]);
        for jid in self.watched.keys() {
            out.text(jid);
        }
        out.finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Presence> {
        let mut rest = Reader::new(1, bytes)?;
        let hidden = rest.bytes()? == [1];
        let mut watched = BTreeMap::new();
        while let Some(jid) = rest.text() {
            watched.insert(jid.to_owned(), None);
        }
        Some(Presence { hidden, watched, ..Presence::default() })
    }

    /// Whether one more event fits into the log.
    fn take(&mut self, now: BootTime) -> bool {
        let seconds = self.filled.map_or(0, |at| now.since(at).as_secs());
        if self.filled.is_none() || seconds > 0 {
            self.filled = Some(now);
            self.taken = self.taken.saturating_sub(seconds);
        }
        let fits = self.taken < BURST;
        self.taken += u64::from(fits);
        fits
    }
}

impl Machine {
    /// Shows or hides the device.
    pub(super) fn set_presence(&mut self, token: u64, available: bool) {
        if let Some(refusal) = self.unfit_to_write() {
            return self.done(token, Err(refusal));
        }
        self.presence.hidden = !available;
        self.keep_presence(token);
        if self.connection.greeted() {
            self.announce_presence();
        }
    }

    /// Asks WhatsApp to tell what somebody shows, or forgets about it.
    pub(super) fn watch_presence(&mut self, token: u64, user: &Jid, watch: bool) {
        if let Some(refusal) = self.unfit_to_write() {
            return self.done(token, Err(refusal));
        }
        let name = user.to_non_ad().to_string();
        if !watch {
            let watched = self.presence.watched.remove(&name).is_some();
            if watched && self.connection.greeted() {
                let presence = Builder::new("presence").attr("type", "unsubscribe");
                self.send(&presence.attr("to", user.to_non_ad()).build());
            }
        } else if self.presence.watched.len() >= WATCHED && !self.presence.watched.contains_key(&name) {
            return self.done(token, Err(CommandError::Busy));
        } else {
            self.presence.watched.insert(name, None);
            if self.connection.greeted() {
                self.ask_to_see(user.clone());
            }
        }
        self.keep_presence(token);
    }

    /// Another account watches nobody yet.
    pub(super) fn presence_reset(&mut self, outcome: &mut Pending) {
        let Presence { hidden, watched, .. } = std::mem::take(&mut self.presence);
        self.presence.hidden = hidden;
        if !watched.is_empty() {
            outcome.batch.state.push((presence_key(), Some(self.presence.to_bytes())));
        }
    }

    /// Tells a chat that we type, or do not any more.
    pub(super) fn send_typing(&mut self, token: u64, to: Jid, typing: Typing) {
        if let Some(refusal) = self.unfit_to_write() {
            return self.done(token, Err(refusal));
        }
        if let Some(refusal) = self.unconnected() {
            return self.done(token, Err(refusal));
        }
        let Some(account) = &self.account else { return };
        let own = account.lid.as_ref().filter(|_| to.is_lid()).unwrap_or(&account.pn).clone();
        let what = match typing {
            Typing::Text => Builder::new("composing"),
            Typing::Voice => Builder::new("composing").attr("media", "audio"),
            Typing::Paused => Builder::new("paused"),
        };
        let state = Builder::new("chatstate").attr("from", own).attr("to", to).children([what.build()]);
        self.send(&state.build());
        self.done(token, Ok(()));
    }

    fn unfit_to_write(&self) -> Option<CommandError> {
        if let Some(error) = self.unpaired() {
            Some(error)
        } else if !self.may_act() || self.commits.failing() {
            Some(CommandError::Unavailable)
        } else {
            None
        }
    }

    fn keep_presence(&mut self, token: u64) {
        let row = self.presence.to_bytes();
        let gathering = self.commits.pending();
        gathering.batch.state.push((presence_key(), Some(row)));
        gathering.after.push(After::Done(token));
    }

    /// After a login, and whenever it changes.
    pub(super) fn announce_presence(&mut self) {
        let shown = if self.presence.hidden { "unavailable" } else { "available" };
        let mut presence = Builder::new("presence").attr("type", shown);
        if let Some(name) = self.account.as_ref().map(|account| account.push_name.clone())
            && !name.is_empty()
        {
            presence = presence.attr("name", name);
        }
        self.send(&presence.build());
    }

    /// WhatsApp forgets with the connection whom we watch.
    pub(super) fn subscribe_all(&mut self) {
        let users: Vec<Jid> = self.presence.watched.keys().filter_map(|jid| jid.parse().ok()).collect();
        for user in users {
            self.ask_to_see(user);
        }
    }

    /// With the token of whom we want to see, if there is one.
    fn ask_to_see(&mut self, user: Jid) {
        self.ask_token(name_of(&user), For::Watching(user));
    }

    pub(super) fn subscribe(&mut self, user: &Jid, token: Option<&Bytes>) {
        if !self.connection.greeted() {
            return;
        }
        let presence = Builder::new("presence").attr("type", "subscribe").attr("to", user.to_non_ad());
        self.send(&presence.children(token.map(element)).build());
    }

    /// `<presence from type=unavailable? last?/>`
    pub(super) fn on_presence(&mut self, link: u64, stanza: &Stanza) {
        let slot = self.lane.open();
        let mut outcome = Pending::default();
        if let Some(from) = stanza.jid("from").map(|from| from.to_non_ad()) {
            let available = stanza.text("type").as_deref() != Some("unavailable");
            let last = stanza.number("last").and_then(|last| i64::try_from(last).ok());
            let shown = Some((available, last));
            let known = self.presence.watched.get_mut(&from.to_string());
            let news = known.is_none_or(|known| std::mem::replace(known, shown) != shown);
            if news {
                let changed = api::PresenceChanged {
                    person: Some(person(&[Some(from)])),
                    available,
                    last_seen_time: last.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
                };
                outcome.batch.events.extend(self.passing(Payload::PresenceChanged(changed)));
            }
        }
        self.settle_slot(slot, link, outcome, None);
    }

    /// `<chatstate from participant?><composing media=audio?/>|<paused/></chatstate>`
    pub(super) fn on_chat_state(&mut self, link: u64, stanza: &Stanza) {
        let slot = self.lane.open();
        let mut outcome = Pending::default();
        let composing = stanza.child("composing");
        if let Some(from) = stanza.jid("from")
            && (composing.is_some() || stanza.child("paused").is_some())
        {
            let voice =
                composing.is_some_and(|composing| composing.text("media").as_deref() == Some("audio"));
            let state = match composing {
                Some(_) if voice => api::chat_state_changed::State::Recording,
                Some(_) => api::chat_state_changed::State::Typing,
                None => api::chat_state_changed::State::Paused,
            };
            let group = (from.server == Server::Group).then(|| from.to_string());
            let sender = if group.is_some() { stanza.jid("participant") } else { Some(from) };
            let changed = api::ChatStateChanged {
                person: Some(person(&[sender])),
                group: group.unwrap_or_default(),
                state: state.into(),
            };
            outcome.batch.events.extend(self.passing(Payload::ChatStateChanged(changed)));
        }
        self.settle_slot(slot, link, outcome, None);
    }

    /// An event of passing interest, if it fits.
    fn passing(&mut self, payload: Payload) -> Option<NewEvent> {
        if !self.presence.take(self.now.boot) {
            return None;
        }
        self.presence.logged += 1;
        let UnixMillis(wall) = self.now.wall;
        let dedupe = format!("passing/{}/{wall}/{}", self.opening.grant.epoch, self.presence.logged);
        Some(NewEvent { dedupe, occurred: self.now.wall, origin: Origin::Live, payload })
    }
}

fn presence_key() -> StateKey {
    StateKey { kind: StateKind::Presence, name: String::new() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_shown_and_watched_reads_back() {
        let watched = [("77@lid".to_owned(), Some((true, None)))].into();
        let presence = Presence { hidden: true, watched, ..Presence::default() };
        let read = Presence::from_bytes(&presence.to_bytes()).expect("ours");
        assert!(read.hidden);
        assert_eq!(read.watched.keys().collect::<Vec<_>>(), ["77@lid"]);
        assert!(Presence::from_bytes(&[9]).is_none());
    }

    #[test]
    fn a_flood_is_cut_to_one_a_second() {
        let mut presence = Presence::default();
        let now = BootTime(1_000_000_000);
        let fit = |presence: &mut Presence, now| (0..1000).filter(|_| presence.take(now)).count();
        assert_eq!(fit(&mut presence, now), 60);
        assert_eq!(fit(&mut presence, now.plus(Duration::from_millis(900))), 0);
        assert_eq!(fit(&mut presence, now.plus(Duration::from_secs(5))), 5);
        assert_eq!(fit(&mut presence, now.plus(Duration::from_secs(500))), 60);
    }
}
