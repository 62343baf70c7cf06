//! Devices that are unlinked and linked anew: what ends with the unlinking, what waits for the same account to come back,
//! and what another one must not get.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::login::StreamError;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq};

use super::world::{Step, World, stanzas};
use super::{making, posts, secrets};
use crate::device::{Command, Import, ImportedDevice, PacingPolicy, PairMethod, Part, Secret, SendError};
use crate::machine::Account;
use crate::port::{MessageState, StateKey, StateKind};

/// The account of [`World::online`], under another number of device and other keys.
fn same() -> Account {
    Account {
        pn: Jid::pn_device("4915100000000", 5),
        lid: Some(Jid::lid_device("900000", 5)),
        identity: Bytes::from_static(b"anew"),
        push_name: String::new(),
        logged_out: false,
        without_history: false,
    }
}

pub(super) fn another() -> Account {
    Account { pn: Jid::pn_device("4915112345678", 3), lid: Some(Jid::lid_device("910000", 3)), ..same() }
}

/// The phone unlinks it.
fn unlink(world: &mut World) {
    world.stanza(StreamError::DeviceRemoved.to_stanza());
    assert_eq!(world.status(), State::LoggedOut);
}

pub(super) fn import(account: Account) -> Command {
    let device = ImportedDevice {
        keys: Secret(Bytes::new()),
        pages: Vec::new(),
        account,
        salt: Secret(Bytes::new()),
        source: "whatsmeow".to_owned(),
    };
    Command::Import(Box::new(Import { generation: 1 << 31, part: Part::Device(Box::new(device)) }))
}

/// It becomes the device of this account, and comes online; what goes out until then.
fn link(world: &mut World, account: Account) -> Vec<Stanza> {
    let (_, mut sent) = world.command(import(account));
    sent.extend(world.commit_everything());
    sent.extend(world.go_online_and_tell());
    sent
}

/// Answers what is asked, without WhatsApp's word on messages.
fn go_on(world: &mut World) {
    for _ in 0..12 {
        for step in [Step::CommitDone, Step::AnswerRequest, Step::Crypto, Step::Lookup] {
            world.take(step);
        }
    }
}

/// The events that tell how messages ended: ids of requests, states, and why.
fn told(world: &World) -> Vec<(MessageState, &str)> {
    let states = world.payloads.iter().filter_map(|payload| match payload {
        Payload::MessageStateChanged(changed) => Some((changed.state(), changed.failure.as_str())),
        _ => None,
    });
    states.collect()
}

/// One message is on the wire and not acknowledged, and one waits for a connection; then the device is unlinked.
fn unlinked_with_messages(seed: u64) -> World {
    let mut world = World::online(seed);
    world.take(Step::Send(1));
    go_on(&mut world);
    assert_eq!(world.wired(), 1);
    world.take(Step::LinkDown);
    world.take(Step::Send(2));
    world.commit_everything();
    world.take(Step::Time(400_000));
    world.take(Step::LinkUp);
    unlink(&mut world);
    world
}

fn requests(world: &World) -> [String; 2] {
    let mut stored: Vec<_> = world.messages.values().collect();
    stored.sort_by_key(|stored| stored.ordinal);
    [0, 1].map(|place: usize| stored[place].message.request_id.clone())
}

#[test]
fn what_waits_when_a_device_is_unlinked_ends_with_that_and_says_so() {
    for account in [same(), another()] {
        let mut world = unlinked_with_messages(1);
        world.commit_everything();
        let [first, second] = requests(&world);
        assert_eq!(world.state_of(&first), MessageState::Indeterminate, "it may have arrived");
        assert_eq!(world.state_of(&second), MessageState::Failed);
        let ends = [(MessageState::Indeterminate, ""), (MessageState::Failed, "DEVICE_LOGGED_OUT")];
        assert_eq!(told(&world), ends);
        let sent = link(&mut world, account);
        assert!(!sent.iter().any(|stanza| stanza.tag == "message"), "{sent:?}");
        assert_eq!(told(&world), ends, "once");
    }
}

#[test]
fn the_next_owner_ends_what_an_unlinked_device_has_left() {
    // The commit of the end is lost with the owner, or was never made by an earlier release; in the second round somebody
    // has begun to pair it.
    for being_paired in [false, true] {
        let mut world = unlinked_with_messages(2);
        let key = StateKey { kind: StateKind::Account, name: String::new() };
        match being_paired {
            true => world.rows.remove(&key),
            false => world.rows.insert(key, Account { logged_out: true, ..same() }.to_bytes()),
        };
        let mut world = world.taken_over();
        let [first, second] = requests(&world);
        assert_eq!((world.state_of(&first), world.dials), (MessageState::Sending, 0));
        world.commit_everything();
        assert_eq!(world.state_of(&first), MessageState::Indeterminate);
        assert_eq!(world.state_of(&second), MessageState::Failed);
    }
}

