//! Groups and newsletters that are asked for more than once: how many are made, and what each caller hears.

use std::time::Duration;

use roost_proto::ask::groups::CreateGroup;
use roost_proto::ask::making::New;
use roost_proto::ask::newsletters::CreateNewsletter;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq};

use super::world::{Step, World};
use crate::device::{AskError, Command, Make, MakeError};

const GROUP: &str = "120363000000000009@g.us";
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody asks for a group by a request; his token.
fn asked(world: &mut World, request_id: &str, hash: u8) -> u64 {
    let (token, _) = world.command(make(request_id, hash));
    world.commit_everything();
    token
}

pub(super) fn make(request_id: &str, hash: u8) -> Command {
    let group = CreateGroup {
        subject: "Hens".to_owned(),
        members: vec![Jid::lid("800000")],
        community: false,
        parent: None,
        general_chat: false,
        members_create_subgroups: false,
    };
    let make = Make { what: New::Group(group), request_id: request_id.to_owned(), request_hash: [hash; 32] };
    Command::Make { make: Box::new(make), patience: PATIENCE }
}

/// The request that WhatsApp has to answer next.
fn request(world: &mut World, tag: &str) -> Stanza {
    let request = world.requests.pop_front().expect("WhatsApp was asked");
    assert!(request.child(tag).is_some(), "{request:?} is no {tag}");
    request
}

fn key(request: &Stanza) -> String {
    request.child("create").and_then(|create| create.text("key")).expect("a key").into_owned()
}

fn group(id: &'static str) -> Stanza {
    Builder::new("group")
        .attr("id", id)
        .attr("subject", "Hens")
        .attr("creation", 1_700_000_001u64)
        .attr("creator", Jid::lid("900000"))
        .build()
}

fn answer(world: &mut World, request: &Stanza, child: Stanza) {
    world.stanza(iq::result(request).children([child]).build());
    world.commit_everything();
}

/// WhatsApp tells what there is.
fn tell_all(world: &mut World, groups: impl IntoIterator<Item = &'static str>) {
    let question = request(world, "participating");
    let groups = Builder::new("groups").children(groups.into_iter().map(group)).build();
    answer(world, &question, groups);
}

#[test]
fn a_group_is_made_once_for_all_who_repeat_its_request() {
    let mut world = World::online(1);
    let first = asked(&mut world, "r1", 1);
    let second = asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    assert!(world.requests.is_empty(), "who repeats it meanwhile waits with the first");
    assert_eq!(world.made(first), None);
    answer(&mut world, &create, group("120363000000000009"));
    let third = asked(&mut world, "r1", 1);
    for token in [first, second, third] {
        assert_eq!(world.made(token), Some(Ok(GROUP.to_owned())));
    }
    let other = asked(&mut world, "r1", 2);
    assert_eq!(world.made(other), Some(Err(MakeError::KeyReused)));
    let mut next = world.taken_over();
    let late = asked(&mut next, "r1", 1);
    assert_eq!(next.made(late), Some(Ok(GROUP.to_owned())), "the next owner knows it too");
}

#[test]
fn a_group_whose_answer_was_lost_is_found_by_the_next_owner() {
    let mut world = World::online(2);
    let token = asked(&mut world, "r1", 1);
    request(&mut world, "create");
    world.take(Step::LinkDown);
    assert_eq!(world.made(token), Some(Err(AskError::Lost.into())));
    let mut next = world.taken_over();
    next.go_online();
    let again = asked(&mut next, "r1", 1);
    tell_all(&mut next, ["120363000000000009"]);
    assert_eq!(next.made(again), Some(Ok(GROUP.to_owned())));
    assert!(next.requests.is_empty(), "nothing is made a second time");
}

