//! The machine against every order of events: properties that hold whatever happens, and examples.

mod anew;
mod app_state;
mod asks;
mod backlog;
mod behind;
mod believed;
mod bots;
mod calls;
mod chosen;
mod doubt;
mod edits;
mod elsewhere;
mod groups;
mod health;
mod imports;
mod leftovers;
mod lists;
mod lost;
mod making;
mod newsletters;
mod pairing;
mod passkeys;
mod past;
mod people;
mod placeholders;
mod polls;
mod posts;
mod prekeys;
mod ranges;
mod reached;
mod receipts;
mod resends;
mod rotation;
mod secrets;
mod terms;
mod tokens;
mod unread;
mod versions;
mod world;

use proptest::prelude::*;
use roost_placement::seeded::{self, Bug};
use roost_proto::api::device::State;
use roost_proto::stanza::{Builder, Read, Stanza};

use super::*;
use crate::device::{Finished, SendError};
pub(super) use world::alone;
use world::{GROUP, Step, World};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::LinkUp),
        1 => Just(Step::LinkDown),
        4 => Just(Step::Success),
        8 => Just(Step::AnswerRequest),
        1 => Just(Step::RefuseRequest),
        8 => any::<bool>().prop_map(Step::Message),
        2 => Just(Step::MessageAgain),
        4 => Just(Step::AckOurs),
        3 => Just(Step::ReceiptForOurs),
        1 => Just(Step::RetryForOurs),
        2 => Just(Step::Notification),
        10 => Just(Step::CommitDone),
        2 => Just(Step::CommitFailed),
        2 => Just(Step::CommitUnheard),
        12 => Just(Step::Crypto),
        6 => Just(Step::Lookup),
        6 => (1u64..40_000).prop_map(Step::Time),
        1 => Just(Step::Quiesce),
        2 => Just(Step::Resume),
        1 => Just(Step::LeaseLost),
        2 => Just(Step::LeaseBack),
        6 => (0u8..=GROUP).prop_map(Step::Send),
        2 => (1u64..40_000).prop_map(Step::Ask),
        1 => Just(Step::StreamError),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// `World` checks after every event: nothing is acknowledged or on the wire before its commit, one
    /// commit at a time, state in the order in which crypto made it, silence while the node may not act,
    /// stanzas only on the link that is up, a failed batch again as it was.
    #[test]
    fn whatever_happens_the_rules_hold(seed: u64, steps in prop::collection::vec(step(), 0..400)) {
        let mut world = World::loaded(seed);
        for step in steps {
            world.take(step);
        }
        world.calm_down();
        world.check_all_settled();
    }

    #[test]
    fn after_a_fence_nothing_is_asked_for(
        seed: u64,
        before in prop::collection::vec(step(), 0..200),
        after in prop::collection::vec(step(), 0..100),
    ) {
        let mut world = World::loaded(seed);
        for step in before {
            world.take(step);
        }
        let effects = world.feed(Event::Fenced);
        prop_assert!(effects.contains(&Effect::Finish(Finished::Fenced)));
        let acts = |effect: &Effect| !matches!(effect, Effect::Finish(_) | Effect::Close { .. });
        prop_assert!(!effects.iter().any(acts));
        for step in after {
            prop_assert_eq!(world.take(step), vec![]);
        }
    }
}

/// The rules of `World` are worth something only if a broken guard breaks them.
#[test]
fn a_guard_that_is_left_out_is_noticed() {
    let noticed = |bug: Bug| {
        let run = || {
            let _planted = seeded::plant(bug);
            let mut world = World::online(1);
            for step in [Step::Message(true), Step::Send(0), Step::CommitFailed, Step::Message(true)] {
                world.take(step);
                for _ in 0..4 {
                    world.take(Step::Crypto);
                    world.take(Step::AnswerRequest);
                }
                world.take(Step::Time(4_000));
            }
            world.calm_down();
            world.check_all_settled();
        };
        let failure = std::panic::catch_unwind(run).expect_err("the rules have not noticed it");
        failure.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let before_the_log = "was acknowledged before it was in the log";
    let before_the_commit = "was on the wire before its bytes were durable";
    for (bug, words) in [
        (Bug::AckBeforeCommit, before_the_log),
        (Bug::WireBeforeCommit, before_the_commit),
        (Bug::CommittedTwice, "a failed batch comes again as it was"),
    ] {
        let said = noticed(bug);
        assert!(said.contains(words), "{bug:?}: {said}");
    }
}

#[test]
fn a_device_without_an_account_dials_nowhere() {
    let mut world = World::unpaired(1);
    let effects = world.feed(Event::Tick);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })));
    assert_eq!(world.status(), State::Unpaired);
}

