//! What the kinds of messages are called.

use roost_proto::api;

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
