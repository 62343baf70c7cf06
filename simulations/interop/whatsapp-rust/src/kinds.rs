//! Messages of every kind: sending them, and putting received ones into words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::event::decrypt_event_response_with_secret;
use whatsapp_rust::waproto::whatsapp::message::event_response_message::EventResponseType;
use whatsapp_rust::waproto::whatsapp::message::{
    ButtonsMessage, ContactMessage, ListMessage, LiveLocationMessage, LocationMessage, ProtocolMessage,
    RequestPhoneNumberMessage, buttons_message, list_message, protocol_message,
};
use whatsapp_rust::{EventCreationParams, PinDuration, PollVoteCiphertext};

use crate::{Command, beside, shop};

/// What later messages may be about.
#[derive(Debug, Default)]
pub struct Memory {
    /// What was received, by id.
    heard: Mutex<HashMap<String, InboundMessage>>,
    /// The secrets of our own messages, as far as they are needed, by id.
    secrets: Mutex<HashMap<String, Vec<u8>>>,
}

/// A message in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// One word.
    pub kind: &'static str,
    /// Its text, as far as it has one.
    pub text: String,
    /// Id of the message that it is about.
    pub about: String,
}

impl Memory {
    /// Keeps a received message.
    pub fn hear(&self, message: &InboundMessage) {
        lock(&self.heard).insert(message.info.id.clone(), message.clone());
    }

    fn about(&self, id: &str) -> Option<InboundMessage> {
        lock(&self.heard).get(id).cloned()
    }