#[test]
fn a_group_that_was_never_made_is_made_under_the_same_key() {
    let mut world = World::online(3);
    asked(&mut world, "r1", 1);
    let key = key(&request(&mut world, "create"));
    let mut next = world.taken_over();
    next.go_online();
    let token = asked(&mut next, "r1", 1);
    tell_all(&mut next, []);
    let create = request(&mut next, "create");
    assert_eq!(self::key(&create), key);
    answer(&mut next, &create, group("120363000000000009"));
    assert_eq!(next.made(token), Some(Ok(GROUP.to_owned())));
}

#[test]
fn what_takes_longer_than_its_callers_wait_is_not_asked_for_twice_on_one_connection() {
    let mut world = World::online(10);
    let first = asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    world.take(Step::Time(6_000));
    assert_eq!(world.made(first), Some(Err(AskError::Late.into())));
    let second = asked(&mut world, "r1", 1);
    assert!(world.requests.is_empty(), "it is being made");
    answer(&mut world, &create, group("120363000000000009"));
    assert_eq!(world.made(second), Some(Ok(GROUP.to_owned())));

    asked(&mut world, "r2", 1);
    request(&mut world, "create");
    world.take(Step::Time(40_000));
    world.requests.clear();
    let third = asked(&mut world, "r2", 1);
    tell_all(&mut world, []);
    assert_eq!(world.made(third), Some(Err(AskError::Late.into())), "it may still be made");
    assert!(world.requests.is_empty());
}

#[test]
fn nothing_is_made_for_callers_who_have_given_up_while_the_store_was_away() {
    let mut world = World::online(11);
    let (token, _) = world.command(make("r1", 1));
    world.take(Step::CommitFailed);
    let (refused, _) = world.command(make("r2", 1));
    assert_eq!(world.made(refused), Some(Err(AskError::Unavailable.into())));
    world.take(Step::Time(6_000));
    assert_eq!(world.made(token), Some(Err(AskError::Late.into())));
    world.commit_everything();
    assert!(world.requests.iter().all(|request| request.child("create").is_none()));
}

#[test]
fn what_another_request_has_made_is_not_taken_for_it() {
    let mut world = World::online(4);
    asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    answer(&mut world, &create, group("120363000000000009"));
    asked(&mut world, "r2", 1);
    request(&mut world, "create");
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.go_online();
    let again = asked(&mut world, "r2", 1);
    tell_all(&mut world, ["120363000000000009"]);
    let create = request(&mut world, "create");
    answer(&mut world, &create, group("120363000000000010"));
    assert_eq!(world.made(again), Some(Ok("120363000000000010@g.us".to_owned())));
}

#[test]
fn the_notification_of_a_group_says_by_which_request_it_was_made() {
    let mut world = World::online(5);
    asked(&mut world, "r1", 1);
    let key = key(&request(&mut world, "create"));
    world.take(Step::Time(6_000));
    notified(&mut world, key);
    let token = asked(&mut world, "r1", 1);
    assert_eq!(world.made(token), Some(Ok(GROUP.to_owned())));
}

/// WhatsApp tells of a group that was made by this key.
fn notified(world: &mut World, key: String) {
    let create = Builder::new("create").attr("type", "new").attr("key", key);
    let told = Builder::new("notification").attr("type", "w:gp2").attr("id", "n1");
    let told = told.attr("from", GROUP.parse::<Jid>().expect("a JID"));
    world.stanza(told.children([create.children([group("120363000000000009")]).build()]).build());
    world.commit_everything();
}

#[test]
fn who_waits_for_a_group_hears_what_the_answer_says_though_a_notification_comes_before_it() {
    let mut world = World::online(13);
    let token = asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    notified(&mut world, key(&create));
    assert_eq!(world.made(token), None, "the answer says who was left out");
    answer(&mut world, &create, group("120363000000000009"));
    assert_eq!(world.made(token), Some(Ok(GROUP.to_owned())));

    let mut world = World::online(14);
    let token = asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    notified(&mut world, key(&create));
    world.take(Step::LinkDown);
    world.commit_everything();
    assert_eq!(world.made(token), Some(Ok(GROUP.to_owned())), "the answer is lost, and the group is there");
}