#[test]
fn many_messages_end_a_piece_at_a_time_and_all_before_another_account_is_linked() {
    let mut world = World::online(3);
    world.take(Step::LinkDown);
    for _ in 0..300 {
        world.take(Step::Send(1));
        world.commit_everything();
    }
    world.take(Step::Time(400_000));
    world.take(Step::LinkUp);
    unlink(&mut world);
    let ended =
        |world: &World| world.messages.values().filter(|stored| stored.state == MessageState::Failed).count();
    world.take(Step::CommitDone);
    assert!((1..=128).contains(&ended(&world)), "{}", ended(&world));
    world.command(import(another()));
    world.take(Step::Crypto);
    while world.account().is_none_or(|account| account.logged_out) {
        assert!(world.commits(), "it comes to an end");
        world.take(Step::CommitDone);
    }
    assert_eq!(ended(&world), 300);
}

#[test]
fn a_message_that_is_being_accepted_when_its_device_is_unlinked_ends_too() {
    let mut world = World::online(4);
    world.take(Step::Send(1));
    assert!(world.commits());
    unlink(&mut world);
    world.commit_everything();
    assert_eq!(told(&world), [(MessageState::Failed, "DEVICE_LOGGED_OUT")]);
    let sent = link(&mut world, another());
    assert!(!sent.iter().any(|stanza| stanza.tag == "message"), "{sent:?}");
}

#[test]
fn a_message_that_has_not_come_is_told_as_lost_and_the_new_phone_is_not_asked_for_it() {
    let mut world = World::online(5);
    world.undecryptable("3EB0LOST");
    assert_eq!(world.awaited().len(), 1);
    unlink(&mut world);
    world.commit_everything();
    assert!(world.awaited().is_empty());
    let lost = |payload: &&Payload| matches!(payload, Payload::Undecryptable(_));
    assert_eq!(world.payloads.iter().filter(lost).count(), 1);
    link(&mut world, another());
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.extend(stanzas(world.take(Step::Time(10_000))));
        sent.extend(world.commit_everything());
    }
    let to_phone = |stanza: &&Stanza| stanza.text("category").as_deref() == Some("peer");
    assert_eq!(sent.iter().find(to_phone), None);
}

/// Asks for a group by a request, which WhatsApp makes when it is asked; its JID, and whether it was.
fn makes(world: &mut World, id: &'static str) -> (String, bool) {
    let (token, _) = world.command(making::make("r-group", 1));
    world.commit_everything();
    let asked = world.requests.iter().position(|request| request.child("create").is_some());
    if let Some(create) = asked.and_then(|place| world.requests.remove(place)) {
        let group = Builder::new("group").attr("id", id).attr("subject", "Hens").build();
        world.stanza(iq::result(&create).children([group]).build());
        world.commit_everything();
    }
    (world.made(token).expect("it is answered").expect("it is made"), asked.is_some())
}

/// Everything that is kept for an account beside its keys.
fn lived_in(seed: u64) -> (World, String) {
    let mut world = World::online(seed);
    makes(&mut world, "120363000000000009");
    world.command(Command::SetPacing(PacingPolicy { reply_per_minute: 0, reach_out_per_day: 3 }));
    world.command(Command::WatchPresence { user: Jid::lid("800000"), watch: true });
    world.command(Command::SetPresence { available: false });
    world.commit_everything();
    let post = posts::sent(&mut world, posts::post(vec![Jid::lid("800000")]));
    world.take(Step::AckOurs);
    world.take(Step::Send(1));
    go_on(&mut world);
    world.take(Step::AckOurs);
    world.commit_everything();
    let nack = Builder::new("ack").attr("class", "message").attr("error", 463u64);
    world.take(Step::Send(2));
    go_on(&mut world);
    world.stanza(nack.attr("id", world.last_wired()).build());
    world.commit_everything();
    assert!(world.health().time_lock.is_some());
    unlink(&mut world);
    world.commit_everything();
    (world, post.text("id").expect("an id").into_owned())
}

fn kept(world: &World, kind: StateKind) -> Vec<&str> {
    world.rows.keys().filter(|key| key.kind == kind).map(|key| key.name.as_str()).collect()
}

/// Whether a message to this person counts as the first one.
fn begins_a_chat(world: &mut World, to: u8) -> bool {
    let before = world.reach_outs_left();
    world.take(Step::Send(to));
    go_on(world);
    world.reach_outs_left() < before
}

