//! Newsletters: who speaks, who hears, and what is counted.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{MessageContent, Surroundings, encode};
use serde_json::{Value, json};

use super::*;

fn query(world: &mut World, probe: usize, number: &str, variables: &Value) -> Stanza {
    let body = json!({ "variables": variables }).to_string().into_bytes();
    let query = Builder::new("query").attr("query_id", number.to_owned()).bytes(body).build();
    world.ask(probe, iq::request("q", "get", "w:mex", server_jid()).children([query]).build())
}

fn body(answer: &Stanza) -> Value {
    let result = answer.child("result").and_then(|result| result.leaf()).expect("a result");
    serde_json::from_slice(result).expect("JSON")
}

/// A newsletter of the first that the second follows.
fn followed(world: &mut World, owner: usize, follower: usize) -> Jid {
    let made = query(world, owner, "8823471724422422", &json!({ "input": { "name": "Hens" } }));
    let id = body(&made)["data"]["xwa2_newsletter_create"]["id"].as_str().expect("an id").to_owned();
    let joined = query(world, follower, "24404358912487870", &json!({ "newsletter_id": id }));
    assert_eq!(body(&joined)["data"]["xwa2_newsletter_join_v2"]["viewer_metadata"]["role"], "SUBSCRIBER");
    id.parse().expect("a JID")
}

fn says(world: &mut World, probe: usize, newsletter: &Jid, id: &str) {
    let plain = Builder::new("plaintext").bytes(*b"eggs").build();
    let message = Builder::new("message").attr("id", id.to_owned()).attr("to", newsletter.clone());
    world.say(probe, message.attr("type", "text").children([plain]).build());
}

fn seen(world: &World, probe: usize, tag: &str) -> Vec<Stanza> {
    world.probes[probe].seen.iter().filter(|stanza| stanza.tag == tag).cloned().collect()
}

#[test]
fn only_the_owner_speaks_and_every_follower_hears_it_once() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let newsletter = followed(&mut world, ada, bob);
    says(&mut world, ada, &newsletter, "N1");
    says(&mut world, ada, &newsletter, "N1");
    says(&mut world, bob, &newsletter, "N2");
    let of_news = |stanza: &Stanza| stanza.jid("from").as_ref() == Some(&newsletter);
    let heard: Vec<_> = seen(&world, bob, "message").into_iter().filter(of_news).collect();
    assert_eq!(heard.len(), 1, "a repetition is not told again");
    assert_eq!(heard[0].child("plaintext").and_then(|plain| plain.leaf()), Some(&b"eggs"[..]));
    assert!(!seen(&world, eve, "message").iter().any(of_news));
    let refused = seen(&world, bob, "ack").into_iter().find(|ack| ack.text("id").as_deref() == Some("N2"));
    assert_eq!(refused.and_then(|ack| ack.text("error").map(|e| e.into_owned())).as_deref(), Some("403"));
}

#[test]
fn a_new_newsletter_takes_the_place_of_no_other() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let create = |world: &mut World, name: &str| {
        let made = query(world, ada, "8823471724422422", &json!({ "input": { "name": name } }));
        body(&made)["data"]["xwa2_newsletter_create"]["id"].as_str().expect("an id").to_owned()
    };
    let first = ["Hens", "Ducks"].map(|name| create(&mut world, name));
    query(&mut world, ada, "30062808666639665", &json!({ "newsletter_id": first[0] }));
    let third = create(&mut world, "Geese");
    query(&mut world, ada, "30062808666639665", &json!({ "newsletter_id": third }));
    let fourth = create(&mut world, "Swans");
    assert!(![&first[0], &first[1], &third].contains(&&fourth), "clients remember those that have ended");
    let titles: Vec<&str> = world.machine.newsletters().values().map(|one| one.title.as_str()).collect();
    assert_eq!(titles, ["Ducks", "Swans"]);
}

#[test]
fn who_does_not_follow_a_newsletter_cannot_mute_it() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let newsletter = followed(&mut world, ada, bob);
    let mutes = |world: &mut World, probe, number| {
        let answer = query(world, probe, number, &json!({ "newsletter_id": newsletter.to_string() }));
        answer.child("error").and_then(|error| error.number("code"))
    };
    for number in ["6274038279359549", "29766401636284406", "6068417879924485", "9864994326891137"] {
        assert_eq!(mutes(&mut world, eve, number), Some(403), "{number}");
        assert_eq!(mutes(&mut world, bob, number), None, "{number}");
    }
    let followers = &world.machine.newsletters()[&*newsletter.user].followers;
    assert_eq!(followers.keys().copied().collect::<Vec<_>>(), [world.device(bob).pn]);
}