    /// Sends a message of the kind that the command names. Returns its id; none where the library tells none.
    ///
    /// # Errors
    /// An unknown kind, a message that was never received, or what the library says.
    pub async fn say(&self, client: &Arc<Client>, to: Jid, command: &Command) -> anyhow::Result<String> {
        let (about, text) = (command.about.as_str(), command.text.as_str());
        let heard = self.about(about);
        let received = || heard.as_ref().with_context(|| format!("{about:?} was not received"));
        let key = wa::MessageKey {
            remote_jid: Some(to.to_string()),
            from_me: Some(heard.is_none()),
            id: Some(about.to_owned()),
            // Of a post, and in a group, it is who has said it.
            participant: heard
                .as_ref()
                .filter(|_| command.to == "status@broadcast" || command.to.ends_with("@g.us"))
                .map(|heard| heard.info.source.sender.to_non_ad().to_string()),
        };
        let message = match command.kind.as_str() {
            "poll" => {
                let options = ["yes".to_owned(), "no".to_owned()];
                let (sent, secret) = client.polls().create(to, text, &options, 1).await?;
                lock(&self.secrets).insert(sent.message_id.clone(), secret);
                return Ok(sent.message_id);
            }
            "open_poll" | "ending_poll" => {
                let secret = Sha256::digest(text).to_vec();
                let sent = client.send_message(to, beside::poll(command, &secret)?).await?;
                lock(&self.secrets).insert(sent.message_id.clone(), secret);
                return Ok(sent.message_id);
            }
            "quiz" => {
                let options = ["yes".to_owned(), "no".to_owned()];
                return Ok(client.polls().create_quiz(to, text, &options, 1).await?.0.message_id);
            }
            "vote" => {
                let poll = received()?;
                let secret = secret_of(poll).with_context(|| format!("{about:?} has no secret"))?;
                let author = poll.info.source.sender.to_non_ad();
                let choice = [text.to_owned()];
                return Ok(client.polls().vote(to, about, &author, &secret, &choice).await?.message_id);
            }
            "poll_option" => {
                let poll = received()?;
                let secret = secret_of(poll).with_context(|| format!("{about:?} has no secret"))?;
                let author = poll.info.source.sender.to_non_ad().to_string();
                let me = client.lid().context("not paired")?.to_non_ad().to_string();
                crate::beside::poll_option(key, (&author, &me), &secret, text)?
            }
            "calendar_event" => {
                let (name, start_time) = (text.to_owned(), Some(1_900_000_000));
                let params = EventCreationParams { name, start_time, ..Default::default() };
                let (sent, secret) = client.events().create(to, params).await?;
                lock(&self.secrets).insert(sent.message_id.clone(), secret);
                return Ok(sent.message_id);
            }
            "event_response" => {
                let event = received()?;
                let secret = secret_of(event).with_context(|| format!("{about:?} has no secret"))?;
                let (author, going) = (event.info.source.sender.to_non_ad(), EventResponseType::GOING);
                return Ok(client
                    .events()
                    .respond(to, about, &author, &secret, going, None)
                    .await?
                    .message_id);
            }
            "reaction" => return Ok(client.send_reaction(to, key, text).await?.message_id),
            "concealed_comment" => return Ok(client.comments().send_text(to, key, text).await?.message_id),
            "edit" => return Ok(client.edit_message(to, about, wa::Message::text(text)).await?),
            "revoke" => {
                client.revoke_message(to, about, crate::groups::revoked_by(heard.as_ref())).await?;
                return Ok(String::new());
            }
            "pin" => {
                match text {
                    "undo" => client.unpin_message(to, key).await?,
                    _ => client.pin_message(to, key, PinDuration::Hours24).await?,
                }
                return Ok(String::new());
            }
            // Every text gets a secret; the test knows this one, for its bot.
            "secret" => {
                let secret = Sha256::digest(text).to_vec();
                let message_secret = Some(secret.clone());
                let info = wa::MessageContextInfo { message_secret, ..Default::default() };
                let message_context_info = MessageField::some(info);
                let message = wa::Message { message_context_info, ..wa::Message::text(text) };
                let sent = client.send_message(to, message).await?;
                lock(&self.secrets).insert(sent.message_id.clone(), secret);
                return Ok(sent.message_id);
            }
            "encrypted_edit" => {
                let secret = lock(&self.secrets).get(about).cloned();
                let secret = secret.with_context(|| format!("{about:?} has no secret"))?;
                return Ok(client
                    .edit_message_encrypted(to, about, &secret, wa::Message::text(text))
                    .await?);
            }
            kind => match beside::message(command, heard.as_ref(), &key)? {
                Some(message) => message,
                None => match shop::message(command, client.pn().as_ref()) {
                    Some(message) => message,
                    None => content(kind, text)?,
                },
            },
        };
        Ok(client.send_message(to, message).await?.message_id)
    }

    /// What a received message is in one word, its text, and which message it is about; none for a plain text,
    /// which has an event of its own.
    pub async fn describe(&self, client: &Client, inbound: &InboundMessage) -> Option<Words> {
        if let Some(post) = &inbound.info.comment_target {
            let text = inbound.message.text_content().unwrap_or_default().to_owned();
            return Some(Words { kind: "concealed_comment", text, about: id(Some(post)) });
        }
        let message = inbound.message.get_base_message();
        if let Some(vote) = message.poll_update_message.as_option() {
            let about = id(vote.poll_creation_message_key.as_option());
            let text = self.open_vote(client, inbound, vote, &about).await;
            return Some(Words { kind: "vote", text, about });
        }
        if let Some(answer) = message.enc_event_response_message.as_option() {
            let about = id(answer.event_creation_message_key.as_option());
            let text = self.open_answer(client, inbound, answer, &about);
            return Some(Words { kind: "event_response", text, about });
        }
        describe(message)
    }

