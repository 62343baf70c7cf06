//! History: what the phone tells of the time before the device was linked, in a lane of its own.
//!
//! What must hold: a piece is durable with the message that brought it, and is told in slices, each a commit of
//! its own that says how far it has come; so a new owner goes on where the last one stopped. One slice is under
//! way at a time, between the commits of live messages. A message has the same key in the log whether it came
//! live or with history, so it is there once. Behind the last message stands one event about the piece.

mod piece;

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::content::{self, Meaning};
use roost_proto::history::{Conversation, History, Past};
use roost_proto::phone::{Notice, PeerMessage, Place, WantHistory};
use roost_proto::stanza::{Builder, Jid};

use super::appstate::timestamp;
use super::commit::{After, Pending};
use super::connect::encode;
use super::inbound::{Inbound, bounded, person};
use super::{Account, Effect, Machine, Reply};
use crate::device::CommandError;
use crate::port::{NewEvent, StateKey, StateKind};
use piece::Cursor;

/// Messages that are told in one commit.
const SLICE: usize = 100;
/// Pieces that wait; the phone is not believed to have more.
const PIECES: usize = 64;

/// Pieces that have not been told to their end, by the messages that brought them.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    waiting: BTreeMap<String, Piece>,
    /// The piece that is being told.
    open: Option<(String, History)>,
    /// A slice is on its way into the log.
    busy: bool,
}

#[derive(Debug)]
struct Piece {
    cursor: Cursor,
    packed: Bytes,
}

impl Machine {
    /// What the last owner had not told.
    pub(super) fn history_load(&mut self, rows: Vec<(StateKey, Bytes)>) {
        let mut packed: BTreeMap<String, Bytes> = BTreeMap::new();
        let mut cursors = BTreeMap::new();
        for (key, bytes) in rows {
            match key.kind {
                StateKind::HistoryPiece => _ = packed.insert(key.name, bytes),
                _ => cursors.extend(Cursor::from_bytes(&bytes).map(|cursor| (key.name, cursor))),
            }
        }
        for (name, cursor) in cursors {
            if let Some(packed) = packed.remove(&name) {
                self.history.waiting.insert(name, Piece { cursor, packed });
            }
        }
    }

    /// The phone has a piece of history for us: durable with the message that says so.
    pub(super) fn take_history(&mut self, message: &Inbound, notice: Notice, outcome: &mut Pending) {
        let name = bounded(message.id.clone());
        let cursor = Cursor::new(&notice);
        let packed = match notice.place {
            Place::Inline(packed) if self.history.waiting.len() < PIECES => Bytes::from(packed),
            Place::Inline(_) => {
                return self.end_piece(outcome, &name, &cursor, None, "too much history at once");
            }
            Place::File(_) => {
                return self.end_piece(outcome, &name, &cursor, None, "it is in a file, not in the message");
            }
        };
        outcome.batch.state.push((row(StateKind::History, &name), Some(cursor.to_bytes())));
        outcome.batch.state.push((row(StateKind::HistoryPiece, &name), Some(packed.clone())));
        self.history.waiting.insert(name, Piece { cursor, packed });
    }

