//! What a device says of its way to WhatsApp.

use roost_proto::api::device::State;
use roost_proto::stanza::Builder;

use super::world::{Step, World};
use crate::machine::{Effect, Event};
use crate::port::Reached;

fn reached(effects: &[Effect]) -> Option<Reached> {
    let said = effects.iter().rev();
    let mut said =
        said.filter_map(|effect| if let Effect::Reached(said) = effect { Some(*said) } else { None });
    said.next()
}

/// The next attempt.
fn again(world: &mut World) {
    world.take(Step::Time(400_000));
}

#[test]
fn a_device_says_since_when_it_does_not_get_through_and_takes_it_back_when_it_does() {
    let mut world = World::loaded(1);
    let first = reached(&world.take(Step::Unreached)).expect("it says so");
    assert!(first.failing.is_some() && first.heard.is_none());
    again(&mut world);
    assert_eq!(reached(&world.take(Step::Unreached)), None, "since the first failure, not the last");
    again(&mut world);
    let through = reached(&world.take(Step::LinkUp)).expect("it says so");
    assert!(through.heard.is_some() && through.failing.is_none());
}

#[test]
fn a_connection_that_is_lost_and_an_attempt_that_fails_for_other_reasons_say_nothing_of_the_way() {
    let mut world = World::loaded(2);
    assert_eq!(reached(&world.take(Step::LinkDown)), None, "no permit, for example");
    again(&mut world);
    let old = Event::LinkDown { link: 1, why: "test".to_owned(), unreached: true };
    assert_eq!(reached(&world.feed(old)), None, "an old link");
    assert!(reached(&world.take(Step::LinkUp)).is_some());
    assert_eq!(reached(&world.take(Step::LinkDown)), None, "it was up");
}

/// Two tasks tell of a link, and under load they change places.
#[test]
fn a_greeting_that_overtakes_the_news_of_its_link_is_heard() {
    let mut world = World::loaded(3);
    world.link_is_read();
    let greeted = reached(&world.take(Step::Success)).expect("it says so");
    assert!(greeted.heard.is_some());
    assert_eq!(world.feed(Event::LinkUp { link: 1 }), [], "the news comes late");
    world.take(Step::AnswerRequest);
    assert_eq!(world.status(), State::Online);
}

#[test]
fn what_an_old_link_still_says_brings_no_new_one_up() {
    let mut world = World::loaded(4);
    world.take(Step::LinkUp);
    world.take(Step::LinkDown);
    again(&mut world);
    let success = Builder::new("success").build();
    assert_eq!(world.stanza_on(1, success, false), [Effect::Credit(1)]);
}