    /// What somebody has answered to an event of ours.
    fn open_answer(
        &self,
        client: &Client,
        inbound: &InboundMessage,
        answer: &wa::message::EncEventResponseMessage,
        event: &str,
    ) -> String {
        let secret = lock(&self.secrets).get(event).cloned();
        let (Some(secret), Some(me)) = (secret, client.lid()) else {
            return "to an event of somebody else".to_owned();
        };
        let payload = answer.enc_payload.as_deref().unwrap_or_default();
        let iv = answer.enc_iv.as_deref().unwrap_or_default();
        let me = me.to_non_ad().to_string();
        let sender = inbound.info.source.sender.to_non_ad().to_string();
        match decrypt_event_response_with_secret(payload, iv, &secret, event, &me, &sender) {
            Ok(opened) if opened.response == Some(EventResponseType::GOING) => "going".to_owned(),
            Ok(opened) => format!("{:?}", opened.response),
            Err(error) => format!("unreadable: {error:#}"),
        }
    }

    /// The SHA-256 of each option that was voted for.
    async fn open_vote(
        &self,
        client: &Client,
        inbound: &InboundMessage,
        vote: &wa::message::PollUpdateMessage,
        poll: &str,
    ) -> String {
        let secret = lock(&self.secrets).get(poll).cloned();
        let (Some(secret), Some(sealed), Some(me)) = (secret, vote.vote.as_option(), client.lid()) else {
            return "in a poll of somebody else".to_owned();
        };
        let ciphertext = PollVoteCiphertext {
            enc_payload: sealed.enc_payload.as_deref().unwrap_or_default(),
            enc_iv: sealed.enc_iv.as_deref().unwrap_or_default(),
        };
        let voter = &inbound.info.source.sender;
        match client.polls().decrypt_vote(ciphertext, &secret, poll, &me, voter).await {
            Ok(options) => options.iter().map(|hash| hex(hash)).collect::<Vec<_>>().join(" "),
            Err(error) => format!("unreadable: {error:#}"),
        }
    }
}

/// What votes and answers to this message are encrypted under.
fn secret_of(message: &InboundMessage) -> Option<Vec<u8>> {
    message.message.message_context_info.as_option()?.message_secret.clone()
}

