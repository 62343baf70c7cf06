//! What a message of a kind says beside its text; `../README.md` has the words.

use whatsapp_rust::prelude::*;

use crate::shop;

/// The details of a received message; empty when its kind has none.
pub fn detail(message: &wa::Message) -> String {
    let place = |latitude: Option<f64>, longitude: Option<f64>| {
        format!("{} {}", latitude.unwrap_or_default(), longitude.unwrap_or_default())
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some(at) = message.location_message.as_option() {
        return place(at.degrees_latitude, at.degrees_longitude);
    }
    if let Some(at) = message.live_location_message.as_option() {
        return place(at.degrees_latitude, at.degrees_longitude);
    }
    if let Some(contact) = message.contact_message.as_option() {
        return text(&contact.vcard);
    }
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
    ];
    if let Some(poll) = polls.into_iter().find_map(|poll| poll.as_option())
        && let Some(end) = poll.end_time
    {
        return format!("{end} {}", poll.hide_participant_name == Some(true));
    }
    if let Some(event) = message.event_message.as_option() {
        return event.start_time.unwrap_or_default().to_string();
    }
    if let Some(sold) = shop::detail(message) {
        return sold;
    }
    if let Some(list) = message.list_message.as_option() {
        let mut parts = vec![text(&list.button_text)];
        for section in &list.sections {
            let rows = section.rows.iter().map(|row| format!("{} {}", text(&row.row_id), text(&row.title)));
            parts.push(format!("{}: {}", text(&section.title), rows.collect::<Vec<_>>().join(", ")));
        }
        return parts.join("; ");
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        let label = |button: &wa::message::buttons_message::Button| {
            let label = button.button_text.as_option().and_then(|label| label.display_text.clone());
            format!("{} {}", text(&button.button_id), label.unwrap_or_default())
        };
        return buttons.buttons.iter().map(label).collect::<Vec<_>>().join(", ");
    }
    if let Some(answer) = message.list_response_message.as_option() {
        let row = answer.single_select_reply.as_option();
        return row.and_then(|row| row.selected_row_id.clone()).unwrap_or_default();
    }
    if let Some(answer) = message.buttons_response_message.as_option() {
        return text(&answer.selected_button_id);
    }
    if let Some(invite) = message.group_invite_message.as_option() {
        return format!("{} {}", text(&invite.group_jid), text(&invite.invite_code));
    }
    if let Some(styled) = message.extended_text_message.as_option()
        && let Some(background) = styled.background_argb
    {
        let (colour, font) = (styled.text_argb.unwrap_or_default(), styled.font.map(|font| font as i32));
        return format!("{background:08x} {colour:08x} {}", font.unwrap_or_default());
    }
    if message.pin_in_chat_message.is_set() {
        let info = message.message_context_info.as_option();
        return info.and_then(|info| info.message_add_on_duration_in_secs).unwrap_or_default().to_string();
    }
    String::new()
}

/// The id of the first row of a list; none when it is another message.
pub fn first_row(message: &wa::Message) -> Option<String> {
    message.list_message.as_option()?.sections.first()?.rows.first()?.row_id.clone()
}

/// The id of the first button of a message with buttons; none when it is another message.
pub fn first_button(message: &wa::Message) -> Option<String> {
    message.buttons_message.as_option()?.buttons.first()?.button_id.clone()
}