#[test]
fn a_refused_request_may_be_made_anew() {
    let mut world = World::online(6);
    let token = asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    world.stanza(iq::error(&create, &iq::Refused::new(406)));
    world.commit_everything();
    let refused = AskError::Refused(iq::Refused::new(406));
    assert_eq!(world.made(token), Some(Err(refused.into())));
    asked(&mut world, "r1", 2);
    request(&mut world, "create");
}

#[test]
fn what_whatsapp_could_not_make_just_now_is_asked_for_again_on_the_same_connection() {
    let mut world = World::online(12);
    asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    world.stanza(iq::error(&create, &iq::Refused::new(500)));
    world.commit_everything();
    let token = asked(&mut world, "r1", 1);
    tell_all(&mut world, []);
    let create = request(&mut world, "create");
    answer(&mut world, &create, group("120363000000000009"));
    assert_eq!(world.made(token), Some(Ok(GROUP.to_owned())));
}

#[test]
fn nothing_is_asked_of_whatsapp_before_the_request_is_durable_or_without_a_connection() {
    let mut world = World::loaded(7);
    let token = asked(&mut world, "r1", 1);
    assert_eq!(world.made(token), Some(Err(AskError::NotConnected.into())));
    world.go_online();
    let (_, sent) = world.command(make("r1", 1));
    assert!(sent.is_empty() && world.requests.is_empty());
    world.commit_everything();
    request(&mut world, "create");
}

#[test]
fn a_request_is_forgotten_after_a_day() {
    let mut world = World::online(8);
    asked(&mut world, "r1", 1);
    let create = request(&mut world, "create");
    answer(&mut world, &create, group("120363000000000009"));
    let mut world = world.taken_over();
    world.take(Step::Time(25 * 3600 * 1000));
    world.go_online();
    asked(&mut world, "r2", 1);
    request(&mut world, "create");
    let token = asked(&mut world, "r1", 1);
    assert_eq!(world.made(token), None);
    request(&mut world, "create");
}

/// An answer to a query about newsletters.
fn told(name: &str, body: &str) -> Stanza {
    let body = format!(r#"{{"data":{{"{name}":{body}}}}}"#).into_bytes();
    Builder::new("result").bytes(body).build()
}

/// A newsletter of the account, made now.
fn newsletter(number: u64) -> String {
    format!(
        r#"{{"id":"{number}@newsletter","thread_metadata":{{"creation_time":"1700000001","name":{{"text":"Hens"}}}},
            "viewer_metadata":{{"role":"OWNER"}}}}"#
    )
}

fn make_newsletter(request_id: &str) -> Command {
    let newsletter =
        CreateNewsletter { title: "Hens".to_owned(), description: String::new(), picture: Vec::new() };
    let (what, request_id) = (New::Newsletter(newsletter), request_id.to_owned());
    Command::Make { make: Box::new(Make { what, request_id, request_hash: [1; 32] }), patience: PATIENCE }
}

#[test]
fn a_newsletter_whose_answer_was_lost_is_found_by_the_next_owner_and_one_that_was_not_made_is_made() {
    for made in [true, false] {
        let mut world = World::online(9);
        world.command(make_newsletter("r1"));
        world.commit_everything();
        request(&mut world, "query");
        let mut next = world.taken_over();
        next.go_online();
        let (token, _) = next.command(make_newsletter("r1"));
        next.commit_everything();
        let question = request(&mut next, "query");
        let all = if made { format!("[{}]", newsletter(1203631)) } else { "[]".to_owned() };
        answer(&mut next, &question, told("xwa2_newsletter_subscribed", &all));
        if !made {
            let create = request(&mut next, "query");
            answer(&mut next, &create, told("xwa2_newsletter_create", &newsletter(1203631)));
        }
        assert_eq!(next.made(token), Some(Ok("1203631@newsletter".to_owned())));
        assert!(next.requests.is_empty(), "nothing is made a second time");
    }
}
