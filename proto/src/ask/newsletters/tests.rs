//! What WhatsApp is asked about newsletters, and what is read in its answers.

use super::*;
use crate::e2e;

fn answer(body: &Value) -> Stanza {
    let result = Builder::new("result").bytes(body.to_string().into_bytes()).build();
    Builder::new("iq").children([result]).build()
}

fn news() -> Jid {
    "120363000000000009@newsletter".parse().expect("a JID")
}

fn hens() -> Value {
    json!({
        "id": news().to_string(),
        "state": { "type": "ACTIVE" },
        "thread_metadata": {
            "creation_time": "1700000000",
            "invite": "0029Va",
            "name": { "text": "Hens" },
            "description": { "text": "and eggs" },
            "subscribers_count": "12",
            "verification": "UNVERIFIED",
        },
        "viewer_metadata": { "mute": "ON", "role": "OWNER" },
    })
}

#[test]
fn a_newsletter_is_read_whole() {
    let body = json!({ "data": { "xwa2_newsletter": hens() } });
    let read = GetNewsletter::ById(news()).read(&answer(&body)).expect("complete");
    assert_eq!((read.title.as_str(), read.description.as_str()), ("Hens", "and eggs"));
    assert_eq!((read.subscribers, read.role()), (12, api::newsletter::Role::Owner));
    assert!(read.muted && !read.suspended && !read.verified);
}

#[test]
fn only_what_changes_is_said_and_an_empty_picture_is_said_too() {
    let said = |update: &UpdateNewsletter| -> Value {
        let request = update.request();
        let query = request.need_child("query").expect("a query").leaf().expect("JSON").to_vec();
        serde_json::from_slice::<Value>(&query).expect("JSON")["variables"]["updates"].clone()
    };
    let title = Some("Hens".to_owned());
    let renamed = UpdateNewsletter { newsletter: news(), title, description: None, picture: None };
    assert_eq!(said(&renamed), json!({ "name": "Hens", "settings": null }));
    for (jpeg, text) in [(vec![0xff, 0xd8, 0xff], "/9j/"), (Vec::new(), "")] {
        let picture = Some(jpeg);
        let shown = UpdateNewsletter { title: None, picture, ..renamed.clone() };
        assert_eq!(said(&shown), json!({ "picture": text, "settings": null }));
    }
    let body = json!({ "data": { "xwa2_newsletter_update": hens() } });
    assert_eq!(renamed.read(&answer(&body)).expect("complete").title, "Hens");
    let refused = json!({ "data": { "xwa2_newsletter_delete_v2": null } });
    assert!(DeleteNewsletter { newsletter: news() }.read(&answer(&refused)).is_err());
}

#[test]
fn a_refusal_inside_of_an_answer_is_no_answer() {
    let errors = json!([{ "message": "not found" }]);
    for body in [
        json!({ "data": { "xwa2_newsletter": null }, "errors": errors }),
        json!({ "data": { "xwa2_newsletter": hens() }, "errors": errors }),
        json!({ "data": {} }),
        json!("text"),
    ] {
        assert!(GetNewsletter::ByInvite("x".into()).read(&answer(&body)).is_err(), "{body}");
    }
    let empty = json!({ "data": { "xwa2_newsletter_subscribed": [hens(), {}] } });
    assert_eq!(ListNewsletters.read(&answer(&empty)).expect("a list").len(), 1, "one has no id");
}

#[test]
fn messages_say_how_often_they_were_seen_and_what_they_were_answered() {
    let reaction = Builder::new("reaction").attr("code", "🐓").attr("count", 3u64).build();
    let message = Builder::new("message")
        .attr("id", "3EB0A")
        .attr("server_id", 101u64)
        .attr("t", 1_700_000_000u64)
        .children([
            Builder::new("plaintext").bytes(e2e::text("eggs")).build(),
            Builder::new("views_count").attr("count", 7u64).build(),
            Builder::new("reactions").children([reaction]).build(),
        ])
        .build();
    let nameless = Builder::new("message").attr("id", "3EB0B").build();
    let read = posts(&Builder::new("messages").children([message, nameless]).build());
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].server_id, read[0].views), (101, 7));
    assert_eq!(read[0].reactions.get("🐓"), Some(&3));
    let said = read[0].message.clone().and_then(|message| message.content);
    assert_eq!(said, Some(api::message_received::Content::Text("eggs".into())));
}

