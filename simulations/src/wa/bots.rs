//! A bot of WhatsApp: Meta AI, an account that nobody owns. Who writes to it is told what he has written, in two pieces;
//! in a chat of others it answers to what its caller says, under the secret that he knows.
//!
//! The form of an answer is what whatsmeow and whatsapp-rust read. Guesses: that a bot is found like an account with
//! one device, under its JID; that it receives the secret of the message itself; and that in a chat of two both sides
//! hear it, each with the other as the chat. That others call it into a chat is not simulated.

use rand::Rng as _;
use roost_proto::content::{Parties, Secret, seal_bot};
use roost_proto::e2e::{self, Content};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Server, Stanza, message_id};

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

impl Machine {
    /// The bot is there from now on.
    pub fn with_bot(&mut self, now: UnixMillis) -> ((), Vec<Effect>) {
        self.find_or_create(now, Some(PN), Some("Meta AI"));
        ((), self.settle_phones(now))
    }

    /// Somebody has written to it.
    pub(super) fn bot_reads(&mut self, now: UnixMillis, asker: Pn, id: &str) {
        let Some(past) = self.account(PN).phone.has(id) else { return };
        let (Some(secret), Ok(Content::Text(text))) =
            (Secret::of(&past.content), e2e::content(&past.content))
        else {
            return tracing::warn!(asker, id, "a bot was asked without a secret, or without a text");
        };
        let question = Question { asker, chat: PN, id: id.to_owned(), secret: secret.key };
        self.bot_says(now, &question, &["You said", &format!("You said: {text}")]);
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
        for pn in [question.asker, question.chat] {
            if !self.accounts.contains_key(&pn) {
                return Err(PhoneError::UnknownPhone(pn));
            }
        }
        let ids = self.bot_says(now, question, pieces);
        Ok((ids, self.settle_phones(now)))
    }

    fn bot_says(&mut self, now: UnixMillis, question: &Question, pieces: &[&str]) -> Vec<String> {
        let ids: Vec<String> = pieces.iter().map(|_| message_id(&mut self.rng)).collect();
        for (place, (id, text)) in ids.iter().zip(pieces).enumerate() {
            let edit = match place {
                0 if pieces.len() == 1 => "full",
                0 => "first",
                _ if place + 1 < pieces.len() => "inner",
                _ => "last",
            };
            for (pn, other) in [(question.asker, question.chat), (question.chat, question.asker)] {
                let piece = self.piece(now, question, other, (id, &ids[0]), edit, text);
                let receivers: Vec<DeviceRef> = self.companions_of(pn).collect();
                for receiver in receivers {
                    self.deliver(now, receiver, piece.clone());
                }
            }
        }
        ids
    }

    /// One piece, for those whose chat with `other` it is.
    fn piece(
        &mut self,
        now: UnixMillis,
        question: &Question,
        other: Pn,
        (id, first): (&str, &str),
        edit: &'static str,
        text: &str,
    ) -> Stanza {
        // Its own chat is addressed by number. (Guess.)
        let form = if question.chat == PN { Form::Pn } else { Form::Lid };
        let (bot, asker) = (Jid::new(BOT, Server::Bot), self.account(question.asker).jid(form));
        let secret = Secret { key: question.secret.clone(), options: Vec::new(), lasting: false };
        let mut iv = [0; 12];
        self.rng.fill_bytes(&mut iv);
        let parties = Parties { id: first, author: &[asker.to_string()], answerer: &[bot.to_string()] };
        let sealed = seal_bot(&e2e::text(text), &secret, parties, iv).unwrap_or_default();
        let mut info = Builder::new("bot").attr("edit", edit);
        if matches!(edit, "inner" | "last") {
            info = info
                .attr("edit_target_id", first.to_owned())
                .attr("sender_timestamp_ms", u64::try_from(now.0).unwrap_or_default());
        }
        let mut meta =
            Builder::new("meta").attr("target_id", question.id.clone()).attr("target_sender_jid", asker);
        if question.chat != PN {
            meta = meta.attr("target_chat_jid", self.account(other).jid(Form::Lid));
        }
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msmsg").bytes(sealed);
        Builder::new("message")
            .attr("from", bot)
            .attr("id", id.to_owned())
            .attr("t", seconds(now))
            .attr("type", "text")
            .children([info.build(), meta.build(), enc.build()])
            .build()
    }
}