/// Kinds that the library has no function for: their content as it travels.
fn content(kind: &str, text: &str) -> anyhow::Result<wa::Message> {
    let mut message = wa::Message::default();
    let said = Some(text.to_owned());
    let (degrees_latitude, degrees_longitude) = (Some(52.5), Some(13.5));
    match kind {
        "location" => {
            let name = said;
            message.location_message = MessageField::some(LocationMessage {
                degrees_latitude,
                degrees_longitude,
                name,
                ..Default::default()
            });
        }
        "live_location" => {
            let caption = said;
            message.live_location_message = MessageField::some(LiveLocationMessage {
                degrees_latitude,
                degrees_longitude,
                caption,
                ..Default::default()
            });
        }
        "contact" => {
            let vcard = Some(format!("BEGIN:VCARD\nVERSION:3.0\nFN:{text}\nEND:VCARD"));
            let contact = ContactMessage { display_name: said, vcard, ..Default::default() };
            message.contact_message = MessageField::some(contact);
        }
        "list" => {
            let (title, row_id) = (Some("one".to_owned()), Some(format!("row: {text}")));
            let row = list_message::Row { title, row_id, ..Default::default() };
            message.list_message = MessageField::some(ListMessage {
                description: said,
                button_text: Some("open".to_owned()),
                list_type: Some(list_message::ListType::SingleSelect),
                sections: vec![list_message::Section { title: Some("all".to_owned()), rows: vec![row] }],
                ..Default::default()
            });
        }
        "buttons" => {
            let display_text = Some("one".to_owned());
            let label = buttons_message::button::ButtonText { display_text };
            let button = buttons_message::Button {
                button_id: Some(format!("button: {text}")),
                button_text: MessageField::some(label),
                r#type: Some(buttons_message::button::Type::Response),
                ..Default::default()
            };
            message.buttons_message = MessageField::some(ButtonsMessage {
                content_text: said,
                header_type: Some(buttons_message::HeaderType::Empty),
                buttons: vec![button],
                ..Default::default()
            });
        }
        "share_phone_number" => {
            let r#type = Some(protocol_message::Type::SHARE_PHONE_NUMBER);
            message.protocol_message = MessageField::some(ProtocolMessage { r#type, ..Default::default() });
        }
        "request_phone_number" => {
            message.request_phone_number_message = MessageField::some(RequestPhoneNumberMessage::default());
        }
        "limit_sharing" => {
            let (sharing_limited, initiated_by_me) = (Some(text == "on"), Some(true));
            let limit = wa::LimitSharing { sharing_limited, initiated_by_me, ..Default::default() };
            message.protocol_message = MessageField::some(ProtocolMessage {
                r#type: Some(protocol_message::Type::LIMIT_SHARING),
                limit_sharing: MessageField::some(limit),
                ..Default::default()
            });
        }
        unknown => bail!("unknown kind {unknown:?}"),
    }
    Ok(message)
}

fn describe(message: &wa::Message) -> Option<Words> {
    let say = |kind, text: &Option<String>, about: Option<&wa::MessageKey>| {
        Some(Words { kind, text: text.clone().unwrap_or_default(), about: id(about) })
    };
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
    ];
    if let Some(poll) = polls.into_iter().find_map(|poll| poll.as_option()) {
        let options = poll.options.iter().filter_map(|option| option.option_name.as_deref());
        let options: Vec<&str> = options.collect();
        let question = poll.name.as_deref().unwrap_or_default();
        let words = format!("{question}: {}", options.join(", "));
        if poll.poll_type != Some(wa::message::PollType::QUIZ) {
            return say("poll", &Some(words), None);
        }
        let right = poll.correct_answer.as_option().and_then(|right| right.option_name.as_deref());
        return say("quiz", &Some(format!("{words}; {}", right.unwrap_or_default())), None);
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        return say("reaction", &reaction.text, reaction.key.as_option());
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        let key = protocol.key.as_option();
        if let Some(edited) = protocol.edited_message.as_option() {
            let words = edited.text_content().or(edited.get_caption());
            return say("edit", &words.map(str::to_owned), key);
        }
        if let Some(member) = protocol.member_label.as_option() {
            return say("member_label", &member.label, None);
        }
        return match protocol.r#type? {
            protocol_message::Type::REVOKE => say("revoke", &None, key),
            protocol_message::Type::SHARE_PHONE_NUMBER => say("share_phone_number", &None, None),
            protocol_message::Type::LIMIT_SHARING => {
                let limited = protocol.limit_sharing.sharing_limited == Some(true);
                say("limit_sharing", &Some(if limited { "on" } else { "off" }.to_owned()), None)
            }
            protocol_message::Type::EPHEMERAL_SETTING => {
                say("timer", &Some(protocol.ephemeral_expiration.unwrap_or_default().to_string()), None)
            }
            _ => None,
        };
    }
    if message.request_phone_number_message.is_set() {
        return say("request_phone_number", &None, None);
    }
    if let Some(location) = message.location_message.as_option() {
        return say("location", &location.name, None);
    }
    if let Some(location) = message.live_location_message.as_option() {
        return say("live_location", &location.caption, None);
    }
    if let Some(contact) = message.contact_message.as_option() {
        return say("contact", &contact.display_name, None);
    }
    if let Some(event) = message.event_message.as_option() {
        return say("calendar_event", &event.name, None);
    }
    if let Some(words) = shop::describe(message) {
        return Some(words);
    }
    if let Some(list) = message.list_message.as_option() {
        return say("list", &list.description, None);
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        return say("buttons", &buttons.content_text, None);
    }
    if let Some(pin) = message.pin_in_chat_message.as_option() {
        let undone = pin.r#type == Some(wa::message::pin_in_chat_message::Type::UnpinForAll);
        return say("pin", &undone.then(|| "undo".to_owned()), pin.key.as_option());
    }
    beside::describe(message)
}

/// Of the message that a key names.
pub fn id(key: Option<&wa::MessageKey>) -> String {
    key.and_then(|key| key.id.clone()).unwrap_or_default()
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
