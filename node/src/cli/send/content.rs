//! What a line of `roost send` says, as the API has it.

use std::path::Path;

use roost_proto::api;
use roost_proto::api::send_message_request::Content;

use super::{FileArgs, Kind, Said, Text, Whereto, bad_input};
use crate::client::Problem;

/// From whom, to whom, and what the line says.
pub(super) fn of(kind: Kind) -> Result<(Whereto, Said), Problem> {
    let (whereto, content) = match kind {
        Kind::Text(Text { whereto, text }) => (whereto, Content::Text(text)),
        Kind::Location { whereto, latitude, longitude, name } => {
            let place = api::Location { latitude, longitude, name, ..Default::default() };
            (whereto, Content::Location(place))
        }
        Kind::Poll { whereto, question, options, selectable, correct, open, ends, hide_voters } => {
            let poll = api::Poll {
                question,
                options,
                selectable,
                correct_option: correct,
                open,
                end_time: ends.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
                hide_voters,
                ..Default::default()
            };
            (whereto, Content::Poll(poll))
        }
        Kind::PollOption { whereto, poll, option, sender, own } => {
            let poll = Some(api::MessageRef { whatsapp_id: poll, from_me: own, sender });
            (whereto, Content::PollOption(api::AddPollOption { poll, option }))
        }
        Kind::Reaction { whereto, message, emoji, sender, own } => {
            let message = Some(api::MessageRef { whatsapp_id: message, from_me: own, sender });
            (whereto, Content::Reaction(api::Reaction { message, emoji, concealed: false }))
        }
        Kind::Image(FileArgs { whereto, file, caption }) => {
            let media = named(file, api::media::Kind::Image);
            (whereto, Content::Image(api::Image { media, caption, ..Default::default() }))
        }
        Kind::Video(FileArgs { whereto, file, caption }) => {
            let media = named(file, api::media::Kind::Video);
            (whereto, Content::Video(api::Video { media, caption, ..Default::default() }))
        }
        Kind::Note(FileArgs { whereto, file, .. }) => {
            let media = named(file, api::media::Kind::Video);
            (whereto, Content::Video(api::Video { media, note: true, ..Default::default() }))
        }
        Kind::Audio(FileArgs { whereto, file, .. }) => {
            let media = named(file, api::media::Kind::Audio);
            (whereto, Content::Audio(api::Audio { media, voice: false }))
        }
        Kind::Voice(FileArgs { whereto, file, .. }) => {
            let media = named(file, api::media::Kind::Audio);
            (whereto, Content::Audio(api::Audio { media, voice: true }))
        }
        Kind::Document(FileArgs { whereto, file, caption }) => {
            let media = named(file, api::media::Kind::Document);
            (whereto, Content::Document(api::Document { media, caption, ..Default::default() }))
        }
        Kind::Sticker(FileArgs { whereto, file, .. }) => {
            let media = named(file, api::media::Kind::Sticker);
            (whereto, Content::Sticker(api::Sticker { media, animated: false }))
        }
        Kind::Edit { whereto, message, text, encrypted } => {
            (whereto, Content::Edit(api::EditMessage { whatsapp_id: message, text, encrypted }))
        }
        Kind::Revoke { whereto, message, sender } => {
            let message = api::MessageRef { whatsapp_id: message, from_me: sender.is_empty(), sender };
            (whereto, Content::Revoke(api::RevokeMessage { message: Some(message) }))
        }
        Kind::Raw { whereto, file } => {
            let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            (whereto, Content::Raw(bytes))
        }
        Kind::Json { whereto, file } => {
            let said = if file.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(&file)
            };
            return Ok((whereto, in_json(&said.map_err(|error| unreadable(&file, &error))?)?));
        }
        Kind::Album(_) => return Err(bad_input("an album is more than one message")),
    };
    Ok((whereto, (content, None)))
}

/// Content and context of a request in JSON.
fn in_json(text: &str) -> Result<Said, Problem> {
    let request = roost_proto::json::read::<api::SendMessageRequest>("SendMessageRequest", text);
    let request = request.map_err(|error| bad_input(&format!("this is no message in JSON: {error}")))?;
    let content = request.content.ok_or_else(|| bad_input("the message in JSON says nothing"))?;
    Ok((content, request.context))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Problem {
    bad_input(&format!("{}: {error}", file.display()))
}

/// A file by its path or handle; a path is uploaded before it is sent.
pub(super) fn named(file: String, kind: api::media::Kind) -> Option<api::Media> {
    Some(api::Media { name: file, kind: kind.into(), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_json_is_one_of_the_api_with_what_goes_with_it() {
        let text = r#"{ "keep": { "message": { "whatsappId": "3EB0" } }, "context": { "viewOnce": true } }"#;
        let (content, context) = in_json(text).expect("good");
        assert!(
            matches!(content, Content::Keep(keep) if keep.message.as_ref().is_some_and(|it| it.whatsapp_id == "3EB0"))
        );
        assert!(context.is_some_and(|context| context.view_once));
        for bad in ["", "{", "{}", r#"{ "hens": 3 }"#, r#"{ "text": "a" } x"#] {
            assert!(in_json(bad).is_err(), "{bad}");
        }
    }
}
