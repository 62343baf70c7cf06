//! Our keys at WhatsApp: compared once on each connection that holds, and uploaded anew where WhatsApp has lost them.

use std::time::Duration;

use roost_proto::stanza::{self, Builder, Read, Stanza};

use super::world::{Step, World};
use crate::device::Limits;
use crate::port::StateKind;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Whose connections hold when they have lasted five seconds.
fn paired(seed: u64) -> World {
    World::with_limits(seed, Limits { stable: Duration::from_secs(5), ..Limits::default() })
}

fn log_in(world: &mut World) {
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.take(Step::LinkUp);
    world.take(Step::Success);
    world.commit_everything();
    answer(world, "active", |request| stanza::iq::result(request).build());
}

/// The connection holds for a while.
fn hold(world: &mut World) {
    world.take(Step::Time(6_000));
    world.commit_everything();
}

fn asked(world: &World, tag: &str) -> usize {
    world.requests.iter().filter(|request| request.child(tag).is_some()).count()
}

/// WhatsApp answers the question of this name.
fn answer(world: &mut World, tag: &str, answer: impl FnOnce(&Stanza) -> Stanza) {
    let place = world.requests.iter().position(|request| request.child(tag).is_some());
    let request = world.requests.remove(place.expect("it was asked")).expect("it was just found");
    world.stanza(answer(&request));
    world.commit_everything();
}

fn refusal(code: u16) -> impl FnOnce(&Stanza) -> Stanza {
    move |request| stanza::iq::error(request, &stanza::iq::Refused::new(code))
}

fn count(value: u64) -> impl FnOnce(&Stanza) -> Stanza {
    move |request| {
        let count = Builder::new("count").attr("value", value).build();
        stanza::iq::result(request).children([count]).build()
    }
}

/// What WhatsApp has: of the device with this registration id, so many one-time prekeys.
fn digest(registration_id: u32, prekeys: u8) -> impl FnOnce(&Stanza) -> Stanza {
    move |request| {
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let skey = [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
        let ids = (1..=prekeys).map(|id| leaf("id", vec![0, 0, id]));
        let parts = [
            leaf("registration", registration_id.to_be_bytes().to_vec()),
            leaf("identity", vec![1; 32]),
            Builder::new("skey").children(skey).build(),
            Builder::new("list").children(ids).build(),
            leaf("hash", vec![4; 20]),
        ];
        let digest = Builder::new("digest").children(parts).build();
        stanza::iq::result(request).children([digest]).build()
    }
}

/// Registration id of the device of these tests.
const OURS: u32 = 7;

#[test]
fn keys_at_whatsapp_are_compared_once_on_each_connection_that_holds() {
    let mut world = paired(1);
    for _ in 0..2 {
        log_in(&mut world);
        answer(&mut world, "count", count(100));
        assert_eq!(asked(&world, "digest"), 0, "not in the rush of a login");
        hold(&mut world);
        answer(&mut world, "digest", digest(OURS, 100));
        assert_eq!((asked(&world, "digest"), asked(&world, "list")), (0, 0));
    }
}

#[test]
fn keys_are_compared_when_those_that_were_missing_are_there() {
    let mut world = paired(2);
    log_in(&mut world);
    answer(&mut world, "count", count(0));
    hold(&mut world);
    assert_eq!((asked(&world, "digest"), asked(&world, "list")), (0, 1));
    answer(&mut world, "list", |request| stanza::iq::result(request).build());
    assert_eq!(asked(&world, "digest"), 1);
}

#[test]
fn keys_that_whatsapp_has_lost_or_mixed_up_are_durable_and_uploaded_anew_once_a_day() {
    let lost: [fn(&mut World); 2] = [
        |world| answer(world, "digest", refusal(404)),
        |world| answer(world, "digest", digest(OURS + 1, 100)),
    ];
    for lose in lost {
        let mut world = paired(3);
        let mut uploads = |days| {
            world.take(Step::Time(days * DAY_MS));
            log_in(&mut world);
            answer(&mut world, "count", count(100));
            hold(&mut world);
            lose(&mut world);
            let uploads = asked(&world, "list");
            assert!(uploads == 0 || world.rows.keys().any(|key| key.kind == StateKind::Prekeys));
            if uploads > 0 {
                answer(&mut world, "list", |request| stanza::iq::result(request).build());
            }
            uploads
        };
        assert_eq!(uploads(0), 1);
        assert_eq!(uploads(0), 0, "an upload has not put it right");
        assert_eq!(uploads(1), 1);
    }
}

#[test]
fn prekeys_at_whatsapp_that_are_not_ours_do_not_count() {
    let mut world = paired(4);
    log_in(&mut world);
    answer(&mut world, "count", count(100));
    hold(&mut world);
    answer(&mut world, "digest", digest(OURS, 3));
    assert_eq!(asked(&world, "list"), 1);
}

#[test]
fn an_answer_that_says_nothing_of_our_keys_changes_nothing() {
    let silent: [fn(&mut World); 3] = [
        |world| answer(world, "digest", refusal(503)),
        |world| answer(world, "digest", refusal(406)),
        |world| answer(world, "digest", |request| stanza::iq::result(request).build()),
    ];
    for say_nothing in silent {
        let mut world = paired(5);
        log_in(&mut world);
        answer(&mut world, "count", count(100));
        hold(&mut world);
        say_nothing(&mut world);
        assert_eq!(asked(&world, "list"), 0);
    }
}

#[test]
fn whatsapp_may_ask_a_device_to_compare_its_keys() {
    let mut world = paired(6);
    log_in(&mut world);
    answer(&mut world, "count", count(100));
    let notification = Builder::new("notification").attr("type", "encrypt").attr("id", "1");
    let notification = notification.attr("from", stanza::server_jid());
    world.stanza(notification.children([Builder::new("digest").build()]).build());
    assert_eq!(asked(&world, "digest"), 1);
}