#[test]
fn views_and_reactions_are_counted_by_account_and_told_to_who_watches() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let newsletter = followed(&mut world, ada, bob);
    says(&mut world, ada, &newsletter, "N1");
    let watch = Builder::new("live_updates").build();
    let watch = iq::request("w", "set", "newsletter", newsletter.clone()).children([watch]).build();
    assert!(world.ask(ada, watch).child("live_updates").is_some());
    for code in ["🐓", "🥚"] {
        let reaction = Builder::new("reaction").attr("code", code).build();
        let message = Builder::new("message").attr("id", format!("R{code}")).attr("to", newsletter.clone());
        let message = message.attr("type", "reaction").attr("server_id", 100u64).children([reaction]);
        world.say(bob, message.build());
    }
    let item = Builder::new("item").attr("server_id", 100u64).build();
    let list = Builder::new("list").children([item]).build();
    let view = Builder::new("receipt").attr("id", "v").attr("to", newsletter.clone()).attr("type", "view");
    let view = view.children([list]).build();
    for _ in 0..2 {
        world.say(bob, view.clone());
    }
    let told = seen(&world, ada, "notification").pop().expect("told");
    let post =
        told.child("live_updates").and_then(|updates| updates.child("message")).expect("counts").clone();
    assert_eq!(post.child("views_count").and_then(|views| views.number("count")), Some(1));
    let reactions = post.child("reactions").map(|all| all.all().to_vec()).unwrap_or_default();
    assert_eq!(reactions.len(), 1, "the second took the place of the first");
    assert_eq!(reactions[0].text("code").as_deref(), Some("🥚"));
    let unknown = query(&mut world, bob, "1", &json!({}));
    assert_eq!(unknown.text("type").as_deref(), Some("error"));
}

#[test]
fn only_the_owner_changes_a_newsletter_and_ends_it() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let newsletter = followed(&mut world, ada, bob).to_string();
    let rename = json!({ "newsletter_id": newsletter, "updates": { "name": "Geese", "picture": "/9j/" } });
    let refused = |answer: &Stanza| answer.child("error").and_then(|error| error.number("code"));
    assert_eq!(refused(&query(&mut world, bob, "24250201037901610", &rename)), Some(403));
    assert_eq!(refused(&query(&mut world, bob, "30062808666639665", &rename)), Some(403));
    let shown = body(&query(&mut world, ada, "24250201037901610", &rename));
    let thread = &shown["data"]["xwa2_newsletter_update"]["thread_metadata"];
    assert_eq!(thread["name"]["text"], "Geese");
    assert!(thread["picture"]["direct_path"].as_str().is_some_and(|path| !path.is_empty()));
    let bare = json!({ "newsletter_id": newsletter, "updates": { "picture": "" } });
    let shown = body(&query(&mut world, ada, "24250201037901610", &bare));
    let thread = &shown["data"]["xwa2_newsletter_update"]["thread_metadata"];
    assert_eq!((&thread["name"]["text"], &thread["picture"]["direct_path"]), (&json!("Geese"), &json!("")));
    let ended = body(&query(&mut world, ada, "30062808666639665", &rename));
    assert!(!ended["data"]["xwa2_newsletter_delete_v2"].is_null());
    let again = query(&mut world, ada, "30062808666639665", &rename);
    assert_eq!(refused(&again), Some(404));
}

/// What a device was told of newsletters: the name of each notification, and what it says.
fn told(world: &World, probe: usize) -> Vec<(String, Value)> {
    let mex = seen(world, probe, "notification").into_iter().filter_map(|notification| {
        let update: Value = serde_json::from_slice(notification.child("update")?.leaf()?).expect("JSON");
        let (name, body) = update["data"].as_object()?.iter().next()?;
        Some((name.trim_start_matches("xwa2_notify_newsletter_").to_owned(), body.clone()))
    });
    mex.collect()
}

