//! What the kinds of messages are called.

use roost_proto::api;

/// WhatsApp's id of the poll that a message votes in, or adds an option to; empty for any other.
pub(super) fn poll_of(kind: &api::send_message_request::Content) -> String {
    use api::send_message_request::Content;
    let poll = match kind {
        Content::PollVote(vote) => vote.poll.as_ref(),
        Content::PollOption(added) => added.poll.as_ref(),
        _ => None,
    };
    poll.map(|poll| poll.whatsapp_id.clone()).unwrap_or_default()
}

/// The kind of a message, as its field is called.
pub(super) fn kind_name(kind: &api::send_message_request::Content) -> &'static str {
    use api::send_message_request::Content;
    match kind {
        Content::Text(_) => "text",
        Content::Location(_) => "location",
        Content::LiveLocation(_) => "live_location",
        Content::Contacts(_) => "contacts",
        Content::Poll(_) => "poll",
        Content::PollVote(_) => "poll_vote",
        Content::PollOption(_) => "poll_option",
        Content::CalendarEvent(_) => "calendar_event",
        Content::EventResponse(_) => "event_response",
        Content::List(_) => "list",
        Content::ListAnswer(_) => "list_answer",
        Content::Buttons(_) => "buttons",
        Content::ButtonAnswer(_) => "button_answer",
        Content::Product(_) => "product",
        Content::Order(_) => "order",
        Content::GroupInvite(_) => "group_invite",
        Content::Reaction(_) => "reaction",
        Content::Comment(_) => "comment",
        Content::Edit(_) => "edit",
        Content::Revoke(_) => "revoke",
        Content::Pin(_) => "pin",
        Content::MemberLabel(_) => "member_label",
        Content::Keep(_) => "keep",
        Content::DisappearingTimer(_) => "disappearing_timer",
        Content::SharePhoneNumber(_) => "share_phone_number",
        Content::RequestPhoneNumber(_) => "request_phone_number",
        Content::LimitSharing(_) => "limit_sharing",
        Content::Image(_) => "image",
        Content::Video(_) => "video",
        Content::Audio(_) => "audio",
        Content::Document(_) => "document",
        Content::Sticker(_) => "sticker",
        Content::StickerPack(_) => "sticker_pack",
        Content::Album(_) => "album",
        Content::Raw(_) => "raw",
    }
}
