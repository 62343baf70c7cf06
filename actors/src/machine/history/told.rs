//! What history is to consumers of the event log: messages of the past with what others have added to them, in the shape of
//! live ones, and one event about each piece.
//!
//! What must hold: what has an id of its own at WhatsApp has the key of its live event, so that it is in the log once; what has
//! none is named by the message that it belongs to.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::history_chunk::Problem;
use roost_proto::content::{self, Meaning, Secret, Statement, options_of};
use roost_proto::history::{AddOn, Chat, Outline, Outlined, Past};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Server};

use super::around::{Around, name as name_of};
use super::piece::Cursor;
use super::{Machine, Open};
use crate::machine::Account;
use crate::machine::appstate::timestamp;
use crate::machine::commit::Pending;
use crate::machine::heard::{Head, Scene, forms, said};
use crate::machine::inbound::{bounded, person};
use crate::machine::polls::counted;
use crate::machine::posts;
use crate::port::NewEvent;

/// What is told of what others have added to the messages of one slice, which is one commit.
pub(super) const ADD_ONS: usize = 5_000;

/// A message of the past that was read.
pub(super) struct Read {
    scene: Scene,
    meaning: Meaning,
    past: Past,
    secret: Option<Secret>,
}

impl Machine {
    /// Reads a message of the past and remembers its secret; `None`, and counted, when it cannot be told.
    pub(super) fn read_past(
        &mut self,
        outcome: &mut Pending,
        cursor: &mut Cursor,
        (open, kept): (&Open, &[Secret]),
        chat: u64,
        bytes: &Bytes,
    ) -> Option<Read> {
        let chat = open.chat(chat);
        let past = Past::read(bytes);
        if let Some(past) = &past {
            cursor.reach(past);
        }
        let mut found = chat.zip(past).and_then(|(chat, past)| {
            let scene = self.scene(chat, &past, &open.lids)?;
            let meaning = content::read(&past.content).ok()?;
            let secret = Secret::of_past(&past.content, past.beside.secret.as_deref());
            Some(Read { scene, meaning, past, secret })
        });
        match &mut found {
            Some(Read { scene, past, secret: Some(secret), .. }) => {
                let known =
                    kept.iter().fold(secret.clone(), |known, kept| known.with_options_of(kept, &past.id));
                *secret = self.remember_secret(outcome, &scene.sender, &past.id, past.from_me, &known);
            }
            Some(_) => {}
            None => cursor.left_out += 1,
        }
        found
    }

    /// Adds the events of a message of the past: its own, in the shape that it would have had live, and those of what others
    /// have added to it, as far as there is room for these.
    pub(super) fn tell_past(
        &mut self,
        outcome: &mut Pending,
        cursor: &mut Cursor,
        open: &Open,
        read: Read,
        room: &mut usize,
    ) {
        let Read { scene, meaning, past, secret } = read;
        let own = Head { push_name: past.push_name.clone(), ..Head::past(&past.id, past.from_me, past.at) };
        let key = scene.key(&past.id);
        let mut events = Vec::new();
        let poll: Vec<String> = match (secret.as_ref().and_then(|secret| secret.poll.as_ref()), &meaning) {
            (Some(poll), _) => options_of(poll).cloned().collect(),
            (None, Meaning::Said(said)) => options(&said.content),
            _ => Vec::new(),
        };
        match meaning {
            // It stands in the place of the message that it has changed.
            Meaning::Edited { message, content } if message.id == past.id => {
                let first = self.payload_of_past(outcome, &own, &scene, present(&content, &past.content));
                events.extend(first.map(|first| (key.clone(), past.at, first)));
                let edit = self.payload_of_past(outcome, &own, &scene, Meaning::Edited { message, content });
                events.extend(edit.map(|edit| (beside(&key, "edit"), past.at, edit)));
            }
            meaning => {
                let payload = self.payload_of_past(outcome, &own, &scene, meaning);
                events.extend(payload.map(|payload| (key.clone(), past.at, payload)));
            }
        }
        cursor.messages += u64::from(!events.is_empty());
        if !events.is_empty() && scene.group != posts::PLACE {
            let poll = (secret.as_ref(), &poll[..]);
            let added = self.added(outcome, open, (&scene, &past, &key), poll, *room);
            *room -= added.len().min(*room);
            events.extend(added);
        }
        let event =
            |(dedupe, occurred, payload)| NewEvent { dedupe, occurred, origin: Origin::History, payload };
        outcome.batch.events.extend(events.into_iter().map(event));
    }

