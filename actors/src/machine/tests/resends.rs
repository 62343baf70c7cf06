//! Messages of ours that another device asks for again.

use roost_proto::stanza::{Read, Stanza};

use super::world::{Step, World};

/// A device that has sent a message and was asked for it again, as far as the question for the keys of who asks.
fn asked(seed: u64) -> World {
    let mut world = World::online(seed);
    world.take(Step::Send(1));
    for _ in 0..8 {
        for step in [Step::CommitDone, Step::AnswerRequest, Step::Crypto] {
            world.take(step);
        }
    }
    world.take(Step::AckOurs);
    world.take(Step::AnswerRequest);
    world.commit_everything();
    world.take(Step::RetryForOurs);
    world.take(Step::CommitDone);
    world.take(Step::Lookup);
    assert_eq!(questions(&world), 1, "the keys of who asks are needed");
    world
}

/// Questions for keys that are not answered.
fn questions(world: &World) -> usize {
    let for_keys = |iq: &&Stanza| iq.text("xmlns").as_deref() == Some("encrypt") && iq.child("key").is_some();
    world.requests.iter().filter(for_keys).count()
}

#[test]
fn keys_that_could_not_be_had_just_now_are_asked_for_again_while_the_link_holds() {
    let mut world = asked(1);
    world.take(Step::RefuseRequest);
    assert_eq!(questions(&world), 0);
    world.take(Step::Time(4_900));
    assert_eq!(questions(&world), 0);
    world.take(Step::Time(200));
    assert_eq!(questions(&world), 1);
}

#[test]
fn keys_are_not_asked_for_for_ever() {
    let mut world = asked(2);
    let mut refused = 0;
    while questions(&world) > 0 {
        refused += 1;
        assert!(refused < 20, "it never ends");
        world.take(Step::RefuseRequest);
        world.take(Step::Time(5_100));
    }
    assert_eq!(refused, 5);
}

#[test]
fn what_waits_for_keys_is_asked_for_anew_over_the_next_link() {
    let mut world = asked(3);
    world.take(Step::RefuseRequest);
    world.take(Step::LinkDown);
    world.take(Step::Time(u64::try_from(world.pause().as_millis()).expect("short") + 1));
    world.go_online();
    world.take(Step::Time(5_100));
    assert_eq!(questions(&world), 0, "the receipt comes again with the login");
}
