//! What a caller may ask to send, kind by kind, and the words for what it may not.

mod pictured;
mod sold;

use std::collections::BTreeSet;

pub(crate) use pictured::is_sendable;

use super::{MessageContent, bots, polls, quotes, texts};
use crate::api;
use crate::api::send_message_request::Content;
use crate::e2e;
use crate::stanza::{Jid, Server};

/// Longest text, in bytes of UTF-8.
pub const MAX_TEXT: usize = 65_536;
/// Longest raw message, in bytes.
pub const MAX_RAW: usize = 1 << 20;
/// Longest name, title or id.
pub(super) const MAX_NAME: usize = 1_024;
/// Longest vCard, and longest thumbnail.
const MAX_BLOB: usize = 65_536;
const MAX_MENTIONS: usize = 1_024;
const MAX_CONTACTS: usize = 256;
/// Longest label of a member, in characters; as Baileys cuts it.
const MAX_LABEL: usize = 30;
/// Pictures and films of one album.
const MAX_ALBUM: usize = 100;
/// Stickers of one pack.
const MAX_STICKERS: usize = 60;
/// A year.
const MAX_SPAN_S: i64 = 31_536_000;

/// A field that cannot be sent, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Invalid {
    /// Path of the field in the request.
    pub field: String,
    /// The rule, as the end of a sentence.
    pub why: String,
}

type Checked = Result<(), Invalid>;

fn invalid(field: impl Into<String>, why: impl Into<String>) -> Checked {
    Err(Invalid { field: field.into(), why: why.into() })
}

fn length(field: impl Into<String>, text: &str, least: usize, most: usize) -> Checked {
    if (least..=most).contains(&text.len()) {
        return Ok(());
    }
    invalid(field, format!("must be {least} to {most} bytes long, not {}", text.len()))
}

fn count(field: &str, count: usize, least: usize, most: usize) -> Checked {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    invalid(field, format!("must have {least} to {most} entries, not {count}"))
}

/// Whether a message can be sent; the error names the first field that is in the way.
///
/// # Errors
/// [`Invalid`] with the path of the field below `SendMessageRequest`.
pub fn check(content: &MessageContent) -> Checked {
    kind(&content.kind)?;
    if let Content::Poll(poll) = &content.kind {
        only_told(poll)?;
    }
    mentions(content)?;
    context(&content.context)
}

fn file(kind: &str, media: Option<&api::Media>, caption: &str) -> Checked {
    if media.is_none_or(|media| media.name.is_empty()) {
        return invalid(format!("{kind}.media.name"), "is required: upload the file first");
    }
    length(format!("{kind}.caption"), caption, 0, MAX_TEXT)
}

