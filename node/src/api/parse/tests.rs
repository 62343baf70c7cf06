//! Bad input, field by field.

use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::content::MAX_TEXT;

use super::*;

const REQUEST: &str = "0190f3a1-7c2e-7b3a-9d51-2f3c4b5a6978";

fn good() -> api::SendMessageRequest {
    api::SendMessageRequest {
        parent: "tenants/acme/devices/shop".into(),
        to: Some(api::Recipient { to: Some(To::PhoneNumber("+4915112345678".into())) }),
        content: Some(Content::Text("hello".into())),
        request_id: REQUEST.into(),
        wait_for: 0,
        ..Default::default()
    }
}

fn refused(change: impl FnOnce(&mut api::SendMessageRequest)) -> String {
    let mut request = good();
    change(&mut request);
    match send(&request) {
        Err(ApiError::InvalidField { field, .. }) => field,
        other => panic!("not refused for its form: {other:?}"),
    }
}

fn to(to: To) -> Option<api::Recipient> {
    Some(api::Recipient { to: Some(to) })
}

#[test]
fn a_good_send_is_read_whole() {
    let read = send(&good()).expect("good");
    assert_eq!(read.to.jid(), "4915112345678@s.whatsapp.net");
    assert_eq!(read.wait_for, WaitFor::ServerAck);
    assert_eq!(read.request_id, REQUEST);
    let mut request = good();
    request.to = to(To::Lid("123456@lid".into()));
    request.request_id = REQUEST.to_uppercase();
    let read = send(&request).expect("good");
    assert_eq!((read.to.jid().as_str(), read.request_id.as_str()), ("123456@lid", REQUEST));
}

#[test]
fn empty_and_oversized_texts_are_refused() {
    assert_eq!(refused(|r| r.content = None), "content");
    assert_eq!(refused(|r| r.content = Some(Content::Text(String::new()))), "text");
    assert_eq!(refused(|r| r.content = Some(Content::Text("x".repeat(MAX_TEXT + 1)))), "text");
    let mut request = good();
    request.content = Some(Content::Text("x".repeat(MAX_TEXT)));
    send(&request).expect("exactly the limit");
}

#[test]
fn wrong_recipients_are_refused() {
    assert_eq!(refused(|r| r.to = None), "to");
    assert_eq!(refused(|r| r.to = Some(api::Recipient { to: None })), "to");
    for bad in
        ["", "+", "123456", "1234567890123456", "+49 151 123", "0049151123456", "49151x23456", "٤٩١٥١١٢"]
    {
        assert_eq!(refused(|r| r.to = to(To::PhoneNumber(bad.into()))), "to.phone_number", "{bad:?}");
    }
    for bad in ["", "@lid", "12@s.whatsapp.net", "12:3@lid", "a1@lid", "1234567890123456789012"] {
        assert_eq!(refused(|r| r.to = to(To::Lid(bad.into()))), "to.lid", "{bad:?}");
    }
}

#[test]
fn a_bot_is_asked_by_its_digits_and_in_words() {
    let mut request = good();
    for bot in ["867051314767696@bot", "867051314767696"] {
        request.to = to(To::Bot(bot.into()));
        assert_eq!(send(&request).expect("good").to.jid(), "867051314767696@bot");
    }
    for bad in ["", "@bot", "867051314767696@lid", "meta@bot", "0123456@bot"] {
        assert_eq!(refused(|r| r.to = to(To::Bot(bad.into()))), "to.bot", "{bad:?}");
    }
    let edit = || api::EditMessage { whatsapp_id: "A".into(), text: "b".into(), encrypted: true };
    let edits = |r: &mut api::SendMessageRequest| {
        r.to = to(To::Bot("867051314767696".into()));
        r.content = Some(Content::Edit(edit()));
    };
    assert_eq!(refused(edits), "content");
}

#[test]
fn groups_are_recipients_too() {
    let mut request = good();
    request.to = to(To::Group("120363000000000001".into()));
    assert_eq!(send(&request).expect("good").to.jid(), "120363000000000001@g.us");
    for bad in ["", "123", "120363000000000001@lid"] {
        assert_eq!(refused(|r| r.to = to(To::Group(bad.into()))), "to.group", "{bad:?}");
    }
}

#[test]
fn what_goes_with_a_message_is_checked_with_it() {
    let context = api::Context { mentions: vec!["somebody".into()], ..Default::default() };
    assert_eq!(refused(|r| r.context = Some(context)), "context.mentions[0]");
}

#[test]
fn a_request_id_must_be_a_uuid() {
    for bad in ["", "1", "not-a-uuid", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(refused(|r| r.request_id = bad.into()), "request_id", "{bad:?}");
    }
}

#[test]
fn names_and_enums_are_checked_too() {
    assert_eq!(refused(|r| r.parent = "tenants/acme".into()), "parent");
    assert_eq!(refused(|r| r.parent = "tenants/ACME/devices/shop".into()), "parent");
    assert_eq!(refused(|r| r.wait_for = 99), "wait_for");
    assert_eq!(refused(|r| r.on_indeterminate = 99), "on_indeterminate");
    let before_1970 = Some(api::Timestamp { seconds: -1, nanos: 0 });
    assert_eq!(refused(|r| r.expire_time = before_1970), "expire_time");
}

