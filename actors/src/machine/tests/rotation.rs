//! The signed prekey on its way to WhatsApp: offered until there is an answer, and not more often.

use roost_proto::stanza::{self, Read, Stanza};

use super::world::{Step, World};
use crate::device::Limits;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Logs in anew, whatever was before; whether a signed prekey was offered then.
fn log_in(world: &mut World) -> bool {
    world.take(Step::LinkDown);
    world.take(Step::Time(400_000));
    world.take(Step::LinkUp);
    world.take(Step::Success);
    world.commit_everything();
    offers(world) > 0
}

/// Offers that WhatsApp has not answered.
fn offers(world: &World) -> usize {
    world.requests.iter().filter(|request| request.child("rotate").is_some()).count()
}

/// WhatsApp answers the offer.
fn answer(world: &mut World, refused: Option<u16>) {
    let is_offer = |request: &Stanza| request.child("rotate").is_some();
    let place = world.requests.iter().position(is_offer).expect("something was offered");
    let request = world.requests.remove(place).expect("it was just found");
    world.stanza(match refused {
        None => stanza::iq::result(&request).build(),
        Some(code) => stanza::iq::error(&request, &stanza::iq::Refused::new(code)),
    });
    world.commit_everything();
}

#[test]
fn a_signed_prekey_is_offered_after_each_login_until_whatsapp_has_answered() {
    let mut world = World::loaded(1);
    assert!(log_in(&mut world));
    assert!(log_in(&mut world), "the answer was lost with the link");
    answer(&mut world, None);
    assert!(world.credentials().is_some_and(|row| row.starts_with("taken")));
    assert!(!log_in(&mut world), "it has been taken");
}

#[test]
fn the_next_owner_offers_what_the_last_one_left_unanswered() {
    let mut world = World::loaded(2);
    assert!(log_in(&mut world));
    let mut next = world.taken_over();
    assert!(log_in(&mut next));
}

#[test]
fn a_key_that_whatsapp_finds_bad_is_withdrawn_for_another_term() {
    for code in [406, 409] {
        let mut world = World::loaded(3);
        assert!(log_in(&mut world));
        answer(&mut world, Some(code));
        assert!(world.credentials().is_some_and(|row| row.starts_with("withdrawn")));
        assert!(!log_in(&mut world));
    }
}

#[test]
fn a_key_that_whatsapp_cannot_take_just_now_is_kept_and_offered_a_day_later() {
    let mut world = World::loaded(4);
    assert!(log_in(&mut world));
    answer(&mut world, Some(503));
    assert_eq!(world.credentials(), Some("offered"));
    assert!(!log_in(&mut world), "not at every login");
    world.take(Step::Time(DAY_MS));
    assert!(log_in(&mut world));
}

#[test]
fn a_device_that_stays_online_offers_the_next_key_by_itself() {
    let limits = Limits { signed_prekey: std::time::Duration::from_secs(5), ..Limits::default() };
    let mut world = World::with_limits(5, limits);
    assert!(log_in(&mut world));
    answer(&mut world, None);
    world.take(Step::Time(5_000));
    world.commit_everything();
    assert_eq!(offers(&world), 1);
}