#[test]
fn replaced_asks_the_database_before_anything_else() {
    let mut world = World::online(1);
    let effects = world.stanza(Builder::new("stream:error").children([conflict("replaced")]).build());
    assert!(effects.contains(&Effect::AskPermit));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })));
    let effects = world.feed(Event::PermitAnswered(true));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })));
    assert_eq!(world.status(), State::Conflict);
    assert!(world.pause() >= std::time::Duration::from_secs(7), "no fight: {:?}", world.pause());
}

#[test]
fn replaced_with_a_stale_grant_ends_quietly() {
    let mut world = World::online(2);
    world.stanza(Builder::new("stream:error").children([conflict("replaced")]).build());
    assert_eq!(world.feed(Event::Stale), vec![Effect::Finish(Finished::Stale)]);
}

#[test]
fn every_login_failure_has_its_state() {
    let cases = [
        (401, State::LoggedOut),
        (402, State::Restricted),
        (403, State::LoggedOut),
        (405, State::Outdated),
        (406, State::LoggedOut),
        (409, State::Failed),
        (500, State::Backoff),
        (503, State::Backoff),
    ];
    for (reason, state) in cases {
        let mut world = World::loaded(3);
        world.take(Step::LinkUp);
        world.stanza(Builder::new("failure").attr("reason", reason as u64).attr("expire", 600u64).build());
        assert_eq!(world.status(), state, "failure {reason}");
        if state == State::Restricted {
            assert!(world.pause() >= std::time::Duration::from_secs(600));
        }
    }
}

#[test]
fn a_message_whose_commit_went_unheard_is_sent_all_the_same() {
    let mut world = World::online(8);
    assert_eq!(world.send(0), None, "its commit is on the way");
    world.take(Step::CommitUnheard);
    world.take(Step::Time(1_000));
    world.calm_down();
    world.check_all_settled();
}

#[test]
fn a_removed_device_keeps_its_keys_and_dials_no_more() {
    let mut world = World::online(4);
    let error = Builder::new("stream:error").attr("code", 401u64).children([conflict("device_removed")]);
    world.stanza(error.build());
    assert_eq!(world.status(), State::LoggedOut);
    world.calm_down();
    assert!(world.account().is_some_and(|account| account.logged_out));
    assert_eq!(world.dials, 1);
    assert_eq!(world.send(0), Some(Err(SendError::LoggedOut)));
}

#[test]
fn pauses_grow_with_each_failure_and_begin_anew_after_a_stable_time() {
    let mut world = World::loaded(5);
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..6 {
        world.take(Step::LinkDown);
        longest = longest.max(world.pause());
        world.take(Step::Time(u64::try_from(world.pause().as_millis()).expect("short") + 1));
    }
    assert!(longest > std::time::Duration::from_secs(8), "{longest:?}");
    world.go_online();
    world.take(Step::Time(61_000));
    world.take(Step::LinkDown);
    assert!(world.pause() <= std::time::Duration::from_secs(1), "{:?}", world.pause());
}

#[test]
fn an_undecryptable_message_is_asked_for_five_times_and_from_the_phone_and_then_put_aside() {
    let mut world = World::online(6);
    for attempt in 1..=5u64 {
        let sent = world.undecryptable("3EBAD");
        let receipt = sent.iter().find(|stanza| stanza.tag == "receipt").expect("a retry receipt");
        assert_eq!(receipt.text("type").as_deref(), Some("retry"));
        let retry = receipt.child("retry").expect("its count");
        assert_eq!(retry.number("count"), Some(attempt));
        assert_eq!(receipt.child("keys").is_some(), attempt > 1);
    }
    let sent = world.undecryptable("3EBAD");
    assert!(sent.iter().all(|stanza| stanza.tag == "ack"), "{sent:?}");
    for _ in 0..2 {
        assert!(world.events().iter().all(|dedupe| !dedupe.starts_with("undecryptable/")));
        world.take(Step::Time(10_001));
        let mut asked = world.commit_everything();
        // The keys of the phone.
        while !world.requests.is_empty() {
            world.take(Step::AnswerRequest);
        }
        asked.extend(world.commit_everything());
        let peer = |stanza: &Stanza| stanza.text("category").as_deref() == Some("peer");
        assert_eq!(asked.iter().filter(|stanza| peer(stanza)).count(), 1, "{asked:?}");
    }
    world.take(Step::Time(10_001));
    world.commit_everything();
    let events = world.events();
    assert!(events.iter().any(|dedupe| dedupe.starts_with("undecryptable/")));
    assert!(events.iter().any(|dedupe| dedupe.starts_with("quarantine/")));
}

