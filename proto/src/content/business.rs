//! What WhatsApp's server is told of buttons, lists and flows: `<biz>` beside the ciphertexts. Without it a message
//! with a flow is acknowledged, and phones show nothing.
//!
//! Rules: whatsmeow for buttons, lists and answers to them. For flows whatsapp-rust, whose form was tried with real
//! phones: only payments are named, everything else is `mixed`, since WhatsApp refuses other names with 405 and 473.

use waproto::whatsapp::Message;
use waproto::whatsapp::message::InteractiveMessage;
use waproto::whatsapp::message::interactive_message::InteractiveMessage as Kind;
use waproto::whatsapp::message::interactive_message::header::Media;
use waproto::whatsapp::message::list_message::ListType;

use crate::id::UnixMillis;
use crate::stanza::{Builder, Stanza};

/// What is behind the time in `privacy_mode_ts`, in seconds; nobody says why.
const BEHIND: i64 = 77_980_457;

/// What is said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Business {
    /// It is of this kind.
    Plain(&'static str),
    /// It is a list of this type.
    List(&'static str),
    /// It has a flow of several kinds, or of none in particular.
    Mixed,
    /// It has a flow of this name, which is about a payment.
    Payment(&'static str),
}

impl Business {
    /// Of a message without envelopes; `None` for most.
    pub(super) fn of(message: &Message) -> Option<Business> {
        if let Some(interactive) = message.interactive_message.as_option() {
            return flow(interactive);
        }
        Some(match () {
            () if message.buttons_message.is_set() => Business::Plain("buttons"),
            () if message.buttons_response_message.is_set() => Business::Plain("buttons_response"),
            () if message.list_message.is_set() => Business::List(match message.list_message.list_type {
                Some(ListType::PRODUCT_LIST) => "product_list",
                _ => "single_select",
            }),
            () if message.list_response_message.is_set() => Business::Plain("list_response"),
            () if message.interactive_response_message.is_set() => Business::Plain("interactive_response"),
            () => return None,
        })
    }

    /// The children of the stanza that say it. In a chat of two a flow is also marked as that of a business.
    pub(super) fn elements(self, now: UnixMillis, to_one: bool) -> Vec<Stanza> {
        let biz = Builder::new("biz");
        let private = |biz: Builder| {
            let since = (now.0 / 1000).saturating_sub(BEHIND).max(0).cast_unsigned();
            biz.attr("actual_actors", "2").attr("host_storage", "2").attr("privacy_mode_ts", since)
        };
        let biz = match self {
            Business::Plain(kind) => biz.children([Builder::new(kind).build()]),
            Business::List(kind) => {
                biz.children([Builder::new("list").attr("v", "2").attr("type", kind).build()])
            }
            Business::Payment(name) => private(biz).attr("native_flow_name", name),
            Business::Mixed => {
                let flow = Builder::new("native_flow").attr("v", "9").attr("name", "mixed").build();
                let interactive = Builder::new("interactive").attr("type", "native_flow").attr("v", "1");
                let quality = Builder::new("quality_control").attr("source_type", "third_party");
                private(biz).children([interactive.children([flow]).build(), quality.build()])
            }
        };
        let of_a_flow = matches!(self, Business::Mixed | Business::Payment(_));
        let bot = (of_a_flow && to_one).then(|| Builder::new("bot").attr("biz_bot", "1").build());
        bot.into_iter().chain([biz.build()]).collect()
    }
}

/// By the first button of a flow; without one, whatever can be shown by itself is mixed.
fn flow(interactive: &InteractiveMessage) -> Option<Business> {
    match interactive.interactive_message.as_ref()? {
        Kind::NativeFlowMessage(flow) if !flow.buttons.is_empty() => {
            let name = flow.buttons.first()?.name.as_deref()?;
            Some(match name {
                "payment_info" => Business::Payment("payment_info"),
                "review_and_pay" => Business::Payment("order_details"),
                "review_order" | "order_status" => Business::Payment("order_status"),
                "payment_status" => Business::Payment("payment_status"),
                "payment_method" => Business::Payment("payment_method"),
                "payment_reminder" => Business::Payment("payment_reminder"),
                _ => Business::Mixed,
            })
        }
        Kind::ShopStorefrontMessage(_) => None,
        _ => shows_something(interactive).then_some(Business::Mixed),
    }
}

fn shows_something(interactive: &InteractiveMessage) -> bool {
    let header = &interactive.header;
    let texts = [&interactive.body.text, &interactive.footer.text, &header.title];
    texts.into_iter().any(|text| text.as_deref().is_some_and(|text| !text.is_empty()))
        || matches!(header.media, Some(Media::ImageMessage(_)))
}

#[cfg(test)]
mod tests {
    use waproto::buffa::Message as _;
    use waproto::whatsapp::message::interactive_message::native_flow_message::NativeFlowButton;
    use waproto::whatsapp::message::interactive_message::{Body, NativeFlowMessage};
    use waproto::whatsapp::message::{InteractiveResponseMessage, ListMessage};

    use super::*;
    use crate::content::Wire;
    use crate::stanza::Read as _;

    fn said(kind: Option<Kind>, body: &str) -> Message {
        let body = Body { text: Some(body.to_owned()) };
        let interactive =
            InteractiveMessage { body: body.into(), interactive_message: kind, ..Default::default() };
        Message { interactive_message: interactive.into(), ..Default::default() }
    }

    fn with_button(name: &str) -> Option<Kind> {
        let button = NativeFlowButton { name: Some(name.to_owned()), ..Default::default() };
        let flow = NativeFlowMessage { buttons: vec![button], ..Default::default() };
        Some(Kind::NativeFlowMessage(Box::new(flow)))
    }

    #[test]
    fn a_flow_is_announced_as_mixed_unless_it_is_a_payment() {
        for name in ["quick_reply", "cta_url", "galaxy_message", ""] {
            assert_eq!(Business::of(&said(with_button(name), "")), Some(Business::Mixed), "{name}");
        }
        let pays = Business::of(&said(with_button("review_and_pay"), ""));
        assert_eq!(pays, Some(Business::Payment("order_details")));
        let carousel = || Some(Kind::CarouselMessage(Default::default()));
        assert_eq!(Business::of(&said(carousel(), "hens")), Some(Business::Mixed));
        assert_eq!(Business::of(&said(carousel(), "")), None, "nothing is shown");
        assert_eq!(Business::of(&said(Some(Kind::ShopStorefrontMessage(Default::default())), "hens")), None);
        assert_eq!(Business::of(&said(None, "hens")), None);
        let list = ListMessage { list_type: Some(ListType::PRODUCT_LIST), ..Default::default() };
        let list = Message { list_message: list.into(), ..Default::default() };
        assert_eq!(Business::of(&list), Some(Business::List("product_list")));
        let answer = InteractiveResponseMessage::default();
        let answer = Message { interactive_response_message: answer.into(), ..Default::default() };
        assert_eq!(Business::of(&answer), Some(Business::Plain("interactive_response")));
    }

    #[test]
    fn raw_bytes_with_a_flow_travel_as_any_client_sends_them() {
        let raw = said(with_button("quick_reply"), "hens").encode_to_vec();
        let elements = |to_one| Wire::of(&raw).children(UnixMillis(1_700_000_000_000), to_one);
        let [bot, biz] = &elements(true)[..] else { panic!("two elements in a chat of two") };
        assert_eq!((&*bot.tag, bot.text("biz_bot").as_deref()), ("bot", Some("1")));
        let flow = biz.child("interactive").and_then(|it| it.child("native_flow")).expect("a flow");
        assert_eq!(flow.text("name").as_deref(), Some("mixed"));
        assert_eq!(biz.text("privacy_mode_ts").as_deref(), Some("1622019543"));
        assert!(biz.child("quality_control").is_some());
        let [biz] = &elements(false)[..] else { panic!("one element in a group") };
        assert_eq!(&*biz.tag, "biz");
        let raw = said(with_button("payment_status"), "").encode_to_vec();
        let elements = Wire::of(&raw).children(UnixMillis(1_700_000_000_000), false);
        assert_eq!(elements[0].text("native_flow_name").as_deref(), Some("payment_status"));
        assert!(elements[0].all().is_empty());
    }
}
