//! What WhatsApp's bots answer, to us or to others in a chat of ours.
//!
//! What must hold: every piece of an answer is an event, also one that cannot be read because nobody here knows the
//! secret of the message that asked; WhatsApp is told so then, and does not deliver it again.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::content::{self, Parties, Secret};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, JidExt as _, Read, Server, Stanza};

use super::Machine;
use super::commit::Pending;
use super::inbound::{bounded, person};
use super::secrets::{Need, Sought, secret_name};
use crate::port::NewEvent;

/// The kind of ciphertext that bots make.
pub(super) const KIND: &str = "msmsg";
/// How WhatsApp is told that the secret is missing.
const NO_SECRET: u16 = 495;

/// A piece of an answer that waits for the secret of its question.
#[derive(Debug)]
pub(super) struct Piece {
    link: u64,
    stanza: Stanza,
    told: api::BotAnswered,
    /// Who asked: JIDs without device number.
    asker: Vec<String>,
    sealed: Bytes,
}

impl Piece {
    /// The stanza that carries it.
    pub(super) fn behind(&self) -> Option<Bytes> {
        super::behind::written(&self.stanza)
    }
}

impl Machine {
    /// `<message from=…@bot id t><bot edit edit_target_id/><meta target_id target_sender_jid target_chat_jid/>
    /// <enc type=msmsg>{bytes}</enc></message>`; in a group the bot is the participant.
    pub(super) fn on_bot_message(&mut self, link: u64, raw: Bytes, stanza: Stanza) {
        let slot = self.lane.open();
        let Some(piece) = self.piece(link, &stanza) else {
            let ack = self.plain_ack(&stanza, Some(488));
            return self.put_aside(slot, link, raw, &stanza, "no answer of a bot to a question", ack);
        };
        let id =
            piece.told.question.as_ref().map(|question| question.whatsapp_id.clone()).unwrap_or_default();
        let names = piece.asker.iter().map(|asker| secret_name(asker, &id)).collect();
        let own = piece.asker.iter().any(|asker| self.is_us(asker));
        self.seek_secret(Sought::new(names, id, own, Need::Answer(slot, Box::new(piece))));
    }

    fn piece(&self, link: u64, stanza: &Stanza) -> Option<Piece> {
        let place = stanza.jid("from")?;
        let (group, bot) = match place.server {
            Server::Group => (Some(place), stanza.jid("participant")?),
            _ => (None, place),
        };
        // Whoever has read the question could speak for one.
        if !bot.is_bot() {
            return None;
        }
        let sealed = stanza.all_named("enc").find(|enc| enc.text("type").as_deref() == Some(KIND))?.leaf()?;
        let meta = stanza.child("meta")?;
        let id = stanza.text("id")?.into_owned();
        let asker = match meta.jid("target_sender_jid") {
            Some(asker) if !self.is_us(&asker.to_string()) => vec![asker.to_non_ad().to_string()],
            _ => self.own_names(),
        };
        let from_me = asker.iter().any(|asker| self.is_us(asker));
        let chat = meta.jid("target_chat_jid").map(|chat| chat.to_non_ad());
        let group = group.or_else(|| chat.clone().filter(|chat| chat.server == Server::Group));
        let of_two = chat.filter(|chat| chat.is_pn() || chat.is_lid()).map(|chat| person(&[Some(chat)]));
        let edit = stanza.child("bot").and_then(|bot| Some((bot.text("edit")?, bot.text("edit_target_id"))));
        let (unfinished, first) = match edit {
            Some((edit, first)) => (edit == "first" || edit == "inner", first.filter(|_| edit != "first")),
            None => (false, None),
        };
        let sender = if from_me { None } else { asker.first().cloned() };
        let told = api::BotAnswered {
            answer: first.map_or_else(|| id.clone(), |first| first.into_owned()),
            whatsapp_id: id,
            bot: bot.to_non_ad().to_string(),
            chat: of_two.filter(|_| group.is_none()),
            group: group.map(|group| group.to_string()).unwrap_or_default(),
            question: Some(api::MessageRef {
                whatsapp_id: meta.text("target_id")?.into_owned(),
                from_me,
                sender: sender.unwrap_or_default(),
            }),
            unfinished,
            ..Default::default()
        };
        let (stanza, sealed) = (stanza.clone(), Bytes::copy_from_slice(sealed));
        Some(Piece { link, stanza, told, asker, sealed })
    }

    /// The secret of the question is there, or nobody here has it.
    pub(super) fn on_piece(&mut self, slot: u64, piece: Piece, secret: Option<Secret>) {
        let Piece { link, stanza, mut told, asker, sealed } = piece;
        let bot = [told.bot.clone()];
        let open = |id: &str| {
            let parties = Parties { id, author: &asker, answerer: &bot };
            content::open_bot(&sealed, secret.as_ref()?, parties)
        };
        // A later piece is sealed under the id of the first by some bots, and under its own by others.
        told.content = open(&told.answer).or_else(|| open(&told.whatsapp_id));
        told.unreadable = told.content.is_none();
        let answer = match (told.unreadable, stanza.jid("from")) {
            (true, _) => self.plain_ack(&stanza, Some(NO_SECRET)),
            (false, Some(from))
                if from.server == Server::Bot && told.chat.is_none() && told.group.is_empty() =>
            {
                Some(Builder::new("receipt").attr("id", told.whatsapp_id.clone()).attr("to", from).build())
            }
            // What a bot says in a chat of people is acknowledged alone.
            _ => self.plain_ack(&stanza, None),
        };
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let offline = stanza.text("offline").is_some();
        let mut outcome = Pending::default();
        outcome.batch.events.push(NewEvent {
            dedupe: bounded(format!("bot/{}/{}", told.bot, told.whatsapp_id)),
            occurred: seconds.map_or(self.now.wall, UnixMillis),
            origin: if offline { Origin::OfflineQueue } else { Origin::Live },
            payload: Payload::BotAnswered(told),
        });
        self.settle_slot(slot, link, outcome, answer);
    }
}
