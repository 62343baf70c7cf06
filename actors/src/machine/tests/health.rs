//! New chats that WhatsApp does not allow, and the pace of those that it does.

use roost_proto::stanza::{Builder, Jid, Read as _, Stanza, iq, server_jid};

use super::world::{Step, World};
use crate::device::{Bar, Command, CommandError, Limits, PacingPolicy, SendError};
use crate::machine::{Effect, Event, Reply};

/// Everything is answered that can be; what is asked of the device itself in between.
fn settle(world: &mut World) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..12 {
        for step in [Step::CommitDone, Step::AnswerRequest, Step::Crypto] {
            effects.extend(world.take(step));
        }
    }
    effects
}

/// Sends to one of ten people; what the sender is told.
fn send(world: &mut World, to: u8) -> Result<(), SendError> {
    world.take(Step::Send(to));
    settle(world);
    world.told(world.tokens).expect("it is answered")
}

fn pass(world: &mut World, seconds: u64) {
    for _ in 0..seconds.div_ceil(10) {
        world.take(Step::Time(10_000));
        settle(world);
    }
}

/// The notification of a lock that ends at this moment; 0 is none.
fn lock(until: u64) -> Stanza {
    let said = format!(r#"{{"is_active":{},"time_enforcement_ends":"{until}"}}"#, until > 0);
    let said = format!(r#"{{"data":{{"xwa2_notify_account_reachout_timelock":{said}}}}}"#);
    let update = Builder::new("update").attr("op_name", "any").bytes(said.into_bytes()).build();
    let notification = Builder::new("notification").attr("type", "mex").attr("id", "n1");
    notification.attr("from", server_jid()).children([update]).build()
}

fn is_barred(told: Result<(), SendError>) -> bool {
    matches!(told, Err(SendError::Barred(_)))
}

/// How many chats may be begun now.
fn left(world: &mut World) -> Option<u32> {
    world.tokens += 1;
    let token = world.tokens;
    let effects = world.feed(Event::Command { token, command: Command::Pace });
    let told = effects.into_iter().find_map(|effect| match effect {
        Effect::Reply { reply: Reply::Pace(pace), .. } => pace.ok(),
        _ => None,
    });
    told.expect("it is told at once").reach_outs_left
}

#[test]
fn after_a_refusal_no_chat_is_begun_and_those_that_exist_go_on() {
    let mut world = World::online(1);
    assert_eq!(send(&mut world, 1), Ok(()));
    assert_eq!(world.wired(), 1);
    world.refuse_ours(463);
    settle(&mut world);
    let told = send(&mut world, 2);
    assert!(matches!(told, Err(SendError::Barred(Bar::TimeLock { .. }))), "{told:?}");
    assert!(is_barred(send(&mut world, 1)), "a refused message makes no chat");
    world.repeated_by_its_sender("3EB0");
    assert_eq!(send(&mut world, 8), Ok(()), "who has written may be written to");
    assert_eq!(world.wired(), 1);
    pass(&mut world, 70);
    assert_eq!(send(&mut world, 2), Ok(()), "the lock is over");
}

#[test]
fn whoever_owns_the_device_by_then_knows_a_chat_by_either_name_of_the_other_side() {
    for (pn, begins) in [("4915188888881", false), ("4915188888882", true)] {
        let mut world = World::online(1);
        // The hidden identity is all that the message names.
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(b"3EBH".to_vec()).build();
        let theirs = Builder::new("message").attr("from", Jid::lid_device("800000", 2)).attr("id", "3EBH");
        world.stanza(theirs.attr("t", 1_700_000_000u64).attr("type", "text").children([enc]).build());
        world.commit_everything();
        let mut next = world.taken_over();
        next.knows(pn, "800000");
        next.go_online();
        next.stanza(lock(1_700_009_999));
        settle(&mut next);
        assert_eq!(is_barred(send(&mut next, 1)), begins);
    }
}

#[test]
fn a_used_up_quota_bars_new_chats_and_other_refusals_bar_none() {
    let mut world = World::online(2);
    assert_eq!(send(&mut world, 1), Ok(()));
    world.refuse_ours(479);
    settle(&mut world);
    assert_eq!(send(&mut world, 2), Ok(()));
    assert_eq!(world.wired(), 1);
    world.refuse_ours(475);
    settle(&mut world);
    let told = send(&mut world, 4);
    assert!(matches!(told, Err(SendError::Barred(Bar::Capped { used: 0, total: 0, .. }))), "{told:?}");
}

#[test]
fn a_message_that_waits_is_held_back_by_a_lock_and_goes_when_it_ends() {
    let mut world = World::online(3);
    world.take(Step::Send(1));
    world.take(Step::CommitDone);
    world.stanza(lock(1_700_000_100));
    settle(&mut world);
    assert_eq!(world.told(world.tokens), Some(Ok(())), "it was accepted before");
    pass(&mut world, 60);
    assert_eq!(world.wired(), 0);
    pass(&mut world, 60);
    assert_eq!(world.wired(), 1);
    let told = world.events().iter().filter(|dedupe| dedupe.starts_with("health/")).count();
    assert_eq!(told, 2, "the lock, and its end");
}

#[test]
fn new_chats_that_wait_for_a_lock_to_end_hold_no_reply_up() {
    let mut world = World::with_limits(8, Limits { sending: 1, ..Limits::default() });
    world.go_online();
    world.repeated_by_its_sender("3EB0");
    world.take(Step::Send(1));
    world.take(Step::CommitDone);
    world.stanza(lock(1_700_001_000));
    settle(&mut world);
    assert_eq!(world.wired(), 0, "it begins a chat");
    assert_eq!(send(&mut world, 8), Ok(()));
    assert_eq!(world.wired(), 1, "who has written is answered");
}

#[test]
fn bytes_that_begin_a_chat_do_not_go_out_again_during_a_lock() {
    let mut world = World::online(4);
    assert_eq!(send(&mut world, 1), Ok(()));
    world.stanza(lock(1_700_001_000));
    settle(&mut world);
    let before = world.wired();
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.go_online();
    settle(&mut world);
    assert_eq!(world.wired(), before);
    world.stanza(lock(0));
    settle(&mut world);
    assert_eq!(world.wired(), before + 1);
}

#[test]
fn new_chats_above_the_pace_wait_and_replies_do_not() {
    let mut world = World::online(5);
    world.repeated_by_its_sender("3EB0");
    let policy = PacingPolicy { reply_per_minute: 0, reach_out_per_day: 1 };
    let (token, _) = world.command(Command::SetPacing(policy));
    settle(&mut world);
    assert_eq!(world.done(token), Some(Ok(())));
    for (to, wired) in [(1, 1), (2, 1), (8, 2)] {
        assert_eq!(send(&mut world, to), Ok(()), "{to}");
        assert_eq!(world.wired(), wired, "after {to}");
    }
    world.take(Step::Time(1_000));
    let command = Command::SetPacing(PacingPolicy { reach_out_per_day: 0, ..policy });
    world.tokens += 1;
    let effects = world.feed(Event::Command { token: world.tokens, command });
    settle(&mut world);
    assert_eq!(world.wired(), 3);
    let waited =
        effects.iter().any(|effect| matches!(effect, Effect::Paced(waited) if waited.as_secs() >= 1));
    assert!(waited, "how long it was held back is told");
}

#[test]
fn a_new_chat_that_comes_to_nothing_leaves_its_turn_to_the_next() {
    let mut world = World::online(7);
    world.command(Command::SetPacing(PacingPolicy { reply_per_minute: 0, reach_out_per_day: 1 }));
    settle(&mut world);
    world.take(Step::Send(1));
    world.take(Step::CommitDone);
    let first = world.messages.values().next().expect("it was accepted").message.message_id.clone();
    // It has its turn, and waits for what is asked of WhatsApp.
    for _ in 0..6 {
        world.take(Step::Crypto);
    }
    assert_eq!(world.wired(), 0);
    assert_eq!(left(&mut world), Some(0));
    let (token, _) = world.command(Command::Cancel { message_id: first });
    settle(&mut world);
    assert_eq!(world.done(token), Some(Ok(())));
    assert_eq!((world.wired(), left(&mut world)), (0, Some(1)));
    assert_eq!(send(&mut world, 2), Ok(()));
    assert_eq!((world.wired(), left(&mut world)), (1, Some(0)));
}

/// What WhatsApp is asked of the account, answered: a lock until this moment (0 is none), and no quota. Returns how often.
fn answered(world: &mut World, until: u64) -> usize {
    let mut asked = 0;
    for _ in 0..4 {
        let requests: Vec<Stanza> = world.requests.drain(..).collect();
        for request in requests.iter().filter(|one| one.text("xmlns").as_deref() == Some("w:mex")) {
            asked += 1;
            let lock = format!(r#""is_active":{},"time_enforcement_ends":"{until}""#, until > 0);
            let quota = r#""capping_status":"NONE","total_quota":7,"used_quota":2"#;
            let said = format!(
                r#"{{"data":{{"xwa2_fetch_account_reachout_timelock":{{{lock}}},"xwa2_message_capping_info":{{{quota}}}}}}}"#
            );
            let result = Builder::new("result").bytes(said.into_bytes()).build();
            world.stanza(iq::result(request).children([result]).build());
        }
    }
    asked
}

#[test]
fn who_wants_to_know_it_now_has_whatsapp_asked_once_a_minute_and_waits_for_the_commit() {
    let mut world = World::online(9);
    settle(&mut world);
    let (first, _) = world.command(Command::RefreshHealth);
    let (second, _) = world.command(Command::RefreshHealth);
    assert_eq!(answered(&mut world, 1_700_001_000), 2, "the lock and the quota, for both");
    assert_eq!((world.done(first), world.done(second)), (None, None), "it is not durable yet");
    settle(&mut world);
    assert_eq!((world.done(first), world.done(second)), (Some(Ok(())), Some(Ok(()))));
    assert!(is_barred(send(&mut world, 1)), "nothing had to be refused");

    world.take(Step::Time(30_000));
    let (third, _) = world.command(Command::RefreshHealth);
    assert_eq!((answered(&mut world, 0), world.done(third)), (0, Some(Ok(()))));
    assert!(is_barred(send(&mut world, 1)));
    world.take(Step::Time(31_000));
    settle(&mut world);
    let (fourth, _) = world.command(Command::RefreshHealth);
    assert_eq!(answered(&mut world, 0), 2);
    settle(&mut world);
    assert_eq!(world.done(fourth), Some(Ok(())));
    assert_eq!(send(&mut world, 1), Ok(()));
}

#[test]
fn who_waits_for_what_whatsapp_says_is_told_when_it_does_not() {
    let mut world = World::online(10);
    settle(&mut world);
    let (lost, _) = world.command(Command::RefreshHealth);
    world.take(Step::LinkDown);
    assert_eq!(world.done(lost), Some(Err(CommandError::NotConnected)));
    let (offline, _) = world.command(Command::RefreshHealth);
    assert_eq!(world.done(offline), Some(Err(CommandError::NotConnected)));
    world.take(Step::Time(400_000));
    world.go_online();
    settle(&mut world);
    let (refused, _) = world.command(Command::RefreshHealth);
    let request = world.requests.pop_back().expect("it is asked");
    let refusal = iq::Refused { code: 403, text: String::new() };
    world.stanza(iq::error(&request, &refusal));
    assert_eq!(world.done(refused), Some(Err(CommandError::Refused(403))));
    let (again, _) = world.command(Command::RefreshHealth);
    assert_eq!(world.done(again), Some(Err(CommandError::Refused(403))));
    assert!(world.requests.is_empty(), "whoever refuses is not asked again at once");
    world.take(Step::Time(61_000));
    settle(&mut world);
    let (unreadable, _) = world.command(Command::RefreshHealth);
    let request = world.requests.pop_back().expect("it is asked again");
    world.stanza(iq::result(&request).build());
    assert!(matches!(world.done(unreadable), Some(Err(CommandError::Unreadable(_)))));
    world.take(Step::Time(61_000));
    settle(&mut world);
    let (silent, _) = world.command(Command::RefreshHealth);
    world.requests.pop_back().expect("it is asked again");
    world.take(Step::Time(120_000));
    assert_eq!(world.done(silent), Some(Err(CommandError::Silent)));
}

#[test]
fn a_quota_whose_cycle_has_ended_by_our_clock_is_asked_about_with_a_pause() {
    let mut world = World::online(6);
    assert_eq!(send(&mut world, 1), Ok(()));
    world.refuse_ours(475);
    let mut asked = 0;
    for _ in 0..20 {
        for step in [Step::CommitDone, Step::Crypto, Step::Time(10)] {
            world.take(step);
        }
        while let Some(request) = world.requests.pop_front() {
            if request.text("xmlns").is_none_or(|xmlns| xmlns != "w:mex") {
                continue;
            }
            asked += 1;
            let said = r#"{"data":{"xwa2_message_capping_info":{"capping_status":"CAPPED","cycle_end_timestamp":"1699999999"}}}"#;
            let result = Builder::new("result").bytes(said).build();
            world.stanza(iq::result(&request).children([result]).build());
        }
    }
    assert!(asked <= 2, "WhatsApp was asked {asked} times");
    assert!(is_barred(send(&mut world, 2)));
}
