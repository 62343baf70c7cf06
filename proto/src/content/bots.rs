//! What WhatsApp's bots (Meta AI) answer: encrypted once more, under the secret of the message that asked.
//!
//! Rules: what whatsmeow and whatsapp-rust agree on: a key of the secret for bots alone, and under that the same as
//! for votes, with the id of the answer, who asked and the bot; no word for the use, no padding.

use hkdf::Hkdf;
use sha2::Sha256;
use waproto::buffa::Message as _;
use waproto::whatsapp::MessageSecretMessage;

use super::meaning::{Meaning, Sealed, read};
use super::sealed::{Parties, Secret, encrypt, open};
use crate::api;
use crate::api::bot_answered::Content as Said;

const BOT: &str = "Bot Message";
/// There is none.
const USE: &str = "";

/// What a bot is given of the secret of a message that asks it.
fn for_bots(secret: &Secret) -> Option<Secret> {
    let mut key = vec![0; 32];
    Hkdf::<Sha256>::new(None, &secret.key).expand(BOT.as_bytes(), &mut key).ok()?;
    Some(Secret { key, ..secret.clone() })
}

/// What a bot says in the content of `<enc type="msmsg">`. The parties are who asked (author), the bot (answerer) and
/// the id of the answer's first piece. `None` when it cannot be opened.
pub fn open_bot(bytes: &[u8], secret: &Secret, parties: Parties<'_>) -> Option<Said> {
    let outer = MessageSecretMessage::decode_from_slice(bytes).ok()?;
    let sealed = Sealed { payload: outer.enc_payload?, iv: outer.enc_iv? };
    let opened = open(&sealed, &for_bots(secret)?, parties, USE)?;
    Some(match read(&opened).ok()? {
        Meaning::Said(said) => match said.content {
            api::message_received::Content::Text(text) => Said::Text(text),
            _ => Said::Raw(opened),
        },
        // A later piece may come as an edit of the first.
        Meaning::Edited { content: api::message_edited::Content::Text(text), .. } => Said::Text(text),
        _ => Said::Raw(opened),
    })
}

/// The content of `<enc type="msmsg">` for an encoded message of a bot. `iv` must be random. `None` for a secret that
/// is none, or without one author and one answerer.
pub fn seal_bot(message: &[u8], secret: &Secret, parties: Parties<'_>, iv: [u8; 12]) -> Option<Vec<u8>> {
    let (author, bot) = (parties.author.first()?, parties.answerer.first()?);
    let payload = encrypt(message, &for_bots(secret)?, (parties.id, author, bot, USE), iv)?;
    let sealed =
        MessageSecretMessage { enc_iv: Some(iv.to_vec()), enc_payload: Some(payload), ..Default::default() };
    Some(sealed.encode_to_vec())
}