#[test]
fn a_message_whose_sender_stays_silent_is_put_aside_by_whoever_owns_the_device_then() {
    let mut world = World::online(6);
    world.undecryptable("3EBAD");
    world.undecryptable("3EBAD");
    assert_eq!(world.awaited().len(), 1);
    world.take(Step::Time(400_000));
    let mut world = world.taken_over();
    world.take(Step::Time(300_000));
    world.commit_everything();
    assert!(world.events().iter().all(|dedupe| !dedupe.starts_with("undecryptable/")), "not without a login");
    world.go_online();
    world.take(Step::Time(29_000));
    world.commit_everything();
    assert_eq!(world.awaited().len(), 1, "the backlog may still bring it");
    world.take(Step::Time(1_000));
    world.commit_everything();
    let events = world.events();
    assert!(events.iter().any(|dedupe| dedupe.starts_with("undecryptable/")), "{events:?}");
    assert!(events.iter().any(|dedupe| dedupe.starts_with("quarantine/message/")), "{events:?}");
    assert_eq!(world.awaited(), [""; 0]);
    let again = world.undecryptable("3EBAD");
    assert!(again.iter().any(|stanza| stanza.tag == "receipt"), "a later copy is a new chance: {again:?}");
}

#[test]
fn another_unreadable_message_does_not_cut_short_what_the_backlog_may_bring() {
    let mut world = World::online(6);
    world.undecryptable("3EBAD");
    world.take(Step::Time(400_000));
    let mut world = world.taken_over();
    world.take(Step::Time(300_000));
    world.go_online();
    world.undecryptable("3EBAE");
    world.take(Step::Time(1));
    world.commit_everything();
    assert_eq!(world.awaited().len(), 2);
    world.take(Step::Time(30_000));
    world.commit_everything();
    assert_eq!(world.awaited(), ["800000:2@lid/3EBAE"]);
}

#[test]
fn a_message_that_comes_in_time_is_not_put_aside() {
    let mut world = World::online(6);
    world.undecryptable("3EBAD");
    world.take(Step::Time(590_000));
    world.go_online();
    world.repeated_by_its_sender("3EBAD");
    assert_eq!(world.awaited(), [""; 0]);
    world.take(Step::Time(600_000));
    world.commit_everything();
    assert!(world.events().iter().all(|dedupe| !dedupe.contains("3EBAD") || dedupe.starts_with("msg/")));
}

#[test]
fn of_too_many_unreadable_messages_the_oldest_is_put_aside() {
    let mut world = World::with_limits(6, Limits { awaited: 2, ..Limits::default() });
    world.go_online();
    for id in ["3EB2", "3EB1", "3EB3"] {
        world.undecryptable(id);
        world.take(Step::Time(10));
    }
    assert_eq!(world.awaited(), ["800000:2@lid/3EB1", "800000:2@lid/3EB3"]);
    assert!(world.events().contains("undecryptable/800000:2@lid/3EB2"), "{:?}", world.events());
}

#[test]
fn a_stanza_that_made_the_machine_fail_is_put_aside() {
    let mut world = World::online(7);
    let message = world.message_stanza("3EB0DEAD");
    world.stanza_that(message, true);
    let sent = world.commit_everything();
    assert_eq!(sent.iter().filter(|stanza| stanza.tag == "ack").count(), 1);
    assert!(world.events().iter().any(|dedupe| dedupe.starts_with("quarantine/")));
}

#[test]
fn a_ping_without_an_answer_ends_the_link_unless_the_process_stood_still() {
    let mut world = World::online(9);
    world.take(Step::Time(31_000));
    world.take(Step::Time(15_500));
    assert_eq!(world.status(), State::Backoff);

    let mut world = World::online(9);
    world.take(Step::Time(31_000));
    world.take(Step::Time(60_000));
    assert_eq!(world.status(), State::Online);
    world.take(Step::Time(1_100));
    assert_eq!(world.status(), State::Backoff);
}

#[test]
fn a_full_outbox_refuses_as_busy() {
    let mut world = World::with_limits(8, Limits { outbox: 3, ..Limits::default() });
    let answers: Vec<_> = (0..4).map(|_| world.send(0)).collect();
    world.commit_everything();
    assert_eq!(answers.last(), Some(&Some(Err(SendError::Busy))));
}

#[test]
fn whoever_waits_for_a_commit_is_told_to_come_back_when_the_node_may_not_act() {
    for (held, on) in [(Step::Quiesce, Step::Resume), (Step::LeaseLost, Step::LeaseBack)] {
        let mut world = World::online(10);
        world.commit_everything();
        assert_eq!((world.send(0), world.send(1)), (None, None), "one in flight, one behind it");
        let (first, second) = (world.tokens - 1, world.tokens);
        world.take(held);
        for token in [first, second] {
            assert_eq!(world.told(token), Some(Err(SendError::Unavailable)));
        }
        assert_eq!(world.send(0), Some(Err(SendError::Unavailable)));
        // What was given to the store is durable all the same, and goes out; nobody is told twice.
        world.take(on);
        world.calm_down();
        world.check_all_settled();
    }
}

fn conflict(kind: &'static str) -> Stanza {
    Builder::new("conflict").attr("type", kind).build()
}