fn kind(kind: &Content) -> Checked {
    match kind {
        Content::Text(text) => length("text", text, 1, MAX_TEXT),
        Content::Location(at) => place("location", at),
        Content::LiveLocation(at) => {
            degrees("live_location", at.latitude, at.longitude)?;
            length("live_location.caption", &at.caption, 0, MAX_TEXT)?;
            thumbnail("live_location.thumbnail", &at.thumbnail)?;
            at.offset.map_or(Ok(()), |offset| span("live_location.offset", &offset, 0))
        }
        Content::Contacts(contacts) => {
            count("contacts.contacts", contacts.contacts.len(), 1, MAX_CONTACTS)?;
            for (at, contact) in contacts.contacts.iter().enumerate() {
                length(format!("contacts.contacts[{at}].display_name"), &contact.display_name, 1, MAX_NAME)?;
                length(format!("contacts.contacts[{at}].vcard"), &contact.vcard, 1, MAX_BLOB)?;
            }
            Ok(())
        }
        Content::Poll(poll) => a_poll(poll),
        Content::PollVote(vote) => {
            message("poll_vote.poll", vote.poll.as_ref())?;
            count("poll_vote.options", vote.options.len(), 0, 12)
        }
        Content::PollOption(added) => {
            message("poll_option.poll", added.poll.as_ref())?;
            length("poll_option.option", &added.option, 1, MAX_NAME)
        }
        Content::Comment(comment) => {
            message("comment.message", comment.message.as_ref())?;
            length("comment.text", &comment.text, 1, MAX_TEXT)
        }
        Content::CalendarEvent(event) => {
            length("calendar_event.name", &event.name, 1, MAX_NAME)?;
            length("calendar_event.description", &event.description, 0, MAX_TEXT)?;
            if event.start_time.is_none() {
                return invalid("calendar_event.start_time", "is required");
            }
            event.reminder.map_or(Ok(()), |before| span("calendar_event.reminder", &before, 0))?;
            event.location.as_ref().map_or(Ok(()), |at| place("calendar_event.location", at))
        }
        Content::EventResponse(response) => {
            message("event_response.event", response.event.as_ref())?;
            match response.answer() {
                api::event_response::Answer::Unspecified => {
                    invalid("event_response.answer", "must be GOING, NOT_GOING or MAYBE")
                }
                _ => Ok(()),
            }
        }
        Content::List(list) => sold::list(list),
        Content::ListAnswer(answer) => length("list_answer.row_id", &answer.row_id, 1, MAX_NAME),
        Content::Buttons(buttons) => {
            length("buttons.text", &buttons.text, 1, MAX_TEXT)?;
            length("buttons.header", &buttons.header, 0, MAX_NAME)?;
            count("buttons.buttons", buttons.buttons.len(), 1, 3)?;
            for (at, button) in buttons.buttons.iter().enumerate() {
                length(format!("buttons.buttons[{at}].id"), &button.id, 1, MAX_NAME)?;
                length(format!("buttons.buttons[{at}].text"), &button.text, 1, MAX_NAME)?;
            }
            Ok(())
        }
        Content::ButtonAnswer(answer) => length("button_answer.id", &answer.id, 1, MAX_NAME),
        Content::Product(product) => sold::product(product),
        Content::Order(order) => sold::order(order),
        Content::GroupInvite(invite) => {
            match invite.group.parse::<Jid>() {
                Ok(group) if group.server == Server::Group => {}
                _ => return invalid("group_invite.group", "must be the JID of a group"),
            }
            thumbnail("group_invite.thumbnail", &invite.thumbnail)?;
            length("group_invite.code", &invite.code, 1, MAX_NAME)
        }
        Content::Reaction(reaction) => {
            message("reaction.message", reaction.message.as_ref())?;
            length("reaction.emoji", &reaction.emoji, 0, 64)
        }
        Content::Edit(edit) => {
            length("edit.whatsapp_id", &edit.whatsapp_id, 1, MAX_NAME)?;
            length("edit.text", &edit.text, 1, MAX_TEXT)
        }
        Content::Revoke(revoke) => message("revoke.message", revoke.message.as_ref()),
        Content::Pin(pin) => {
            message("pin.message", pin.message.as_ref())?;
            pin.duration.map_or(Ok(()), |duration| span("pin.duration", &duration, 1))
        }
        Content::Keep(keep) => message("keep.message", keep.message.as_ref()),
        Content::DisappearingTimer(timer) => {
            timer.duration.map_or(Ok(()), |duration| span("disappearing_timer.duration", &duration, 1))
        }
        Content::MemberLabel(member) if member.label.chars().count() > MAX_LABEL => {
            invalid("member_label.label", format!("must be at most {MAX_LABEL} characters long"))
        }
        Content::MemberLabel(_) => Ok(()),
        Content::SharePhoneNumber(_) | Content::RequestPhoneNumber(_) | Content::LimitSharing(_) => Ok(()),
        Content::Image(image) => pictured::image(image),
        Content::Video(video) => pictured::video(video),
        Content::Audio(audio) => file("audio", audio.media.as_ref(), ""),
        Content::Document(document) => {
            length("document.file_name", &document.file_name, 0, MAX_NAME)?;
            file("document", document.media.as_ref(), &document.caption)
        }
        Content::Sticker(sticker) => file("sticker", sticker.media.as_ref(), ""),
        Content::StickerPack(pack) => {
            length("sticker_pack.pack_id", &pack.pack_id, 1, 128)?;
            length("sticker_pack.name", &pack.name, 1, MAX_NAME)?;
            length("sticker_pack.publisher", &pack.publisher, 1, MAX_NAME)?;
            length("sticker_pack.description", &pack.description, 0, MAX_TEXT)?;
            count("sticker_pack.stickers", pack.stickers.len(), 1, MAX_STICKERS)?;
            for (at, sticker) in pack.stickers.iter().enumerate() {
                let field = format!("sticker_pack.stickers[{at}]");
                length(format!("{field}.file_name"), &sticker.file_name, 1, MAX_NAME)?;
                count(&format!("{field}.emojis"), sticker.emojis.len(), 0, 16)?;
                length(format!("{field}.description"), &sticker.description, 0, MAX_NAME)?;
            }
            file("sticker_pack", pack.media.as_ref(), &pack.caption)
        }
        Content::Album(album) => {
            let many = album.images.saturating_add(album.videos);
            count("album", usize::try_from(many).unwrap_or(usize::MAX), 2, MAX_ALBUM)
        }
        Content::Raw(raw) => {
            if raw.is_empty() || raw.len() > MAX_RAW {
                return invalid("raw", format!("must be 1 to {MAX_RAW} bytes long, not {}", raw.len()));
            }
            match e2e::content(raw) {
                Ok(_) => Ok(()),
                Err(_) => invalid("raw", "must be an encoded WhatsApp Message"),
            }
        }
    }
}

