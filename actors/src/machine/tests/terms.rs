//! What the sender of a message allows: until when, whether again, and taking it back.

use std::time::Duration;

use roost_proto::content::MessageContent;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid};

use super::secrets::next_owner;
use super::world::{Step, World};
use crate::device::{Command, CommandError, Recipient, SendRequest};
use crate::port::{MessageState, Terms};

const BRIEF: Duration = Duration::from_secs(5);

fn request(world: &World, id: &str, expires_in: Option<Duration>, once: bool) -> Command {
    let later = |span: Duration| UnixMillis(world.wall().0 + i64::try_from(span.as_millis()).expect("short"));
    Command::Send(Box::new(SendRequest {
        to: Recipient::Newsletter("1203631".into()),
        content: MessageContent::text("hens"),
        request_id: id.to_owned(),
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Terms { expires: expires_in.map(later), once },
    }))
}

/// Accepts messages as far as a link is there.
fn accept(world: &mut World, id: &str, expires_in: Option<Duration>, once: bool) {
    let command = request(world, id, expires_in, once);
    world.command(command);
    world.commit_everything();
}

fn cancel(world: &mut World, id: &str) -> u64 {
    let stored = world.messages.values().find(|stored| stored.message.request_id == id).expect("accepted");
    let message_id = stored.message.message_id.clone();
    let (token, _) = world.command(Command::Cancel { message_id });
    token
}

fn pass(world: &mut World, span: Duration) {
    world.take(Step::Time(u64::try_from(span.as_millis()).expect("short")));
    world.commit_everything();
}

#[test]
fn what_is_not_encrypted_in_time_is_never_sent() {
    let mut world = World::online(1);
    world.take(Step::LinkDown);
    accept(&mut world, "brief", Some(BRIEF), false);
    accept(&mut world, "patient", None, false);
    pass(&mut world, BRIEF - Duration::from_millis(1));
    assert_eq!(world.state_of("brief"), MessageState::Accepted);
    pass(&mut world, Duration::from_millis(1));
    assert_eq!(world.state_of("brief"), MessageState::Expired, "it needs no link");
    world.go_online();
    assert_eq!((world.wired(), world.state_of("patient")), (1, MessageState::Sending));
}

#[test]
fn the_next_owner_knows_until_when() {
    let mut world = World::online(2);
    world.take(Step::LinkDown);
    accept(&mut world, "brief", Some(BRIEF), false);
    world.take(Step::Time(4_000));
    let mut next = world.taken_over();
    assert_eq!(next.state_of("brief"), MessageState::Accepted);
    pass(&mut next, Duration::from_secs(1));
    next.go_online();
    assert_eq!((next.wired(), next.state_of("brief")), (0, MessageState::Expired));
}

#[test]
fn a_moment_that_has_passed_already_is_the_end_at_once() {
    let mut world = World::online(3);
    accept(&mut world, "late", Some(Duration::ZERO), false);
    assert_eq!((world.wired(), world.state_of("late")), (0, MessageState::Expired));
}

#[test]
fn what_is_on_the_wire_does_not_expire() {
    let mut world = World::online(4);
    accept(&mut world, "brief", Some(BRIEF), false);
    pass(&mut world, BRIEF * 2);
    assert_eq!((world.wired(), world.state_of("brief")), (1, MessageState::Sending));
}

#[test]
fn a_message_that_waits_can_be_taken_back() {
    let mut world = World::online(5);
    world.take(Step::LinkDown);
    accept(&mut world, "waits", None, false);
    let taken = [cancel(&mut world, "waits"), cancel(&mut world, "waits")];
    assert_eq!(taken.map(|token| world.done(token)), [None, None], "nothing is stored of it yet");
    world.commit_everything();
    assert_eq!(taken.map(|token| world.done(token)), [Some(Ok(())), Some(Ok(()))]);
    pass(&mut world, BRIEF);
    world.go_online();
    assert_eq!((world.wired(), world.state_of("waits")), (0, MessageState::Cancelled));
}

#[test]
fn a_repetition_beside_it_does_not_undo_that_a_message_is_taken_back() {
    let mut world = World::online(10);
    world.take(Step::LinkDown);
    accept(&mut world, "waits", None, false);
    let other = request(&world, "other", None, false);
    world.command(other);
    // While that is on its way to the store, both gather in the batch behind it.
    cancel(&mut world, "waits");
    let again = request(&world, "waits", None, false);
    world.command(again);
    world.commit_everything();
    pass(&mut world, BRIEF);
    world.go_online();
    assert_eq!((world.wired(), world.state_of("waits")), (1, MessageState::Cancelled));
}

#[test]
fn whoever_may_not_act_takes_nothing_back() {
    let mut world = World::online(11);
    world.take(Step::LinkDown);
    accept(&mut world, "waits", None, false);
    world.take(Step::LeaseLost);
    let token = cancel(&mut world, "waits");
    assert_eq!(world.done(token), Some(Err(CommandError::Unavailable)));
}

#[test]
fn a_message_on_the_wire_goes_its_way_whoever_takes_it_back() {
    let mut world = World::online(6);
    accept(&mut world, "gone", None, false);
    let token = cancel(&mut world, "gone");
    assert_eq!((world.done(token), world.state_of("gone")), (Some(Ok(())), MessageState::Sending));
    world.take(Step::AckOurs);
    world.commit_everything();
    assert_eq!(world.state_of("gone"), MessageState::Sent);
}

#[test]
fn what_may_have_arrived_is_sent_again_or_reported_as_its_sender_wants() {
    let mut world = World::online(7);
    accept(&mut world, "again", None, false);
    accept(&mut world, "once", None, true);
    assert_eq!(world.wired(), 2);
    world.take(Step::LinkDown);
    pass(&mut world, BRIEF);
    world.go_online();
    let states = |world: &World| ["again", "once"].map(|id| world.state_of(id));
    assert_eq!((world.wired(), states(&world)), (3, [MessageState::Sending, MessageState::Indeterminate]));
}

#[test]
fn the_next_owner_reports_what_the_one_before_may_have_sent() {
    let mut world = World::online(8);
    accept(&mut world, "once", None, true);
    let mut next = next_owner(world);
    next.commit_everything();
    assert_eq!((next.wired(), next.state_of("once")), (0, MessageState::Indeterminate));
}

#[test]
fn an_acknowledgement_that_comes_late_still_counts() {
    let mut world = World::online(9);
    accept(&mut world, "once", None, true);
    let id = world.last_wired();
    pass(&mut world, Duration::from_secs(60));
    assert_eq!(world.state_of("once"), MessageState::Indeterminate);
    let ack = |error: &'static str| {
        Builder::new("ack").attr("class", "message").attr("id", id.clone()).attr("error", error).build()
    };
    world.stanza(ack("479"));
    world.commit_everything();
    assert_eq!(world.state_of("once"), MessageState::Indeterminate);
    world.stanza(ack("0"));
    world.commit_everything();
    assert_eq!(world.state_of("once"), MessageState::Sent);
    let from: Jid = "1203631@newsletter".parse().expect("a JID");
    for kind in ["read", "inactive"] {
        let receipt = Builder::new("receipt").attr("from", from.clone()).attr("id", id.clone());
        world.stanza(receipt.attr("type", kind).build());
        world.commit_everything();
    }
    let told = |state: MessageState| {
        let end = format!("/{}", i32::from(state));
        world.events().iter().any(|key| key.starts_with("state/") && key.ends_with(&end))
    };
    assert!(told(MessageState::Read) && !told(MessageState::Delivered), "{:?}", world.events());
}