#[test]
fn what_has_changed_is_asked_by_where_and_when_and_read_as_counts() {
    let ask = |after, since| {
        let list = ListNewsletterUpdates { newsletter: news(), count: 7, after, since };
        let request = list.request();
        assert_eq!((request.text("type").as_deref(), request.jid("to")), (Some("get"), Some(news())));
        let updates = request.need_child("message_updates").expect("what is asked").clone();
        assert_eq!(updates.number("count"), Some(7));
        (updates.number("after"), updates.number("since"))
    };
    assert_eq!((ask(0, 0), ask(101, 1_700_000_000)), ((None, None), (Some(101), Some(1_700_000_000))));
    let views = Builder::new("views_count").attr("count", 7u64).build();
    let message = Builder::new("message").attr("server_id", 102u64).children([views]).build();
    let messages = Builder::new("messages").children([message]).build();
    let updates = Builder::new("message_updates").children([messages]).build();
    let list = ListNewsletterUpdates { newsletter: news(), count: 1, after: 0, since: 0 };
    let read = list.read(&Builder::new("iq").children([updates]).build()).expect("complete");
    assert_eq!((read[0].server_id, read[0].views, &read[0].message), (102, 7, &None));
    assert!(list.read(&Builder::new("iq").build()).is_err());
}

#[test]
fn what_a_newsletter_shows_from_now_on_is_a_change_and_what_stays_is_absent() {
    use api::newsletter_changed::Change;
    let told = |name: &str, body: Value| {
        let body = json!({ "data": { name: body } }).to_string();
        let update = Builder::new("update").bytes(body.into_bytes()).build();
        changes(&Builder::new("notification").children([update]).build()).pop().and_then(|it| it.change)
    };
    let thread = |thread: Value| json!({ "id": news().to_string(), "thread_metadata": thread });
    let of_followers = |body| told("xwa2_notify_newsletter_on_metadata_update", thread(body));
    let profile = |changed| Some(Change::Profile(changed));
    let renamed = api::NewsletterProfile { title: Some("Hens".into()), ..Default::default() };
    assert_eq!(of_followers(json!({ "name": { "text": "Hens" }, "picture": null })), profile(renamed));
    let bare = api::NewsletterProfile { picture: Some(String::new()), ..Default::default() };
    assert_eq!(of_followers(json!({ "picture": { "id": null, "direct_path": null } })), profile(bare));
    let good = api::NewsletterProfile { verified: Some(true), ..Default::default() };
    assert_eq!(of_followers(json!({ "verification": "VERIFIED" })), profile(good));
    assert_eq!(of_followers(json!({ "wamo_sub": { "plan_id": "1" } })), None, "nothing that we know");
    let mut body = thread(json!({ "description": { "text": "" } }));
    body["actor"] = json!({ "id": "77777@lid" });
    let actor = Some(api::Person { lid: "77777@lid".to_owned(), ..Default::default() });
    let emptied = api::NewsletterProfile { description: Some(String::new()), actor, ..Default::default() };
    assert_eq!(told("xwa2_notify_newsletter_owner_on_metadata_update", body), profile(emptied));
}

#[test]
fn what_is_done_elsewhere_and_who_speaks_are_changes() {
    use api::newsletter_changed::Change;
    let told = |name: &str, body: Value| {
        let body = json!({ "data": { name: body } }).to_string();
        let update = Builder::new("update").bytes(body.into_bytes()).build();
        changes(&Builder::new("notification").children([update]).build())
    };
    let id = json!({ "id": news().to_string(), "mute": "ON" });
    let change = |name, body| told(name, body).pop().and_then(|changed| changed.change);
    assert!(matches!(change("xwa2_notify_newsletter_on_join", hens()), Some(Change::Followed(_))));
    let left = change("xwa2_notify_newsletter_on_leave", id.clone());
    assert_eq!(left, Some(Change::Unfollowed(true)));
    assert_eq!(change("xwa2_notify_newsletter_on_mute_change", id), Some(Change::Muted(true)));
    let bob = || api::Person { lid: "77777@lid".to_owned(), ..Default::default() };
    let role = json!({ "id": news().to_string(), "user": { "id": "77777@lid" }, "user_new_role": "ADMIN" });
    let admin = api::newsletter::Role::Admin.into();
    let promoted = api::NewsletterRole { person: Some(bob()), role: admin, actor: None };
    for name in ["xwa2_notify_newsletter_admin_promote", "xwa2_notify_newsletter_admin_demote"] {
        assert_eq!(change(name, role.clone()), Some(Change::Role(promoted.clone())));
    }
    let uninvited = change("xwa2_notify_newsletter_admin_invite_revoke", role);
    assert_eq!(uninvited, Some(Change::Uninvited(bob())));
    let state = |state: &str| json!({ "id": news().to_string(), "state": { "type": state } });
    let ended = |word| change("xwa2_notify_newsletter_on_state_change", state(word));
    assert_eq!((ended("DELETED"), ended("ACTIVE")), (Some(Change::Deleted(true)), None));
    assert!(told("xwa2_notify_account_reachout_timelock", json!({ "is_active": true })).is_empty());
}