    /// The star on a message, reactions to it, votes in it, which count, and answers to it.
    fn added(
        &self,
        outcome: &mut Pending,
        open: &Open,
        (scene, past, key): (&Scene, &Past, &str),
        (secret, poll): (Option<&Secret>, &[String]),
        room: usize,
    ) -> Vec<(String, UnixMillis, Payload)> {
        let author = forms(&scene.sender).into_iter().next().filter(|_| !past.from_me).unwrap_or_default();
        let chat = match scene.group.is_empty() {
            true => forms(&scene.chat).into_iter().next().unwrap_or_default(),
            false => scene.group.clone(),
        };
        let reference =
            api::MessageRef { whatsapp_id: past.id.clone(), from_me: past.from_me, sender: author.clone() };
        let target = || Some(reference.clone());
        let mut events = Vec::new();
        if past.beside.starred {
            let message = api::MessageKey {
                chat,
                whatsapp_id: past.id.clone(),
                from_me: past.from_me,
                sender: if scene.group.is_empty() { String::new() } else { author },
            };
            let starred = api::MessageStarred { message: Some(message), starred: true };
            events.push((beside(key, "star"), past.at, Payload::MessageStarred(starred)));
        }
        let named = |what, (said, at): &(api::Said, UnixMillis), scene: &Scene| {
            let named = !said.whatsapp_id.is_empty() && said.whatsapp_id != past.id;
            let by = || forms(&scene.sender).into_iter().next().unwrap_or_default();
            let dedupe =
                if named { scene.key(&said.whatsapp_id) } else { beside(key, &format!("{what}/{}", by())) };
            (dedupe, *at)
        };
        for reaction in past.beside.reactions.iter().filter(|one| !one.says.is_empty()) {
            if events.len() >= room {
                return events;
            }
            let Some((said, scene)) = self.adder(open, scene, past, reaction) else { continue };
            let (dedupe, at) = named("reaction", &said, &scene);
            let (said, message, emoji) = (Some(said.0), target(), reaction.says.clone());
            let reacted = api::ReactionReceived { said, message, emoji, unreadable: false };
            events.push((dedupe, at, Payload::ReactionReceived(reacted)));
        }
        for vote in past.beside.votes.iter().filter(|one| !one.says.is_empty()) {
            if events.len() >= room {
                return events;
            }
            let Some((said, scene)) = self.adder(open, scene, past, vote) else { continue };
            let (dedupe, at) = named("vote", &said, &scene);
            let hashes = vote.says.iter().map(|hash| hash.to_vec()).collect();
            let chosen = content::chosen(poll, hashes);
            let head = Head::past(&vote.id, vote.from_me, at);
            let voter = self.voter(&head, &scene, vote.at.map_or(0, |at| at.0));
            let late = secret.is_some_and(|secret| voter.is_late(secret));
            let counts = secret.and_then(|secret| counted(secret, &past.id, voter, &chosen));
            outcome.batch.votes.extend(counts);
            let ((options, unknown_options), said, poll) = (chosen, Some(said.0), target());
            let unreadable = false;
            let voted = api::PollVoteReceived { said, poll, options, unknown_options, unreadable, late };
            events.push((dedupe, at, Payload::PollVoteReceived(voted)));
        }
        for answer in &past.beside.answers {
            if events.len() >= room {
                return events;
            }
            let Some((said, scene)) = self.adder(open, scene, past, answer) else { continue };
            let (dedupe, at) = named("answer", &said, &scene);
            let ((answer, extra_guests), said, event) = (answer.says, Some(said.0), target());
            let answer = answer.into();
            let answered =
                api::EventResponseReceived { said, event, answer, extra_guests, unreadable: false };
            events.push((dedupe, at, Payload::EventResponseReceived(answered)));
        }
        events
    }

    /// Who has added something to a message, and when; `None` when that is not told.
    fn adder<T>(
        &self,
        open: &Open,
        scene: &Scene,
        past: &Past,
        add_on: &AddOn<T>,
    ) -> Option<((api::Said, UnixMillis), Scene)> {
        let sender = match (add_on.from_me, scene.group.is_empty()) {
            (true, _) => own(self.account.as_ref()?),
            (false, true) => scene.chat.clone(),
            (false, false) => self.person_of([Some(add_on.participant.clone()?), None, None], &open.lids),
        };
        let scene = Scene { sender, ..scene.clone() };
        let head = Head::past(&add_on.id, add_on.from_me, add_on.at.unwrap_or(past.at));
        Some(((said(&head, &scene), head.at), scene))
    }

