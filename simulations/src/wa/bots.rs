//! A bot of WhatsApp: Meta AI, an account that nobody owns. Who writes to it is told what he has written, in two pieces;
//! so is who calls it into a chat, with all who are there. In a chat of others it answers to what its caller says, under the
//! secret that he knows.
//!
//! The form of an answer is what whatsmeow and whatsapp-rust read, and that of a call is what whatsmeow sends. Guesses: that
//! a bot is found like an account with one device, under its JID; that one that is asked in its own chat receives the secret
//! of the message itself; that in a chat of two both sides hear it, each with the other as the chat, and in a group all
//! members; and that nobody is told that it has a message that calls it.

use rand::Rng as _;
use roost_proto::api::message_received::Content;
use roost_proto::content::{BotKey, Meaning, Parties, Secret, read, seal_bot};
use roost_proto::e2e;
use roost_proto::id::UnixMillis;
use roost_proto::signal::CiphertextKind;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza, message_id};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{Effect, Machine};
use super::phones::PhoneError;

/// Its JID is `867051314767696@bot`.
pub(super) const BOT: &str = "867051314767696";
/// The number of the same bot.
pub(super) const PN: Pn = 13_135_550_002;

/// What a bot answers to.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asked.
    pub asker: Pn,
    /// In the chat with whom.
    pub chat: Pn,
    /// Id of the message.
    pub id: String,
    /// Its secret: 32 bytes.
    pub secret: Vec<u8>,
}

/// Where a bot is asked.
#[derive(Debug, Clone)]
enum Place {
    /// In its own chat.
    Own,
    /// In the chat of the asker with this account.
    Chat(Pn),
    /// In this group.
    Group(Jid),
}

/// A question as the bot has it.
#[derive(Debug)]
struct Asked {
    asker: Pn,
    place: Place,
    id: String,
    key: BotKey,
}

impl Machine {
    /// The bot is there from now on.
    pub fn with_bot(&mut self, now: UnixMillis) -> ((), Vec<Effect>) {
        self.find_or_create(now, Some(PN), Some("Meta AI"));
        ((), self.settle_phones(now))
    }

    /// A message calls the bot: it gets the copy that nobody else gets, with the chat that it is called into.
    pub(super) fn call_bot(&mut self, now: UnixMillis, from: DeviceRef, to: &Jid, stanza: &Stanza) {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        for entry in stanza.child("bot").into_iter().flat_map(|bot| bot.all_named("to")) {
            let device = entry.jid("jid").and_then(|jid| self.device_at(&jid));
            let Some(bot) = device.filter(|device| *device == DeviceRef { pn: PN, device: 0 }) else {
                tracing::warn!(device = %from, to = ?entry.text("jid"), "a call for what is no bot");
                self.ledger.device(from).refused_stanzas += 1;
                continue;
            };
            let copies: Vec<Stanza> = entry.all_named("enc").cloned().collect();
            for enc in &copies {
                let kind = enc.text("type").and_then(|kind| CiphertextKind::parse(&kind));
                if let (Some(kind), Some(bytes)) = (kind, enc.leaf()) {
                    self.ledger.ciphertext((from, bot), &id, kind, bytes, now);
                }
            }
            let place = Builder::new("meta").attr("target_chat_jid", to.to_non_ad()).build();
            let call = Builder::new("message")
                .attr("from", self.account(from.pn).device_jid(from.device, Form::Lid))
                .attr("id", id.clone())
                .attr("t", seconds(now))
                .children(copies.into_iter().chain([place]));
            self.deliver(now, bot, call.build());
        }
    }

    /// The bot has read a message.
    pub(super) fn bot_reads(&mut self, now: UnixMillis, asker: Pn, stanza: &Stanza) {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        let Some(past) = self.account(PN).phone.has(&id) else { return };
        let place = match called_into(stanza) {
            None => Some(Place::Own),
            Some(group) if group.server == Server::Group => Some(Place::Group(group)),
            Some(chat) => self.account_of(&chat).map(|account| Place::Chat(account.pn)),
        };
        let key = match &place {
            Some(Place::Own) => Secret::of(&past.content).and_then(|secret| BotKey::of(&secret)),
            _ => BotKey::given(&past.content),
        };
        let text = match read(&past.content) {
            Ok(Meaning::Said(said)) => Some(said.content),
            _ => None,
        };
        let (Some(place), Some(key), Some(Content::Text(text))) = (place, key, text) else {
            return tracing::warn!(asker, id, "a bot was asked without a secret, or without a text");
        };
        let asked = Asked { asker, place, id, key };
        self.bot_says(now, &asked, &["You said", &format!("You said: {text}")]);
    }