#[test]
fn followers_hear_what_a_newsletter_shows_and_who_speaks_hears_who_has_changed_it() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let newsletter = followed(&mut world, ada, bob).to_string();
    let invite = |number, probe: usize, world: &mut World| {
        let user = world.machine.account(world.device(1).pn).jid(Form::Lid).to_string();
        body(&query(world, probe, number, &json!({ "newsletter_id": newsletter, "user_id": user })))
    };
    let rename = json!({ "newsletter_id": newsletter, "updates": { "name": "Geese" } });
    query(&mut world, ada, "24250201037901610", &rename);
    let (name, changed) = told(&world, bob).pop().expect("he follows it");
    assert_eq!((name.as_str(), &changed["id"]), ("on_metadata_update", &json!(newsletter)));
    assert_eq!(changed["thread_metadata"]["name"]["text"], "Geese");
    assert!(changed["thread_metadata"].get("description").is_none() && changed.get("actor").is_none());
    invite("9387141988078609", ada, &mut world);
    invite("9580828702035549", bob, &mut world);
    query(&mut world, ada, "24250201037901610", &rename);
    let (name, changed) = told(&world, bob).pop().expect("he speaks in it");
    assert_eq!(name, "owner_on_metadata_update");
    assert!(changed["actor"]["id"].as_str().is_some_and(|actor| actor.ends_with("@lid")));
    let before = told(&world, ada).len();
    invite("9546742745432473", ada, &mut world);
    assert_eq!(told(&world, ada).len(), before, "who has given it away is told by the answer");
    let roles = told(&world, bob).split_off(told(&world, bob).len() - 2);
    let roles: Vec<_> = roles.iter().map(|(name, body)| (name.as_str(), &body["user_new_role"])).collect();
    assert_eq!(roles, [("admin_promote", &json!("OWNER")), ("admin_demote", &json!("ADMIN"))]);
    assert!(told(&world, eve).is_empty());
}

#[test]
fn what_has_changed_of_posts_is_asked_for_by_where_and_since_when() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let newsletter = followed(&mut world, ada, bob);
    says(&mut world, ada, &newsletter, "N1");
    says(&mut world, ada, &newsletter, "N2");
    let said = world.now.0 / 1000;
    world.now = UnixMillis(world.now.0 + 60_000);
    let item = Builder::new("item").attr("server_id", 100u64).build();
    let list = Builder::new("list").children([item]).build();
    let view = Builder::new("receipt").attr("id", "v").attr("to", newsletter.clone()).attr("type", "view");
    world.say(bob, view.children([list]).build());
    let mut updates = |attrs: &[(&'static str, i64)]| {
        let mut updates = Builder::new("message_updates");
        for (name, value) in attrs {
            updates = updates.attr(name, value.unsigned_abs());
        }
        let ask = iq::request("u", "get", "newsletter", newsletter.clone()).children([updates.build()]);
        let answer = world.ask(bob, ask.build());
        let messages = answer.child("message_updates").and_then(|all| all.child("messages")).expect("a list");
        assert!(messages.all().iter().all(|message| message.child("plaintext").is_none()));
        messages.all().iter().filter_map(|message| message.number("server_id")).collect::<Vec<_>>()
    };
    assert_eq!(updates(&[]), [100, 101]);
    assert_eq!(updates(&[("count", 1)]), [100]);
    assert_eq!(updates(&[("after", 100)]), [101]);
    assert!(updates(&[("after", i64::MAX)]).is_empty());
    assert_eq!(updates(&[("since", said)]), [100, 101]);
    assert_eq!(updates(&[("since", said + 60)]), [100], "it was looked at");
    assert!(updates(&[("since", said + 61)]).is_empty());
}

