//! The edge of `ContactService`: links and reports.

use roost_proto::api;
use roost_proto::ask::reports::ReportSpam;
use roost_proto::stanza::Server;

use crate::errors::ApiError;

/// What stands before the code in a link to an account; the first is ours.
pub const LINKS: [&str; 4] = [
    "https://wa.me/qr/",
    "https://api.whatsapp.com/qr/",
    "https://wa.me/message/",
    "https://api.whatsapp.com/message/",
];

/// What stands behind the last slash of a link to an account.
pub fn code(link: &str) -> Result<String, ApiError> {
    let code = LINKS.iter().find_map(|start| link.strip_prefix(start)).unwrap_or(link);
    let code = code.split('?').next().unwrap_or_default();
    match (1..=128).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => Ok(code.to_owned()),
        false => Err(ApiError::field("link", "must be a link as https://wa.me/qr/…, or its code")),
    }
}

/// A report of spam.
pub fn report(request: &api::ReportSpamRequest) -> Result<ReportSpam, ApiError> {
    let chat = super::user_or_group("chat", &request.chat)?;
    let id = request.whatsapp_id.clone();
    if !(1..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::field("whatsapp_id", "must be the whatsapp_id of a message"));
    }
    let seconds = request.send_time.map_or(0, |time| time.seconds);
    if seconds <= 0 {
        return Err(ApiError::field("send_time", "is required"));
    }
    let sender = match (chat.server == Server::Group, request.sender.as_str()) {
        (true, sender) => Some(super::user("sender", sender)?),
        (false, "") => None,
        (false, _) => return Err(ApiError::field("sender", "goes with a group alone")),
    };
    Ok(ReportSpam { chat, id, seconds, sender })
}

#[cfg(test)]
mod tests {
    use roost_proto::stanza::Jid;

    use super::*;

    #[test]
    fn a_link_to_an_account_is_read_with_and_without_what_stands_around_its_code() {
        for link in [
            "https://wa.me/qr/AB1",
            "https://api.whatsapp.com/message/AB1?autoload=1",
            "https://wa.me/message/AB1?src=qr",
            "AB1",
        ] {
            assert_eq!(code(link).expect("a link"), "AB1", "{link}");
        }
        for bad in ["", "https://wa.me/4915100000001", "https://elsewhere.example/qr/AB1", "A B"] {
            assert!(
                matches!(code(bad), Err(ApiError::InvalidField { field, .. }) if field == "link"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_report_that_cannot_be_is_refused_by_its_field() {
        let good = api::ReportSpamRequest {
            chat: "1203631@g.us".to_owned(),
            whatsapp_id: "3EB0".to_owned(),
            send_time: Some(api::Timestamp { seconds: 5, nanos: 0 }),
            sender: "77777@lid".to_owned(),
            ..Default::default()
        };
        assert_eq!(report(&good).expect("good").sender, Some(Jid::lid("77777")));
        for (bad, wrong) in [
            (api::ReportSpamRequest { chat: String::new(), ..good.clone() }, "chat"),
            (api::ReportSpamRequest { whatsapp_id: "a b".to_owned(), ..good.clone() }, "whatsapp_id"),
            (api::ReportSpamRequest { send_time: None, ..good.clone() }, "send_time"),
            (api::ReportSpamRequest { sender: String::new(), ..good.clone() }, "sender"),
            (api::ReportSpamRequest { chat: "4915100000001".to_owned(), ..good }, "sender"),
        ] {
            assert!(
                matches!(report(&bad), Err(ApiError::InvalidField { field, .. }) if field == wrong),
                "{wrong}"
            );
        }
    }
}