    /// `None` for what is neither of a chat with one person, nor of a group, nor a status post; or of nobody.
    pub(super) fn scene(&self, chat: &Chat, past: &Past, lids: &BTreeMap<String, String>) -> Option<Scene> {
        let account = self.account.as_ref()?;
        let (other, group) = match chat.jid.server {
            Server::Pn | Server::Lid => {
                let forms = [Some(chat.jid.clone()), chat.lid.clone(), chat.pn.clone()];
                (Some(self.person_of(forms, lids)), String::new())
            }
            _ if chat.jid.server == Server::Group || posts::is_place(&chat.jid) => {
                let sender = past.participant.clone().filter(|from| from.is_pn() || from.is_lid());
                (sender.map(|from| self.person_of([Some(from), None, None], lids)), chat.jid.to_string())
            }
            _ => return None,
        };
        let sender = if past.from_me { own(account) } else { other.clone()? };
        let chat = if group.is_empty() { other? } else { api::Person::default() };
        Some(Scene { chat, group, sender })
    }

    /// Somebody, in as many forms as are known.
    fn person_of(&self, forms: [Option<Jid>; 3], lids: &BTreeMap<String, String>) -> api::Person {
        let first = forms[0].clone().unwrap_or_default().to_non_ad();
        let told = lids.get(&first.to_string()).and_then(|lid| lid.parse::<Jid>().ok());
        let known = first.is_pn().then(|| self.directory.lid(&first.user).flatten()).flatten().map(Jid::lid);
        let [first, lid, pn] = forms;
        person(&[first, lid, told, known, pn])
    }

    /// Adds the event about a piece; several where there is very much to say.
    pub(super) fn note_piece(
        &self,
        outcome: &mut Pending,
        name: &str,
        cursor: &Cursor,
        outline: Option<&Outline>,
        problem: Option<(Problem, &str)>,
        goes_on: bool,
    ) {
        let (problem, failure) = problem.unwrap_or((Problem::Unspecified, ""));
        let mut around = Around::of(outline);
        for part in 0.. {
            let shown = around.part();
            let chunk = api::HistoryChunk {
                kind: cursor.kind_for_callers().into(),
                order: cursor.order,
                progress: cursor.progress,
                chats: shown.chats.iter().filter_map(chat_of).collect(),
                push_names: shown.names.iter().map(|(who, is)| (who.clone(), name_of(is))).collect(),
                lids: shown.lids.iter().cloned().collect(),
                request: cursor.request.clone(),
                failure: failure.to_owned(),
                messages: i64::try_from(cursor.messages).unwrap_or(i64::MAX),
                problem: problem.into(),
                left_out: i64::try_from(cursor.left_out).unwrap_or(i64::MAX),
                more: !around.is_told(),
                goes_on,
            };
            let (more, pairing) = (chunk.more, self.pairing().unwrap_or_default());
            let part = if more { format!("/{part}") } else { String::new() };
            let dedupe = bounded(format!("history/{pairing}/{name}{part}"));
            let payload = Payload::HistoryChunk(chunk);
            let event = NewEvent { dedupe, occurred: self.now.wall, origin: Origin::History, payload };
            outcome.batch.events.push(event);
            if !more {
                return;
            }
        }
    }
}

/// The options of a poll.
fn options(content: &api::message_received::Content) -> Vec<String> {
    match content {
        api::message_received::Content::Poll(poll) => poll.options.clone(),
        _ => Vec::new(),
    }
}

/// What an edited message says now.
fn present(content: &api::message_edited::Content, edit: &[u8]) -> Meaning {
    let said = |content| Meaning::Said(Box::new(Statement { content, context: None, quoted: None }));
    match content {
        api::message_edited::Content::Caption(caption) => content::now_said(edit)
            .unwrap_or_else(|| said(api::message_received::Content::Text(caption.clone()))),
        api::message_edited::Content::Text(text) => said(api::message_received::Content::Text(text.clone())),
        api::message_edited::Content::Raw(raw) => match content::read(raw) {
            Ok(meaning @ Meaning::Said(_)) => meaning,
            _ => said(api::message_received::Content::Raw(raw.clone())),
        },
    }
}

/// Names a fact about a message of the past that has no id of its own.
fn beside(key: &str, what: &str) -> String {
    bounded(format!("past/{key}/{what}"))
}

fn own(account: &Account) -> api::Person {
    person(&[Some(account.pn.clone()), account.lid.clone()])
}

fn chat_of(outlined: &Outlined) -> Option<api::HistoryChat> {
    let chat = outlined.about.as_ref()?;
    Some(api::HistoryChat {
        jid: chat.jid.to_string(),
        name: name_of(&chat.name),
        unread: chat.unread,
        archived: chat.archived,
        pinned: chat.pinned,
        muted_until: chat.muted_until.map(|end| timestamp(UnixMillis(end))),
        complete: chat.complete,
        messages: outlined.messages,
    })
}