    /// Tells the next slice, when the one before is durable.
    pub(super) fn history_pump(&mut self) {
        if self.history.busy || !self.may_act() || self.commits.failing() || self.account.is_none() {
            return;
        }
        let Some(name) = self.history.waiting.keys().next().cloned() else { return };
        let mut outcome = Pending::default();
        match self.open_piece(&name) {
            Ok(history) => self.tell_slice(&mut outcome, &name, &history),
            Err(why) => {
                let cursor = self.history.waiting[&name].cursor.clone();
                self.end_piece(&mut outcome, &name, &cursor, None, &why);
            }
        }
        self.history.busy = true;
        outcome.after.push(After::HistoryTold);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    /// A slice is durable.
    pub(super) fn history_told(&mut self) {
        self.history.busy = false;
    }

    fn open_piece(&mut self, name: &str) -> Result<History, String> {
        if let Some((open, history)) = &self.history.open
            && open == name
        {
            return Ok(history.clone());
        }
        let piece = &self.history.waiting[name];
        let history = History::open(&piece.packed).map_err(|error| error.to_string())?;
        self.history.open = Some((name.to_owned(), history.clone()));
        Ok(history)
    }

    fn tell_slice(&mut self, outcome: &mut Pending, name: &str, history: &History) {
        let mut cursor = self.history.waiting[name].cursor.clone();
        let people = history.people();
        let lids: BTreeMap<&str, &str> =
            people.lids.iter().map(|(pn, lid)| (pn.as_str(), lid.as_str())).collect();
        let mut told = 0;
        while told < SLICE && cursor.chat < history.len() {
            let Some(conversation) = history.conversation(cursor.chat) else {
                (cursor.chat, cursor.message) = (cursor.chat + 1, 0);
                continue;
            };
            let count = conversation.messages.len();
            let begin = cursor.message.min(count);
            let end = count.min(begin + SLICE - told);
            for bytes in &conversation.messages[begin..end] {
                let event = Past::read(bytes).and_then(|past| self.past_event(&conversation, past, &lids));
                outcome.batch.events.extend(event);
            }
            told += end - begin;
            cursor.message = end;
            if end == count {
                (cursor.chat, cursor.message) = (cursor.chat + 1, 0);
            }
        }
        cursor.messages += outcome.batch.events.len() as u64;
        if cursor.chat >= history.len() {
            return self.end_piece(outcome, name, &cursor, Some(history), "");
        }
        outcome.batch.state.push((row(StateKind::History, name), Some(cursor.to_bytes())));
        if let Some(piece) = self.history.waiting.get_mut(name) {
            piece.cursor = cursor;
        }
    }

    /// Everything of a piece is told, or it cannot be.
    fn end_piece(
        &mut self,
        outcome: &mut Pending,
        name: &str,
        cursor: &Cursor,
        history: Option<&History>,
        failure: &str,
    ) {
        let people = history.map(History::people).unwrap_or_default();
        let count = history.map_or(0, History::len);
        let chats = (0..count).filter_map(|at| history?.conversation(at)).map(|one| chat_of(&one));
        let chunk = api::HistoryChunk {
            kind: cursor.kind_for_callers().into(),
            order: cursor.order,
            progress: cursor.progress,
            chats: chats.collect(),
            push_names: people.push_names.into_iter().collect(),
            lids: people.lids.into_iter().collect(),
            request: cursor.request.clone(),
            failure: failure.to_owned(),
            messages: i64::try_from(cursor.messages).unwrap_or(i64::MAX),
        };
        let dedupe = bounded(format!("history/{}/{name}", self.pairing().unwrap_or_default()));
        let payload = Payload::HistoryChunk(chunk);
        let event = NewEvent { dedupe, occurred: self.now.wall, origin: Origin::History, payload };
        outcome.batch.events.push(event);
        for kind in [StateKind::History, StateKind::HistoryPiece] {
            outcome.batch.state.push((row(kind, name), None));
        }
        self.history.waiting.remove(name);
        self.history.open = None;
        // The phone forgets the piece when it hears this; when it does not, it tells it again.
        if let (Some((_, phone)), Some(link)) = (self.phone(), self.connection.online()) {
            let receipt = Builder::new("receipt")
                .attr("id", name.to_owned())
                .attr("to", phone)
                .attr("type", "hist_sync");
            outcome.after.extend(encode(&receipt.build()).map(|bytes| After::Wire(link, bytes)));
        }
    }

    /// A message of the past; `None` when there is nothing in it for the user, or it is not of a chat with one
    /// person.
    fn past_event(
        &self,
        conversation: &Conversation,
        past: Past,
        lids: &BTreeMap<&str, &str>,
    ) -> Option<NewEvent> {
        let account = self.account.as_ref()?;
        let chat = self.person_of(conversation, lids)?;
        let sender = if past.from_me { own(account) } else { chat.clone() };
        let (content, context) = match content::read(&past.content).ok()? {
            Meaning::Said(said) => (said.content, said.context),
            Meaning::Protocol => return None,
            // About another message of the past: as it is.
            _ => (api::message_received::Content::Raw(past.content.to_vec()), None),
        };
        let dedupe = super::inbound::message_key(&chat, &sender, &past.id);
        let payload = Payload::MessageReceived(api::MessageReceived {
            whatsapp_id: past.id,
            chat: Some(chat),
            sender: Some(sender),
            from_me: past.from_me,
            push_name: past.push_name,
            group: String::new(),
            context,
            content: Some(content),
        });
        Some(NewEvent { dedupe, occurred: past.at, origin: Origin::History, payload })
    }

    /// The other side, in as many forms as are known.
    fn person_of(&self, conversation: &Conversation, lids: &BTreeMap<&str, &str>) -> Option<api::Person> {
        let chat = &conversation.chat;
        if !chat.is_pn() && !chat.is_lid() {
            return None;
        }
        let told = lids.get(chat.to_string().as_str()).and_then(|lid| lid.parse::<Jid>().ok());
        let known = chat.is_pn().then(|| self.directory.lid(&chat.user).flatten()).flatten().map(Jid::lid);
        let forms = [
            Some(chat.clone()),
            conversation.lid.clone(),
            told.filter(|_| chat.is_pn()),
            known,
            conversation.pn.clone(),
        ];
        Some(person(&forms))
    }

    /// A caller wants older messages of a chat.
    pub(super) fn want_history(&mut self, token: u64, wanted: WantHistory) {
        let refusal = match self.unpaired() {
            Some(error) => Some(error),
            None if self.connection.online().is_none() => Some(CommandError::NotConnected),
            None if !self.may_act() || self.commits.failing() => Some(CommandError::Unavailable),
            None => None,
        };
        let result = match refusal {
            Some(error) => Err(error),
            None => Ok(self.tell_phone(&PeerMessage::WantHistory(wanted), false)),
        };
        self.effects.push(Effect::Reply { token, reply: Reply::AskedPhone(result) });
    }
}

fn own(account: &Account) -> api::Person {
    person(&[Some(account.pn.clone()), account.lid.clone()])
}

fn chat_of(conversation: &Conversation) -> api::HistoryChat {
    api::HistoryChat {
        jid: conversation.chat.to_string(),
        name: conversation.name.clone(),
        unread: conversation.unread,
        archived: conversation.archived,
        pinned: conversation.pinned,
        muted_until: conversation.muted_until.map(|end| timestamp(roost_proto::id::UnixMillis(end))),
        complete: conversation.complete,
        messages: u32::try_from(conversation.messages.len()).unwrap_or(u32::MAX),
    }
}

fn row(kind: StateKind, name: &str) -> StateKey {
    StateKey { kind, name: name.to_owned() }
}
