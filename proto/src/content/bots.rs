//! WhatsApp's bots (Meta AI): a text that calls one into a chat, and what they answer: encrypted once more, under the
//! secret of the message that asked.
//!
//! Rules: what whatsmeow and whatsapp-rust agree on: a key of the secret for bots alone, and under that the same as
//! for votes, with the id of the answer, who asked and the bot; no word for the use, no padding. How a bot is called
//! is whatsmeow's way: all get the text in an envelope, and the bot gets, beside it, the key instead of the secret.

use hkdf::Hkdf;
use sha2::Sha256;
use waproto::buffa::Message as _;
use waproto::whatsapp::message::FutureProofMessage;
use waproto::whatsapp::{BotMetadata, Message, MessageContextInfo, MessageSecretMessage};

use super::meaning::{Meaning, Sealed, read};
use super::sealed::{Parties, Secret, encrypt, open};
use super::{MessageContent, Surroundings};
use crate::api;
use crate::api::bot_answered::Content as Said;
use crate::stanza::{Jid, Server};

const BOT: &str = "Bot Message";
/// There is none.
const USE: &str = "";
/// How whatsmeow wants bots to answer, whichever is asked.
const PERSONA: &str = "867051314767696$760019659443059";

/// What a bot is given of the secret of a message that asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotKey(Secret);

impl BotKey {
    /// Of the message with this secret; `None` for a secret that is none.
    pub fn of(secret: &Secret) -> Option<BotKey> {
        let mut key = vec![0; 32];
        Hkdf::<Sha256>::new(None, &secret.key).expand(BOT.as_bytes(), &mut key).ok()?;
        Some(BotKey(Secret { key, ..secret.clone() }))
    }

    /// As it stands in the copy that the bot gets of a message that calls it.
    pub fn given(copy: &[u8]) -> Option<BotKey> {
        let copy = Message::decode_from_slice(copy).ok()?;
        let key = copy.message_context_info.bot_message_secret.clone().filter(|key| key.len() == 32)?;
        Some(BotKey(Secret::bare(key)))
    }
}

/// What a bot says in the content of `<enc type="msmsg">`. The parties are who asked (author), the bot (answerer) and
/// the id of the answer's first piece. `None` when it cannot be opened.
pub fn open_bot(bytes: &[u8], secret: &Secret, parties: Parties<'_>) -> Option<Said> {
    let outer = MessageSecretMessage::decode_from_slice(bytes).ok()?;
    let sealed = Sealed { payload: outer.enc_payload?, iv: outer.enc_iv? };
    let opened = open(&sealed, &BotKey::of(secret)?.0, parties, USE)?;
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

/// The content of `<enc type="msmsg">` for an encoded message of a bot. `iv` must be random. `None` without one author
/// and one answerer.
pub fn seal_bot(message: &[u8], key: &BotKey, parties: Parties<'_>, iv: [u8; 12]) -> Option<Vec<u8>> {
    let (author, bot) = (parties.author.first()?, parties.answerer.first()?);
    let payload = encrypt(message, &key.0, (parties.id, author, bot, USE), iv)?;
    let sealed =
        MessageSecretMessage { enc_iv: Some(iv.to_vec()), enc_payload: Some(payload), ..Default::default() };
    Some(sealed.encode_to_vec())
}

/// The bot that is called into a chat: the one that a text there mentions.
pub(super) fn called(content: &MessageContent, around: &Surroundings) -> Option<Jid> {
    let is_text = matches!(content.kind, api::send_message_request::Content::Text(_));
    let among_people = matches!(around.chat.server, Server::Pn | Server::Lid | Server::Group);
    mentioned(&content.context.mentions).filter(|_| is_text && among_people)
}

fn mentioned(mentions: &[String]) -> Option<Jid> {
    mentions.iter().find_map(|jid| bot(jid))
}

/// `{digits}@bot`.
pub(super) fn bot(text: &str) -> Option<Jid> {
    let jid = text.parse::<Jid>().ok()?;
    let digits = !jid.user.is_empty() && jid.user.bytes().all(|byte| byte.is_ascii_digit());
    (jid.server == Server::Bot && digits && text.len() < 64).then(|| jid.to_non_ad())
}

/// What is said to bots beside a message for them.
pub(super) fn for_bots() -> BotMetadata {
    BotMetadata { persona_id: Some(PERSONA.to_owned()), ..Default::default() }
}

/// The envelope in which a text goes that calls a bot, with what goes beside it; any other message as it is.
pub(super) fn calling(mut text: Message, content: &MessageContent, around: &Surroundings) -> Message {
    if called(content, around).is_none() {
        return text;
    }
    let beside = std::mem::take(&mut text.message_context_info);
    text.message_context_info =
        MessageContextInfo { bot_metadata: beside.bot_metadata.clone(), ..Default::default() }.into();
    let bot_invoke_message = FutureProofMessage { message: text.into() }.into();
    Message { bot_invoke_message, message_context_info: beside, ..Default::default() }
}

/// The bot that a message calls, as it was encoded, and the encoded copy for it. `None` for a message that calls none.
pub fn for_bot(message: &[u8]) -> Option<(Jid, Vec<u8>)> {
    let message = Message::decode_from_slice(message).ok()?;
    let text = message.bot_invoke_message.as_option()?.message.as_option()?;
    let bot = mentioned(&text.extended_text_message.context_info.mentioned_jid)?;
    let beside = &message.message_context_info;
    let key = beside.message_secret.clone().filter(|secret| secret.len() == 32)?;
    let BotKey(key) = BotKey::of(&Secret::bare(key))?;
    let copy = Message {
        message_context_info: MessageContextInfo {
            bot_metadata: beside.bot_metadata.clone(),
            bot_message_secret: Some(key.key),
            ..Default::default()
        }
        .into(),
        bot_invoke_message: message.bot_invoke_message.clone(),
        ..Default::default()
    };
    Some((bot, copy.encode_to_vec()))
}
