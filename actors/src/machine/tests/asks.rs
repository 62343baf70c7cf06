//! Questions of callers: when they go out, and what the caller hears in each case.

use std::time::Duration;

use roost_proto::stanza::{Builder, Jid, Read, iq};

use super::world::{Step, World, stanzas};
use crate::device::{AskError, Command, CommandError, Limits, SendError, Typing};

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks and says what was refused at once.
fn refused(world: &mut World) -> Option<AskError> {
    let (token, effects) = world.ask(PATIENCE);
    let sent = effects.iter().any(|effect| matches!(effect, crate::machine::Effect::Send { .. }));
    let refusal = world.answer_to(token).map(|answer| answer.expect_err("nobody has answered"));
    assert_eq!(sent, refusal.is_none(), "asked, or refused at once");
    refusal
}

#[test]
fn a_question_goes_out_only_when_messages_flow_and_the_node_may_act() {
    assert_eq!(refused(&mut World::unpaired(1)), Some(AskError::NotPaired));
    let mut world = World::loaded(1);
    assert_eq!(refused(&mut world), Some(AskError::NotConnected));
    world.go_online();
    assert_eq!(refused(&mut world), None);
    world.take(Step::LeaseLost);
    assert_eq!(refused(&mut world), Some(AskError::Unavailable));
    world.take(Step::LeaseBack);
    world.take(Step::Quiesce);
    assert_eq!(refused(&mut world), Some(AskError::Unavailable));
}

#[test]
fn a_banned_device_says_until_when_to_whoever_asks_or_commands() {
    let mut world = World::loaded(9);
    world.take(Step::LinkUp);
    world.stanza(Builder::new("failure").attr("reason", 402u64).attr("expire", 600u64).build());
    let Some(Err(SendError::Restricted(Some(until)))) = world.send(0) else {
        panic!("a send says it");
    };
    assert_eq!(refused(&mut world), Some(AskError::Restricted(Some(until))));
    let (token, _) = world.command(Command::Typing { to: Jid::lid("800000"), typing: Typing::Text });
    assert_eq!(world.done(token), Some(Err(CommandError::Restricted(Some(until)))));
}

#[test]
fn the_caller_hears_what_whatsapp_answers() {
    let mut world = World::online(2);
    let (token, _) = world.ask(PATIENCE);
    assert_eq!(world.answer_to(token), None);
    world.take(Step::AnswerRequest);
    let answer = world.answer_to(token).expect("answered").expect("a good answer");
    assert_eq!(answer.text("type").as_deref(), Some("result"));
}

#[test]
fn a_refusal_reaches_the_caller_with_code_and_text() {
    let mut world = World::online(3);
    let (token, _) = world.ask(PATIENCE);
    world.take(Step::RefuseRequest);
    assert_eq!(world.answer_to(token), Some(Err(AskError::Refused(iq::Refused::new(500)))));
}

#[test]
fn nobody_waits_longer_than_he_wants_to() {
    let mut world = World::online(4);
    let (token, _) = world.ask(PATIENCE);
    world.take(Step::Time(4_900));
    assert_eq!(world.answer_to(token), None);
    world.take(Step::Time(200));
    assert_eq!(world.answer_to(token), Some(Err(AskError::Late)));
    // The world allows one reply to each command: a late answer is nobody's.
    world.take(Step::AnswerRequest);
}

#[test]
fn a_lost_link_ends_the_waiting() {
    let mut world = World::online(5);
    let (token, _) = world.ask(PATIENCE);
    world.take(Step::LinkDown);
    assert_eq!(world.answer_to(token), Some(Err(AskError::Lost)));
}

#[test]
fn only_so_many_wait_at_a_time() {
    let mut world = World::with_limits(6, Limits { asks: 2, ..Limits::default() });
    world.go_online();
    assert_eq!([refused(&mut world), refused(&mut world)], [None, None]);
    assert_eq!(refused(&mut world), Some(AskError::Busy));
    world.take(Step::AnswerRequest);
    assert_eq!(refused(&mut world), None);
}

#[test]
fn a_device_that_was_unlinked_asks_nothing() {
    let mut world = World::online(7);
    let conflict = Builder::new("conflict").attr("type", "device_removed").build();
    world.stanza(Builder::new("stream:error").attr("code", 401u64).children([conflict]).build());
    assert_eq!(refused(&mut world), Some(AskError::LoggedOut));
}

#[test]
fn quiescing_leaves_a_question_that_is_under_way_to_its_answer() {
    let mut world = World::online(8);
    let (token, _) = world.ask(PATIENCE);
    world.take(Step::Quiesce);
    world.take(Step::Time(5_100));
    assert_eq!(world.answer_to(token), Some(Err(AskError::Late)));
}

#[test]
fn what_is_asked_about_calls_is_answered_by_an_acknowledgement() {
    let mut world = World::online(8);
    let mut asked = |error: Option<&'static str>| {
        let (token, effects) = world.ask(PATIENCE);
        let id = stanzas(effects)[0].text("id").expect("an id").into_owned();
        let ack = Builder::new("ack").attr("class", "call").attr("type", "link_create").attr("id", id);
        world.stanza(error.into_iter().fold(ack, |ack, error| ack.attr("error", error)).build());
        world.answer_to(token).expect("answered")
    };
    assert_eq!(asked(None).map(|answer| answer.tag.into_owned()), Ok("ack".to_owned()));
    assert_eq!(asked(Some("403")), Err(AskError::Refused(iq::Refused::new(403))));
}
