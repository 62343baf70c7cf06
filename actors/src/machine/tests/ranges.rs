//! Older messages of a chat that the phone is asked for.

use roost_proto::id::UnixMillis;
use roost_proto::phone::WantHistory;
use roost_proto::stanza::Jid;

use super::world::{Step, World};
use crate::device::{Command, CommandError};

const DAY: u64 = 24 * 3600 * 1000;

/// Asks the phone; the name of the request once it is durable.
fn ask(world: &mut World) -> Result<String, CommandError> {
    let wanted = WantHistory {
        chat: Jid::pn("15559990000"),
        before_id: "3EB0".to_owned(),
        before_from_me: false,
        before: UnixMillis(9_000),
        count: 50,
    };
    let (token, _) = world.command(Command::WantHistory { wanted, since: Some(UnixMillis(1)) });
    world.calm_down();
    world.asked_phone(token).expect("an answer")
}

fn is_given_up(world: &World, request: &str) -> bool {
    world.events().iter().any(|dedupe| dedupe.starts_with("history/") && dedupe.ends_with(request))
}

#[test]
fn a_phone_that_does_not_answer_is_given_up_after_three_days_whoever_owns_the_device_then() {
    let mut world = World::online(1);
    let request = ask(&mut world).expect("asked");
    world.take(Step::Time(2 * DAY));
    world.calm_down();
    assert!(!is_given_up(&world, &request));
    let mut world = world.taken_over();
    world.go_online();
    world.take(Step::Time(DAY + 1));
    world.calm_down();
    assert!(is_given_up(&world, &request), "{:?}", world.events());
}

#[test]
fn what_was_given_up_makes_room_for_other_requests() {
    let mut world = World::online(2);
    while ask(&mut world).is_ok() {}
    assert_eq!(ask(&mut world), Err(CommandError::Busy));
    world.take(Step::Time(3 * DAY + 1));
    world.calm_down();
    world.go_online();
    ask(&mut world).expect("there is room again");
}
