//! A bot of WhatsApp: it answers to a message in a chat of two, to the companions of both.
//!
//! The form of an answer is what whatsmeow and whatsapp-rust read. How a bot is asked is not simulated: who calls it
//! says which message it answers, and knows its secret. That both sides hear it, each with the other as the chat, is a
//! guess.

use rand::Rng as _;
use roost_proto::content::{Parties, Secret, seal_bot};
use roost_proto::e2e;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Server, Stanza, message_id};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{Effect, Machine};
use super::phones::PhoneError;

/// The bot: the user of Meta AI.
const BOT: &str = "867051314767696";

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
        Ok((ids, self.settle_phones(now)))
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
        let (bot, asker) = (Jid::new(BOT, Server::Bot), self.account(question.asker).jid(Form::Lid));
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
        let meta = Builder::new("meta")
            .attr("target_id", question.id.clone())
            .attr("target_sender_jid", asker)
            .attr("target_chat_jid", self.account(other).jid(Form::Lid));
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