#[test]
fn another_account_gets_nothing_of_what_was_the_first_ones() {
    let (mut world, post) = lived_in(6);
    let sent = link(&mut world, another());
    let watched = sent.iter().find(|stanza| stanza.text("type").as_deref() == Some("subscribe"));
    assert_eq!(watched, None);
    let hides =
        |stanza: &Stanza| stanza.tag == "presence" && stanza.text("type").as_deref() == Some("unavailable");
    assert!(sent.iter().any(hides), "whether the device shows itself is its caller's wish");
    assert!(world.health().time_lock.is_none() && world.health().nacks.is_empty());
    let cleared = |payload: &&Payload| match payload {
        Payload::AccountHealthChanged(api::AccountHealthChanged { health: Some(health) }) => {
            health.time_lock.is_none()
        }
        _ => false,
    };
    assert!(world.payloads.iter().any(|payload| cleared(&payload)), "who follows the health hears of it");
    for kind in [StateKind::Making, StateKind::StatusPost] {
        assert!(kept(&world, kind).is_empty(), "{kind:?}");
    }
    assert_eq!(
        world.reach_outs_left(),
        Some(3),
        "the pace is the device's, what is used up was the account's"
    );
    assert!(begins_a_chat(&mut world, 1), "whom the other account has written to knows this one not");
    assert_eq!(makes(&mut world, "120363000000000010"), ("120363000000000010@g.us".to_owned(), true));
    let (token, _) = world.command(Command::Send(Box::new(posts::taking_back(&post))));
    world.commit_everything();
    assert!(world.told(token).is_some_and(|told| told.is_err()), "it has no post of this id");
}

#[test]
fn the_same_account_finds_what_is_its_own_whoever_owns_the_device_by_then() {
    for taken_over in [false, true] {
        let (mut world, post) = lived_in(7);
        if taken_over {
            world = world.taken_over();
            world.commit_everything();
        }
        let sent = link(&mut world, same());
        let watched = sent.iter().find(|stanza| stanza.text("type").as_deref() == Some("subscribe"));
        assert_eq!(watched.and_then(|stanza| stanza.jid("to")), Some(Jid::lid("800000")));
        // The store of this world keeps no status.
        assert!(world.health().time_lock.is_some() || taken_over);
        assert!(!begins_a_chat(&mut world, 1), "there is a chat");
        assert_eq!(makes(&mut world, "120363000000000010"), ("120363000000000009@g.us".to_owned(), false));
        let (token, _) = world.command(Command::Send(Box::new(posts::taking_back(&post))));
        world.commit_everything();
        assert_eq!(world.told(token), Some(Ok(())));
    }
}

#[test]
fn an_account_is_known_again_behind_an_attempt_that_pairs_nothing_and_by_its_lid_alone() {
    let (mut world, _) = lived_in(8);
    world.command(Command::Pair(Box::new(PairMethod::Qr.into())));
    world.commit_everything();
    assert_eq!(world.account(), None, "it is nobody's");
    let mut world = world.taken_over();
    world.commit_everything();
    link(&mut world, Account { pn: Jid::pn_device("4915199999990", 5), ..same() });
    assert_eq!(makes(&mut world, "120363000000000010"), ("120363000000000009@g.us".to_owned(), false));
}

#[test]
fn nobody_is_given_a_message_again_by_another_account_and_no_receipt_to_it_counts() {
    let mut world = World::online(9);
    world.take(Step::Send(1));
    go_on(&mut world);
    world.take(Step::AckOurs);
    world.commit_everything();
    let [id, request] = world
        .messages
        .values()
        .map(|stored| [stored.message.whatsapp_id.clone(), stored.message.request_id.clone()])
        .next()
        .expect("one");
    unlink(&mut world);
    world.commit_everything();
    world.take(Step::Time(1_000));
    link(&mut world, another());
    let from = Jid::lid_device("800000", 2);
    let receipt = || Builder::new("receipt").attr("from", from.clone()).attr("id", id.clone());
    let retry = Builder::new("retry").attr("count", 1u64).build();
    let asks = receipt().attr("type", "retry").children([retry]);
    let mut sent = Vec::new();
    for stanza in [receipt().build(), asks.build()] {
        sent.extend(stanzas(world.stanza(stanza)));
        for _ in 0..5 {
            sent.extend(world.commit_everything());
            sent.extend(stanzas(world.take(Step::AnswerRequest)));
        }
    }
    assert!(!sent.iter().any(|stanza| stanza.tag == "message"), "{sent:?}");
    assert_eq!(sent.iter().filter(|stanza| stanza.tag == "ack").count(), 2, "both are settled");
    assert_eq!(world.state_of(&request), MessageState::Sent);
}

#[test]
fn a_send_that_is_decided_when_its_device_is_unlinked_already_is_refused() {
    let mut world = World::online(10);
    // What is edited is looked for first.
    let edit = api::EditMessage { whatsapp_id: "3EB0OLD".into(), text: "after".into(), encrypted: false };
    let content = api::send_message_request::Content::Edit(edit);
    let (token, _) = world.command(Command::Send(Box::new(secrets::request(content, 1))));
    assert_eq!(world.told(token), None);
    unlink(&mut world);
    world.commit_everything();
    assert_eq!(world.told(token), Some(Err(SendError::LoggedOut)));
    assert!(world.messages.is_empty());
}