    /// The bot answers, piece by piece, each instead of those before it. Returns the ids of the pieces.
    ///
    /// # Errors
    /// [`PhoneError`] for people that there are not, or a secret that is none; nothing was sent.
    pub fn bot_answers(
        &mut self,
        now: UnixMillis,
        question: &Question,
        pieces: &[&str],
    ) -> Result<(Vec<String>, Vec<Effect>), PhoneError> {
        let Question { asker, chat, id, secret } = question.clone();
        for pn in [asker, chat] {
            if !self.accounts.contains_key(&pn) {
                return Err(PhoneError::UnknownPhone(pn));
            }
        }
        let secret = Secret::bare(secret);
        let key = BotKey::of(&secret).ok_or(PhoneError::UnknownPhone(asker))?;
        let ids = self.bot_says(now, &Asked { asker, place: Place::Chat(chat), id, key }, pieces);
        Ok((ids, self.settle_phones(now)))
    }

    fn bot_says(&mut self, now: UnixMillis, asked: &Asked, pieces: &[&str]) -> Vec<String> {
        let ids: Vec<String> = pieces.iter().map(|_| message_id(&mut self.rng)).collect();
        // Who hears it, and with whom his chat is.
        let hearers: Vec<(Pn, Pn)> = match &asked.place {
            Place::Own => vec![(asked.asker, PN)],
            Place::Chat(other) => vec![(asked.asker, *other), (*other, asked.asker)],
            Place::Group(group) => {
                let members = self.groups.get(&*group.user).map(|group| group.members.keys().copied());
                members.into_iter().flatten().map(|pn| (pn, PN)).collect()
            }
        };
        for (place, (id, text)) in ids.iter().zip(pieces).enumerate() {
            let edit = match place {
                0 if pieces.len() == 1 => "full",
                0 => "first",
                _ if place + 1 < pieces.len() => "inner",
                _ => "last",
            };
            for (pn, other) in &hearers {
                let piece = self.piece(now, asked, *other, (id, &ids[0]), edit, text);
                let receivers: Vec<DeviceRef> = self.companions_of(*pn).collect();
                for receiver in receivers {
                    self.deliver(now, receiver, piece.clone());
                }
            }
        }
        ids
    }

    /// One piece, for those whose chat with `other` it is, or for the group.
    fn piece(
        &mut self,
        now: UnixMillis,
        asked: &Asked,
        other: Pn,
        (id, first): (&str, &str),
        edit: &'static str,
        text: &str,
    ) -> Stanza {
        // Its own chat is addressed by number. (Guess.)
        let form = if matches!(asked.place, Place::Own) { Form::Pn } else { Form::Lid };
        let (bot, asker) = (Jid::new(BOT, Server::Bot), self.account(asked.asker).jid(form));
        let mut iv = [0; 12];
        self.rng.fill_bytes(&mut iv);
        let parties = Parties { id: first, author: &[asker.to_string()], answerer: &[bot.to_string()] };
        let sealed = seal_bot(&e2e::text(text), &asked.key, parties, iv).unwrap_or_default();
        let mut info = Builder::new("bot").attr("edit", edit);
        if matches!(edit, "inner" | "last") {
            info = info
                .attr("edit_target_id", first.to_owned())
                .attr("sender_timestamp_ms", u64::try_from(now.0).unwrap_or_default());
        }
        let mut meta =
            Builder::new("meta").attr("target_id", asked.id.clone()).attr("target_sender_jid", asker);
        let mut message = Builder::new("message");
        match &asked.place {
            Place::Own => message = message.attr("from", bot),
            Place::Chat(_) => {
                message = message.attr("from", bot);
                meta = meta.attr("target_chat_jid", self.account(other).jid(Form::Lid));
            }
            Place::Group(group) => message = message.attr("from", group.clone()).attr("participant", bot),
        }
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msmsg").bytes(sealed);
        message
            .attr("id", id.to_owned())
            .attr("t", seconds(now))
            .attr("type", "text")
            .children([info.build(), meta.build(), enc.build()])
            .build()
    }
}

/// The chat into which a message calls a bot.
pub(super) fn called_into(stanza: &Stanza) -> Option<Jid> {
    stanza.child("meta")?.jid("target_chat_jid")
}
