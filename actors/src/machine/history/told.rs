//! What history is to consumers of the event log: messages of the past, and one event about each piece.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::history_chunk::Problem;
use roost_proto::content::{self, Meaning};
use roost_proto::history::{Chat, Outline, Outlined, Past};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Server};

use super::piece::Cursor;
use super::{Machine, Open};
use crate::machine::Account;
use crate::machine::appstate::timestamp;
use crate::machine::commit::Pending;
use crate::machine::inbound::{bounded, message_key, person};
use crate::port::NewEvent;

/// Chats and people that one event tells of.
const CHATS: usize = 2_000;
const PEOPLE: usize = 10_000;

/// Where a message of the past was said, by whom.
struct Scene {
    chat: api::Person,
    group: String,
    sender: api::Person,
}

impl Machine {
    /// Adds the event of a message of the past, or counts it.
    pub(super) fn tell_past(
        &mut self,
        outcome: &mut Pending,
        cursor: &mut Cursor,
        open: &Open,
        chat: u64,
        bytes: &Bytes,
    ) {
        let chat = usize::try_from(chat).ok().and_then(|chat| open.outline.chats.get(chat)?.about.as_ref());
        let past = Past::read(bytes);
        if let Some(past) = &past {
            cursor.reach(past);
        }
        let found = chat.zip(past).and_then(|(chat, past)| {
            let scene = self.scene(chat, &past, &open.lids)?;
            Some((scene, content::read(&past.content).ok()?, past))
        });
        let Some((scene, meaning, past)) = found else {
            return cursor.left_out += 1;
        };
        let (content, context) = match meaning {
            Meaning::Said(said) => (said.content, said.context),
            Meaning::Protocol => return,
            // About another message of the past: as it is.
            _ => (api::message_received::Content::Raw(past.content.to_vec()), None),
        };
        self.remember_secret(outcome, &scene.sender, &past.id, past.from_me, &past.content);
        // A group is named where a person would be.
        let named = match scene.group.is_empty() {
            true => scene.chat.clone(),
            false => api::Person { lid: scene.group.clone(), ..Default::default() },
        };
        let dedupe = message_key(&named, &scene.sender, &past.id);
        let payload = Payload::MessageReceived(api::MessageReceived {
            whatsapp_id: past.id,
            chat: Some(scene.chat).filter(|_| scene.group.is_empty()),
            sender: Some(scene.sender),
            from_me: past.from_me,
            push_name: past.push_name,
            group: scene.group,
            context,
            content: Some(content),
            ..Default::default()
        });
        outcome.batch.events.push(NewEvent { dedupe, occurred: past.at, origin: Origin::History, payload });
    }

    /// `None` for what is neither of a chat with one person nor of a group, or of a group and of nobody.
    fn scene(&self, chat: &Chat, past: &Past, lids: &BTreeMap<String, String>) -> Option<Scene> {
        let account = self.account.as_ref()?;
        let (other, group) = match chat.jid.server {
            Server::Pn | Server::Lid => {
                let forms = [Some(chat.jid.clone()), chat.lid.clone(), chat.pn.clone()];
                (Some(self.person_of(forms, lids)), String::new())
            }
            Server::Group => {
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
        let none = Vec::new();
        let mut chats = outline.map_or(&[][..], |outline| &outline.chats).chunks(CHATS);
        let names = outline.map_or(&none, |outline| &outline.people.push_names);
        let lids = outline.map_or(&none, |outline| &outline.people.lids);
        let (mut names, mut lids) = (names.chunks(PEOPLE), lids.chunks(PEOPLE));
        for part in 0.. {
            let shown = chats.next().unwrap_or_default().iter().filter_map(chat_of);
            let chunk = api::HistoryChunk {
                kind: cursor.kind_for_callers().into(),
                order: cursor.order,
                progress: cursor.progress,
                chats: shown.collect(),
                push_names: names.next().unwrap_or_default().iter().cloned().collect(),
                lids: lids.next().unwrap_or_default().iter().cloned().collect(),
                request: cursor.request.clone(),
                failure: failure.to_owned(),
                messages: i64::try_from(cursor.messages).unwrap_or(i64::MAX),
                problem: problem.into(),
                left_out: i64::try_from(cursor.left_out).unwrap_or(i64::MAX),
                more: chats.len() + names.len() + lids.len() > 0,
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

fn own(account: &Account) -> api::Person {
    person(&[Some(account.pn.clone()), account.lid.clone()])
}

fn chat_of(outlined: &Outlined) -> Option<api::HistoryChat> {
    let chat = outlined.about.as_ref()?;
    Some(api::HistoryChat {
        jid: chat.jid.to_string(),
        name: chat.name.clone(),
        unread: chat.unread,
        archived: chat.archived,
        pinned: chat.pinned,
        muted_until: chat.muted_until.map(|end| timestamp(UnixMillis(end))),
        complete: chat.complete,
        messages: outlined.messages,
    })
}
