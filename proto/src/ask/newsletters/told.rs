//! What WhatsApp tells of newsletters: their JSON, their messages with counts, and changes made elsewhere.

use serde_json::Value;

use super::MOST;
use super::sounds::silent;
use crate::api;
use crate::api::newsletter::Role;
use crate::content::{Meaning, read_in_newsletter};
use crate::stanza::{Jid, Read, Server, Stanza};

/// What a newsletter is, as WhatsApp's JSON says it; `None` when it does not say which.
pub fn newsletter(value: &Value) -> Option<api::Newsletter> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (thread, viewer) = (&value["thread_metadata"], &value["viewer_metadata"]);
    let id: Jid = value["id"].as_str()?.parse().ok()?;
    let created = number(&thread["creation_time"]);
    Some(api::Newsletter {
        newsletter: id.to_string(),
        title: text(&thread["name"]["text"]),
        description: text(&thread["description"]["text"]),
        invite: text(&thread["invite"]),
        subscribers: number(&thread["subscribers_count"]),
        verified: text(&thread["verification"]).eq_ignore_ascii_case("verified"),
        create_time: (created > 0).then_some(api::Timestamp { seconds: created, nanos: 0 }),
        role: role(&viewer["role"]).into(),
        muted: text(&viewer["mute"]).eq_ignore_ascii_case("on"),
        picture: text(&thread["picture"]["direct_path"]),
        muted_activities: silent(viewer),
        suspended: !text(&value["state"]["type"]).eq_ignore_ascii_case("active"),
    })
}

/// A number, which WhatsApp also writes as a text; 0 when it is none.
pub(super) fn number(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        value => value.as_i64().unwrap_or(0),
    }
}

/// What somebody is in a newsletter; WhatsApp writes it in small and in large letters.
pub(super) fn role(value: &Value) -> Role {
    match &*value.as_str().unwrap_or_default().to_ascii_lowercase() {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        "subscriber" => Role::Subscriber,
        "guest" => Role::Guest,
        _ => Role::Unspecified,
    }
}

/// Somebody, named by `id` and perhaps by `pn`; `None` when neither is a user's.
pub(super) fn person(value: &Value) -> Option<api::Person> {
    let mut person = api::Person::default();
    for jid in [&value["id"], &value["pn"]].into_iter().filter_map(|jid| jid.as_str()?.parse::<Jid>().ok()) {
        match jid.server {
            Server::Lid => person.lid = jid.to_non_ad().to_string(),
            Server::Pn => person.phone_number = jid.to_non_ad().to_string(),
            _ => {}
        }
    }
    (person != api::Person::default()).then_some(person)
}

/// The `<message>`s in an element: a content when they are fetched, counts also when they are told of.
pub fn posts(messages: &Stanza) -> Vec<api::NewsletterPost> {
    messages.all_named("message").take(MOST).filter_map(post).collect()
}

/// One `<message>` of a newsletter; `None` when it has no number.
pub fn post(message: &Stanza) -> Option<api::NewsletterPost> {
    let plain = message.child("plaintext");
    let said = plain.and_then(Read::leaf).and_then(|bytes| match read_in_newsletter(bytes).ok()? {
        Meaning::Said(statement) => Some(*statement),
        _ => None,
    });
    let (context, content) = said.map(|said| (said.context, said.content)).unzip();
    let edited = message.child("meta").and_then(|meta| i64::try_from(meta.number("msg_edit_t")?).ok());
    let edited = edited.map(|ms| api::Timestamp {
        seconds: ms / 1000,
        nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0),
    });
    let text = |key: &str| message.text(key).unwrap_or_default().into_owned();
    let seconds = message.number("t").and_then(|t| i64::try_from(t).ok());
    let reactions = message.child("reactions").map(Read::all).unwrap_or_default().iter();
    let reactions = reactions.take(MOST).filter_map(|reaction| {
        let count = i64::try_from(reaction.number("count")?).ok()?;
        Some((reaction.text("code")?.chars().take(32).collect(), count))
    });
    let views = message.child("views_count").and_then(|views| views.number("count"));
    Some(api::NewsletterPost {
        server_id: message.number("server_id")?,
        time: seconds.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
        views: views.and_then(|views| i64::try_from(views).ok()).unwrap_or(0),
        reactions: reactions.collect(),
        message: (plain.is_some() || message.text("edit").is_some()).then(|| api::MessageReceived {
            whatsapp_id: text("id"),
            context: context.flatten(),
            content,
            ..Default::default()
        }),
        edit_time: edited,
    })
}

/// What has changed of what a newsletter shows; `None` when that is nothing which we know.
fn profile(told: &Value) -> Option<api::NewsletterProfile> {
    let thread = &told["thread_metadata"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // A picture that is gone is there without a path.
    let picture = thread["picture"]
        .as_object()
        .map(|picture| picture.get("direct_path").and_then(Value::as_str).unwrap_or_default().to_owned());
    let changed = api::NewsletterProfile {
        title: text(&thread["name"]["text"]),
        description: text(&thread["description"]["text"]),
        picture,
        verified: thread["verification"].as_str().map(|state| state.eq_ignore_ascii_case("verified")),
        actor: None,
    };
    let actor = person(&told["actor"]);
    (changed != api::NewsletterProfile::default()).then_some(api::NewsletterProfile { actor, ..changed })
}

/// What a `<notification type=mex>` says of newsletters that the account follows.
pub fn changes(notification: &Stanza) -> Vec<api::NewsletterChanged> {
    use api::newsletter_changed::Change;
    let updates = notification.all_named("update").take(MOST).filter_map(Read::leaf);
    let bodies = updates.filter_map(|update| serde_json::from_slice::<Value>(update).ok());
    let read = |body: Value| {
        let data = &body["data"];
        let told = |name: &str| data.get(name).filter(|told| !told.is_null());
        let (told, change) = if let Some(joined) = told("xwa2_notify_newsletter_on_join") {
            (joined, Change::Followed(newsletter(joined)?))
        } else if let Some(left) = told("xwa2_notify_newsletter_on_leave") {
            (left, Change::Unfollowed(true))
        } else if let Some(muted) = told("xwa2_notify_newsletter_on_mute_change") {
            (muted, Change::Muted(muted["mute"].as_str()?.eq_ignore_ascii_case("on")))
        } else if let Some(revoked) = told("xwa2_notify_newsletter_admin_invite_revoke") {
            (revoked, Change::Uninvited(person(&revoked["user"])?))
        } else if let Some(state) = told("xwa2_notify_newsletter_on_state_change") {
            let deleted = state["state"]["type"].as_str()?.eq_ignore_ascii_case("deleted");
            (state, deleted.then_some(Change::Deleted(true))?)
        } else if let Some(shown) = told("xwa2_notify_newsletter_on_metadata_update")
            .or_else(|| told("xwa2_notify_newsletter_owner_on_metadata_update"))
        {
            (shown, Change::Profile(profile(shown)?))
        } else {
            let changed = told("xwa2_notify_newsletter_admin_promote");
            let changed = changed.or_else(|| told("xwa2_notify_newsletter_admin_demote"))?;
            let role = role(&changed["user_new_role"]).into();
            let (person, actor) = (Some(person(&changed["user"])?), person(&changed["actor"]));
            (changed, Change::Role(api::NewsletterRole { person, role, actor }))
        };
        let id: Jid = told["id"].as_str()?.parse().ok()?;
        Some(api::NewsletterChanged { newsletter: id.to_string(), change: Some(change) })
    };
    bodies.filter_map(read).collect()
}