#[test]
fn the_hash_tells_other_content_and_other_recipients_apart() {
    let hash = |change: &dyn Fn(&mut api::SendMessageRequest)| {
        let mut request = good();
        change(&mut request);
        send(&request).expect("good").request_hash
    };
    let same = hash(&|_| ());
    assert_eq!(same, hash(&|r| r.wait_for = WaitFor::Accepted as i32), "how to wait is not content");
    let later = Some(api::Timestamp { seconds: 1_800_000_000, nanos: 0 });
    assert_eq!(same, hash(&|r| r.expire_time = later), "a repetition may say another time");
    assert_eq!(same, hash(&|r| r.to = to(To::PhoneNumber("4915112345678".into()))));
    assert_ne!(same, hash(&|r| r.content = Some(Content::Text("hello!".into()))));
    assert_ne!(same, hash(&|r| r.to = to(To::PhoneNumber("4915112345679".into()))));
    let mention = |of: &str| Some(api::Context { mentions: vec![of.into()], ..Default::default() });
    let one = hash(&|r| r.context = mention("1234567@lid"));
    assert_ne!(same, one, "what goes with a message is content");
    assert_ne!(one, hash(&|r| r.context = mention("1234568@lid")));
}

#[test]
fn a_file_that_was_uploaded_again_is_the_same_content_and_another_file_is_not() {
    let hash = |name: &str, sha256: &[u8], caption: &str| {
        let media = Some(api::Media { name: name.into(), sha256: sha256.to_vec(), ..Default::default() });
        let image = api::Image { media, caption: caption.into(), ..Default::default() };
        send(&api::SendMessageRequest { content: Some(Content::Image(image)), ..good() })
            .expect("good")
            .request_hash
    };
    let (one, again) = ("tenants/acme/media/one", "tenants/acme/media/again");
    assert_eq!(hash(one, &[1; 32], ""), hash(again, &[1; 32], ""));
    assert_ne!(hash(one, &[1; 32], ""), hash(again, &[2; 32], ""));
    assert_ne!(hash(one, &[1; 32], ""), hash(again, &[1; 32], "what it shows"));
    assert_ne!(hash(one, &[], ""), hash(again, &[], ""), "a handle alone means that upload");
    let received = ["1", "2"].map(|n| hash(&format!("tenants/acme/devices/shop/media/{n}"), &[1; 32], ""));
    assert_ne!(received[0], received[1]);
}

#[test]
fn message_names_are_read_whole_or_refused() {
    let name = "tenants/acme/devices/shop/messages/01HZX3";
    let (key, id) = message("name", name).expect("well formed");
    assert_eq!((key.to_string().as_str(), id.as_str()), ("tenants/acme/devices/shop", "01HZX3"));
    for bad in ["", "tenants/acme/devices/shop", "tenants/acme/devices/shop/messages/", "a/messages/b"] {
        assert!(message("name", bad).is_err(), "{bad:?}");
    }
    assert!(message("name", &format!("{name}/x")).is_err());
    assert!(message("name", &format!("tenants/a/devices/b/messages/{}", "x".repeat(65))).is_err());
}

#[test]
fn parents_and_scopes_are_told_apart() {
    assert_eq!(parent("parent", "tenants/-").expect("all"), Parent::All);
    assert!(parent("parent", "tenants/").is_err());
    assert!(matches!(scope("parent", "tenants/acme"), Ok(Scope::Tenant(_))));
    assert!(matches!(scope("parent", "tenants/acme/devices/shop"), Ok(Scope::Device(_))));
    for bad in ["", "acme", "tenants/-", "tenants/acme/devices", "tenants/acme/devices/shop/x"] {
        assert!(scope("parent", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn sizes_and_tokens_have_bounds() {
    assert_eq!(page_size("page_size", 0).expect("default"), DEFAULT_PAGE);
    assert_eq!(page_size("page_size", i32::MAX).expect("capped"), MAX_PAGE);
    assert!(page_size("page_size", -1).is_err());
    assert!(max_outstanding("open.max_outstanding", 10_001).is_err());
    assert!(max_outstanding("open.max_outstanding", -1).is_err());
    let token = token::seal(Kind::DevicePage, "tenants/acme", b"shop");
    let read = |query, token: &str| page_token("page_token", Kind::DevicePage, query, token);
    assert_eq!(read("tenants/acme", &token).expect("ours").as_deref(), Some("shop"));
    assert_eq!(read("tenants/acme", "").expect("first page"), None);
    assert!(read("tenants/globex", &token).is_err());
    assert!(read("tenants/acme", "garbage").is_err());
}

#[test]
fn display_names_are_bounded_and_printable() {
    display_name("display_name", &"ä".repeat(200)).expect("200 characters");
    assert!(display_name("display_name", &"ä".repeat(201)).is_err());
    assert!(display_name("display_name", "a\u{1b}[2J").is_err());
}

#[test]
fn timers_are_those_that_whatsapp_knows() {
    let seconds = |seconds| api::Duration { seconds, nanos: 0 };
    assert_eq!(timer("timer", None).expect("off"), 0);
    assert_eq!(timer("timer", Some(&seconds(604_800))).expect("a week"), 604_800);
    assert!(timer("timer", Some(&seconds(60))).is_err());
    assert!(timer("timer", Some(&api::Duration { seconds: 0, nanos: 1 })).is_err());
}

#[test]
fn users_are_read_in_the_forms_that_we_write() {
    for text in ["4915112345678", "+4915112345678", "4915112345678@s.whatsapp.net"] {
        assert_eq!(user("user", text).expect("good").to_string(), "4915112345678@s.whatsapp.net", "{text}");
    }
    assert_eq!(user("user", "123456@lid").expect("good").to_string(), "123456@lid");
    for bad in
        ["", "12", "abc", "1@lid", "4915112345678@c.us", "4915112345678:3@s.whatsapp.net", "1234567@g.us"]
    {
        assert!(user("user", bad).is_err(), "{bad:?}");
    }
    let group = user_or_group("user", "120363041234567890@g.us").expect("good");
    assert_eq!(group.to_string(), "120363041234567890@g.us");
    assert!(user_or_group("user", "x@g.us").is_err());
}