fn a_poll(poll: &api::Poll) -> Checked {
    length("poll.question", &poll.question, 1, MAX_NAME)?;
    count("poll.options", poll.options.len(), 2, 12)?;
    for (at, option) in poll.options.iter().enumerate() {
        length(format!("poll.options[{at}]"), option, 1, MAX_NAME)?;
    }
    if poll.options.iter().collect::<BTreeSet<_>>().len() < poll.options.len() {
        return invalid("poll.options", "must all be different");
    }
    if !poll.added_options.is_empty() {
        return invalid("poll.added_options", "must be empty: it is only told");
    }
    if !poll.end_time.as_ref().is_none_or(polls::is_end) {
        return invalid("poll.end_time", "must be a time of the years 1974 to 9999");
    }
    if !poll.correct_option.is_empty() {
        if !poll.options.contains(&poll.correct_option) {
            return invalid("poll.correct_option", "must be one of the options");
        }
        if poll.selectable != 1 {
            return invalid("poll.selectable", "must be 1 in a quiz");
        }
    }
    match usize::try_from(poll.selectable) {
        Ok(selectable) if selectable <= poll.options.len() => Ok(()),
        _ => invalid("poll.selectable", "must not be more than the options"),
    }
}

/// What a poll that came may say, and be quoted with, and one that is sent may not.
fn only_told(poll: &api::Poll) -> Checked {
    for (field, said) in [("poll.answer_withheld", poll.answer_withheld), ("poll.pictured", poll.pictured)] {
        if said {
            return invalid(field, "must be false: it is only told");
        }
    }
    Ok(())
}

/// People, and one bot, which hears what it is asked when that is a text.
fn mentions(content: &MessageContent) -> Checked {
    let mentions = &content.context.mentions;
    count("context.mentions", mentions.len(), 0, MAX_MENTIONS)?;
    let mut bots = 0;
    for (at, mention) in mentions.iter().enumerate() {
        let field = format!("context.mentions[{at}]");
        if bots::bot(mention).is_none() {
            jid(&field, mention)?;
            continue;
        }
        bots += 1;
        if !matches!(content.kind, Content::Text(_)) {
            return invalid(field, "is a bot, which only a text can call");
        }
        if bots > 1 {
            return invalid(field, "is a second bot; one message calls one");
        }
    }
    Ok(())
}