#[test]
fn a_post_is_edited_and_taken_back_under_its_own_id() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let newsletter = followed(&mut world, ada, bob);
    says(&mut world, ada, &newsletter, "N1");
    let edit = |kind: &'static str, id: &str, text: &[u8]| {
        let plain = Builder::new("plaintext").bytes(text.to_vec()).build();
        let message = Builder::new("message").attr("id", id.to_owned()).attr("to", newsletter.clone());
        message.attr("type", "text").attr("edit", kind).children([plain]).build()
    };
    let refused = |world: &World, probe| {
        let ack = seen(world, probe, "ack").pop().expect("an ack");
        ack.text("error").map(|code| code.into_owned())
    };
    for (probe, message, code) in [
        (bob, edit("3", "N1", b"ducks"), Some("403")),
        (ada, edit("3", "N9", b"ducks"), Some("404")),
        (ada, edit("3", "N1", b""), Some("400")),
        (ada, edit("8", "N1", b"ducks"), Some("400")),
        (ada, edit("7", "N1", b""), Some("400")),
        (ada, edit("3", "N1", b"ducks"), None),
        (ada, edit("3", "N1", b"ducks"), None),
        (ada, edit("8", "N1", b""), None),
        (ada, edit("3", "N1", b"geese"), Some("404")),
    ] {
        world.say(probe, message);
        assert_eq!(refused(&world, probe).as_deref(), code);
    }
    let heard =
        seen(&world, bob, "message").into_iter().filter(|it| it.jid("from").as_ref() == Some(&newsletter));
    let heard: Vec<_> = heard
        .map(|message| {
            assert_eq!(message.text("id").as_deref(), Some("N1"));
            let plain = message.child("plaintext").and_then(|plain| plain.leaf()).unwrap_or_default();
            (message.text("edit").map(|edit| edit.into_owned()), plain.to_vec())
        })
        .collect();
    let told = [(None, &b"eggs"[..]), (Some("3"), b"ducks"), (Some("8"), b"")];
    assert_eq!(heard, told.map(|(edit, text)| (edit.map(str::to_owned), text.to_vec())));
}

#[test]
fn a_post_shows_only_files_that_were_uploaded_as_they_are() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let bob = world.linked("bob");
    let newsletter = followed(&mut world, ada, bob);
    let mut rng = StdRng::seed_from_u64(7);
    let here = world.machine.media.keep(&mut rng, [7; 32], bytes::Bytes::from_static(b"jpeg"));
    for (place, (key, direct_path, code)) in
        [(32, &*here, Some("400")), (0, "/v/nowhere?ccb=1", Some("400")), (0, &*here, None)]
            .into_iter()
            .enumerate()
    {
        let file = api::WhatsAppFile {
            media_key: vec![1; key],
            encrypted_sha256: vec![2; key],
            direct_path: direct_path.to_owned(),
            ..Default::default()
        };
        let kind = api::media::Kind::Image.into();
        let media = api::Media { kind, sha256: vec![7; 32], file: Some(file), ..Default::default() };
        let image = api::Image { media: Some(media), ..Default::default() };
        let (kind, context) = (Content::Image(image), api::Context::default());
        let (chat, own) = (newsletter.clone(), Jid::lid("1"));
        let around = Surroundings { chat, own, now: UnixMillis(0), edited: None, secret: [0; 32] };
        let bytes = encode(&MessageContent { kind, context }, &around);
        let plain = Builder::new("plaintext").attr("mediatype", "image").bytes(bytes).build();
        let message = Builder::new("message").attr("id", format!("F{place}")).attr("to", newsletter.clone());
        world.say(ada, message.attr("type", "media").children([plain]).build());
        let ack = seen(&world, ada, "ack").pop().expect("an ack");
        assert_eq!(ack.text("error").as_deref(), code, "{place}");
    }
}