fn context(context: &api::Context) -> Checked {
    if let Some(quote) = &context.quote {
        message("context.quote.message", quote.message.as_ref())?;
        length("context.quote.text", &quote.text, 0, MAX_TEXT)?;
        a_quote(quote)?;
    }
    if let Some(preview) = &context.link_preview {
        length("context.link_preview.url", &preview.url, 1, MAX_NAME * 2)?;
        length("context.link_preview.title", &preview.title, 1, MAX_NAME)?;
        length("context.link_preview.description", &preview.description, 0, MAX_TEXT)?;
        thumbnail("context.link_preview.thumbnail", &preview.thumbnail)?;
    }
    if context.text_style.is_some_and(|style| texts::font(style.font).is_none()) {
        return invalid("context.text_style.font", "must be 0, 1, 2, or 6 to 10");
    }
    if context.forwarding_score < 0 {
        return invalid("context.forwarding_score", "must not be negative");
    }
    context.expires_after.map_or(Ok(()), |after| span("context.expires_after", &after, 1))
}

/// What is quoted can be sent itself, and where many speak its sender is named.
fn a_quote(quote: &api::Quote) -> Checked {
    if let Some(quoted) = quote.content.clone() {
        let below =
            |invalid: Invalid| Invalid { field: format!("context.quote.{}", invalid.field), ..invalid };
        kind(&quotes::quoted_kind(quoted)).map_err(below)?;
    }
    let among_many = match quote.chat.parse::<Jid>() {
        _ if quote.chat.is_empty() => return Ok(()),
        Ok(jid) if quote.chat.len() < 64 && (jid.is_pn() || jid.is_lid()) => false,
        Ok(jid) if quote.chat.len() < 64 && jid.server == Server::Group => true,
        _ if quote.chat == "status@broadcast" => true,
        _ => {
            return invalid(
                "context.quote.chat",
                "must be the JID of a person or a group, or status@broadcast",
            );
        }
    };
    let unnamed = quote.message.as_ref().is_some_and(|said| !said.from_me && said.sender.is_empty());
    match among_many && unnamed {
        true => invalid("context.quote.message.sender", "is required: who said it there"),
        false => Ok(()),
    }
}

fn place(field: &str, at: &api::Location) -> Checked {
    degrees(field, at.latitude, at.longitude)?;
    length(format!("{field}.name"), &at.name, 0, MAX_NAME)?;
    length(format!("{field}.address"), &at.address, 0, MAX_NAME)?;
    length(format!("{field}.comment"), &at.comment, 0, MAX_TEXT)?;
    thumbnail(&format!("{field}.thumbnail"), &at.thumbnail)?;
    length(format!("{field}.url"), &at.url, 0, MAX_NAME * 2)
}

fn thumbnail(field: &str, jpeg: &[u8]) -> Checked {
    if jpeg.len() > MAX_BLOB {
        return invalid(field, format!("must be at most {MAX_BLOB} bytes"));
    }
    Ok(())
}

fn degrees(field: &str, latitude: f64, longitude: f64) -> Checked {
    if !(-90.0..=90.0).contains(&latitude) {
        return invalid(format!("{field}.latitude"), "must be -90 to 90");
    }
    if !(-180.0..=180.0).contains(&longitude) {
        return invalid(format!("{field}.longitude"), "must be -180 to 180");
    }
    Ok(())
}

fn span(field: &str, span: &api::Duration, least: i64) -> Checked {
    if span.nanos == 0 && (least..=MAX_SPAN_S).contains(&span.seconds) {
        return Ok(());
    }
    invalid(field, format!("must be {least} to {MAX_SPAN_S} whole seconds"))
}

fn message(field: &str, message: Option<&api::MessageRef>) -> Checked {
    let Some(message) = message else { return invalid(field, "is required") };
    length(format!("{field}.whatsapp_id"), &message.whatsapp_id, 1, 128)?;
    if message.sender.is_empty() { Ok(()) } else { jid(&format!("{field}.sender"), &message.sender) }
}

fn jid(field: &str, text: &str) -> Checked {
    match text.parse::<Jid>() {
        Ok(jid) if (jid.is_pn() || jid.is_lid()) && !jid.user.is_empty() && text.len() < 64 => Ok(()),
        _ => invalid(field, "must be a JID: {digits}@s.whatsapp.net or {digits}@lid"),
    }
}