#[test]
fn who_is_asked_may_speak_until_the_owner_lets_him_go_or_gives_it_to_him() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let newsletter = followed(&mut world, ada, bob);
    let lid = |world: &World, probe: usize| {
        let device = world.device(probe);
        world.machine.account(device.pn).jid(Form::Lid).to_string()
    };
    let (ada_lid, bob_lid) = (lid(&world, ada), lid(&world, bob));
    let ask = |world: &mut World, probe, number, user: &str| {
        let answer =
            query(world, probe, number, &json!({ "newsletter_id": newsletter.to_string(), "user_id": user }));
        let code = answer.child("error").and_then(|error| error.number("code"));
        code.map_or_else(|| Ok(body(&answer)["data"].clone()), Err)
    };
    const INVITE: &str = "9387141988078609";
    const REVOKE: &str = "9656078347839416";
    const ACCEPT: &str = "9580828702035549";
    const DEMOTE: &str = "9880997548630971";
    const OWNER: &str = "9546742745432473";
    const COUNT: &str = "26278439461859188";
    assert_eq!(ask(&mut world, bob, INVITE, &bob_lid), Err(403));
    assert_eq!(ask(&mut world, bob, ACCEPT, ""), Err(404));
    assert_eq!(ask(&mut world, ada, INVITE, "4915@s.whatsapp.net"), Err(400));
    assert!(ask(&mut world, ada, INVITE, &bob_lid).is_ok());
    assert!(ask(&mut world, ada, REVOKE, &bob_lid).is_ok());
    assert_eq!(ask(&mut world, ada, REVOKE, &bob_lid), Err(404));
    assert_eq!(ask(&mut world, bob, ACCEPT, ""), Err(404));
    assert!(ask(&mut world, ada, INVITE, &bob_lid).is_ok());
    assert!(ask(&mut world, bob, ACCEPT, "").is_ok());
    assert_eq!(ask(&mut world, ada, INVITE, &bob_lid), Err(409));
    assert_eq!(ask(&mut world, eve, COUNT, ""), Err(403));
    let count = ask(&mut world, bob, COUNT, "").expect("an admin may ask");
    assert_eq!(count["xwa2_newsletter_admin"]["admin_count"], 2);
    says(&mut world, bob, &newsletter, "N1");
    let heard = seen(&world, ada, "message").into_iter().any(|it| it.text("id").as_deref() == Some("N1"));
    assert!(heard, "the owner hears what an admin says");
    assert_eq!(ask(&mut world, bob, DEMOTE, &ada_lid), Err(403));
    assert!(ask(&mut world, ada, OWNER, &bob_lid).is_ok());
    assert_eq!(ask(&mut world, ada, OWNER, &bob_lid), Err(403));
    assert!(ask(&mut world, ada, DEMOTE, &ada_lid).is_ok(), "an admin may go by himself");
    assert_eq!(ask(&mut world, bob, DEMOTE, &ada_lid), Err(404));
    let told =
        seen(&world, ada, "notification").into_iter().filter(|it| it.text("type").as_deref() == Some("mex"));
    assert!(told.count() >= 1, "the owner has heard that somebody speaks");
}

#[test]
fn who_has_a_part_in_a_newsletter_silences_what_happens_there() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let newsletter = followed(&mut world, ada, bob).to_string();
    let set = |world: &mut World, probe: usize, id: &str, kind: &str, value: &str| {
        let input = json!({ "newsletter_id": id, "type": kind, "value": value });
        let answer = query(world, probe, "31938993655691868", &json!({ "input": input }));
        answer.child("error").and_then(|error| error.number("code"))
    };
    // What makes no sound: for who speaks, for who follows, and for a stranger.
    let silent = |world: &mut World| {
        [ada, bob, eve].map(|probe| {
            let asked = json!({ "input": { "key": newsletter, "type": "JID" } });
            let shown = body(&query(world, probe, "27456920720571478", &asked));
            let settings = shown["data"]["xwa2_newsletter"]["viewer_metadata"]["settings"].clone();
            let settings = settings.as_array().expect("settings").clone();
            let on = settings.iter().filter(|setting| setting["value"] == "ON");
            on.map(|on| on["type"].as_str().expect("a kind").to_owned()).collect::<Vec<_>>()
        })
    };
    let (followers, admins) = ("MUTE_FOLLOWER_ACTIVITY", "MUTE_ADMIN_ACTIVITY");
    assert_eq!(silent(&mut world), [vec![], vec![], Vec::<String>::new()]);
    for (probe, kind) in [(bob, followers), (ada, followers), (ada, admins)] {
        assert_eq!(set(&mut world, probe, &newsletter, kind, "ON"), None, "{kind}");
    }
    let chosen = [vec![followers.to_owned(), admins.to_owned()], vec![followers.to_owned()], vec![]];
    assert_eq!(silent(&mut world), chosen);
    let refused = [
        (bob, &*newsletter, admins, "ON", 403),
        (eve, &newsletter, followers, "ON", 403),
        (bob, "7@newsletter", followers, "ON", 404),
        (bob, "7", followers, "ON", 400),
        (bob, &newsletter, "MUTE_HENS", "ON", 400),
        (bob, &newsletter, followers, "PERHAPS", 400),
    ];
    for (probe, id, kind, value, code) in refused {
        assert_eq!(set(&mut world, probe, id, kind, value), Some(code), "{kind} {value}");
        assert_eq!(silent(&mut world), chosen, "{kind} {value} of {id} changes nothing");
    }
    assert_eq!(set(&mut world, bob, &newsletter, followers, "OFF"), None);
    assert_eq!(silent(&mut world), [chosen[0].clone(), vec![], vec![]]);
    assert_eq!(set(&mut world, ada, &newsletter, followers, "OFF"), None);
    assert_eq!(silent(&mut world), [vec![admins.to_owned()], vec![], vec![]], "of one kind alone");
}
