//! Messages of ours that another device asks for again.

use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::{GROUP, Step, World};
use crate::device::Limits;

/// A device that has sent a message and was asked for it again, as far as the question for the keys of who asks.
fn asked(seed: u64) -> World {
    let mut world = sent(seed);
    world.take(Step::RetryForOurs);
    world.take(Step::CommitDone);
    world.take(Step::Lookup);
    assert_eq!(questions(&world), 1, "the keys of who asks are needed");
    world
}

/// A device that has sent a message to 4915188888881, who is 800000 too, and has the answer of WhatsApp.
fn sent(seed: u64) -> World {
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
    world
}

/// Questions for keys that are not answered.
fn questions(world: &World) -> usize {
    let for_keys = |iq: &&Stanza| iq.text("xmlns").as_deref() == Some("encrypt") && iq.child("key").is_some();
    world.requests.iter().filter(for_keys).count()
}

#[test]
fn a_message_is_given_again_to_those_of_its_chat_under_either_name_and_to_nobody_else() {
    let asking = [
        (Jid::lid_device("800000", 2), true),
        (Jid::pn_device("4915188888881", 2), true),
        (Jid::pn_device("4915100000000", 3), true),
        (Jid::lid_device("666666", 1), false),
        (Jid::pn_device("666666", 1), false),
    ];
    for (device, again) in asking {
        let mut world = sent(4);
        let id = world.last_wired();
        let retry = Builder::new("retry").attr("count", 1u64).build();
        let receipt =
            Builder::new("receipt").attr("from", device.clone()).attr("id", id).attr("type", "retry");
        let mut stanzas = super::world::stanzas(world.stanza(receipt.children([retry]).build()));
        for _ in 0..5 {
            stanzas.extend(world.commit_everything());
            stanzas.extend(super::world::stanzas(world.take(Step::AnswerRequest)));
        }
        assert_eq!(stanzas.iter().any(|stanza| stanza.tag == "message"), again, "{device}");
        assert!(stanzas.iter().any(|stanza| stanza.tag == "ack"), "the receipt of {device} is settled");
    }
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

#[test]
fn new_keys_that_come_with_a_question_for_a_message_are_told_as_those_of_others_are() {
    let mut world = sent(5);
    let id = world.last_wired();
    for (identity, count) in [(1, 0), (9, 1), (9, 1)] {
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let signed = [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
        let keys = [leaf("identity", vec![identity; 32]), Builder::new("skey").children(signed).build()];
        let children = [
            Builder::new("retry").attr("count", 1u64).build(),
            leaf("registration", vec![0, 0, 0, 9]),
            Builder::new("keys").children(keys).build(),
        ];
        let receipt =
            Builder::new("receipt").attr("from", Jid::lid_device("800000", 2)).attr("type", "retry");
        world.stanza(receipt.attr("id", id.clone()).children(children).build());
        let sent = world.commit_everything();
        assert!(sent.iter().any(|stanza| stanza.tag == "message"), "it is sent again: {sent:?}");
        let told = format!("identity/800000:2@lid/again/{id}");
        assert_eq!(world.events().iter().filter(|event| **event == told).count(), count);
    }
}

/// A device asks for a message again, as often as it says; whether it is sent again.
fn again(world: &mut World, place: &Jid, device: &Jid, id: &str) -> bool {
    let retry = Builder::new("retry").attr("count", 1u64).build();
    let receipt = Builder::new("receipt").attr("from", place.clone()).attr("type", "retry");
    let receipt = match place == device {
        true => receipt,
        false => receipt.attr("participant", device.clone()),
    };
    let receipt = receipt.attr("id", id.to_owned()).children([retry]).build();
    let mut stanzas = super::world::stanzas(world.stanza(receipt));
    for _ in 0..5 {
        stanzas.extend(world.commit_everything());
        stanzas.extend(super::world::stanzas(world.take(Step::AnswerRequest)));
    }
    assert!(stanzas.iter().any(|stanza| stanza.tag == "ack"), "the receipt of {device} is settled");
    stanzas.iter().any(|stanza| stanza.tag == "message")
}

#[test]
fn who_asks_for_much_that_there_is_not_is_not_forgotten_for_that() {
    let mut world = sent(6);
    let (device, id) = (Jid::lid_device("800000", 2), world.last_wired());
    for _ in 0..Limits::default().retries {
        assert!(again(&mut world, &device, &device, &id));
    }
    assert!(!again(&mut world, &device, &device, &id), "not for ever");
    for other in 0..1100 {
        again(&mut world, &device, &device, &format!("~{other}"));
    }
    assert!(!again(&mut world, &device, &device, &id), "and it stays so");
}

#[test]
fn a_question_for_a_message_takes_its_room_until_it_is_known_whether_there_is_one() {
    let mut world = sent(7);
    let before = world.unsettled();
    let receipt = Builder::new("receipt").attr("from", Jid::lid_device("800000", 2)).attr("type", "retry");
    world.stanza(receipt.attr("id", "unknown").build());
    assert_eq!(world.unsettled(), before + 1);
    world.take(Step::Lookup);
    assert_eq!(world.unsettled(), before);
}

#[test]
fn only_so_many_wait_for_keys_at_a_time_and_the_others_come_again() {
    let mut world = sent(8);
    let (before, id) = (world.unsettled(), world.last_wired());
    for device in 2..90 {
        let receipt =
            Builder::new("receipt").attr("from", Jid::lid_device("800000", device)).attr("type", "retry");
        let sent = super::world::stanzas(world.stanza(receipt.attr("id", id.clone()).build()));
        assert!(sent.iter().all(|stanza| stanza.tag != "ack"));
        world.commit_everything();
    }
    assert_eq!(questions(&world), 64);
    assert_eq!(world.unsettled(), before, "WhatsApp is listened to for its answers");
    world.take(Step::AnswerRequest);
    let device = Jid::lid_device("800000", 99);
    world.stanza(Builder::new("receipt").attr("from", device).attr("type", "retry").attr("id", id).build());
    world.commit_everything();
    assert_eq!(questions(&world), 64, "there is a place again");
}

/// The answer to a question for the members of the group of this world.
fn members(world: &mut World, attributes: &[(&'static str, &'static str)], children: Vec<Stanza>) {
    let of_group = |iq: &Stanza| iq.text("xmlns").as_deref() == Some("w:g2");
    let place = world.requests.iter().position(of_group).expect("it is asked who is in the group");
    let request = world.requests.remove(place).expect("there");
    let group = Builder::new("group").attr("addressing_mode", "lid");
    let group = attributes.iter().fold(group, |group, (key, value)| group.attr(key, *value));
    world.stanza(
        roost_proto::stanza::iq::result(&request).children([group.children(children).build()]).build(),
    );
}

fn member(lid: &str) -> Stanza {
    Builder::new("participant").attr("jid", Jid::lid(lid)).build()
}

/// A device that has sent a message to a group of 800000, and its id.
fn sent_to_group(seed: u64) -> (World, Jid, String) {
    let mut world = World::online(seed);
    world.send(GROUP);
    for _ in 0..10 {
        world.commit_everything();
        world.take(Step::AnswerRequest);
    }
    let id = world.last_wired();
    world.take(Step::AckOurs);
    world.commit_everything();
    (world, "120363000000000001@g.us".parse().expect("a JID"), id)
}

#[test]
fn a_message_of_a_group_is_given_again_to_members_under_either_name_and_to_nobody_else() {
    let (mut world, group, id) = sent_to_group(9);
    world.knows("4915188888889", "800000");
    world.knows("4915166666666", "666666");
    for (device, may) in [
        (Jid::lid_device("800000", 2), true),
        (Jid::pn_device("4915188888889", 3), true),
        (Jid::lid_device("900000", 4), true),
        (Jid::pn_device("4915100000000", 4), true),
        (Jid::lid_device("666666", 1), false),
        (Jid::pn_device("4915166666666", 1), false),
    ] {
        assert_eq!(again(&mut world, &group, &device, &id), may, "{device}");
    }
    // The next owner remembers no members.
    let mut world = world.taken_over();
    world.go_online();
    assert!(again(&mut world, &group, &Jid::pn_device("4915188888889", 2), &id));
    assert!(!again(&mut world, &group, &Jid::lid_device("666666", 2), &id));
}

#[test]
fn nobody_is_refused_a_message_of_a_group_before_its_members_were_asked_for_anew() {
    let (mut world, group, id) = sent_to_group(10);
    let asks = |world: &mut World, device: &Jid| {
        let receipt = Builder::new("receipt").attr("from", group.clone()).attr("participant", device.clone());
        world.stanza(receipt.attr("type", "retry").attr("id", id.clone()).build());
        world.commit_everything()
    };
    let joined = Jid::lid_device("777777", 1);
    let sent = asks(&mut world, &joined);
    assert!(sent.iter().all(|stanza| stanza.tag == "iq"), "nothing is settled yet: {sent:?}");
    members(&mut world, &[], vec![member("800000"), member("777777")]);
    assert_eq!(questions(&world), 1, "she is a member");
    world.requests.clear();
    // These lists do not name everybody.
    let community = Builder::new("default_sub_group").build();
    let lists = [(vec![("size", "3")], vec![member("800000")]), (vec![], vec![member("800000"), community])];
    for (place, (attributes, children)) in lists.into_iter().enumerate() {
        let device = Jid::lid_device(format!("60000{place}"), 1);
        asks(&mut world, &device);
        members(&mut world, &attributes, children);
        assert_eq!(questions(&world), 1, "{device} may be a member");
        world.requests.clear();
    }
    // WhatsApp knows no answer just now.
    let device = Jid::lid_device("777778", 1);
    asks(&mut world, &device);
    world.take(Step::RefuseRequest);
    assert!(world.requests.is_empty());
    world.take(Step::Time(5_100));
    members(&mut world, &[], vec![member("777778")]);
    assert_eq!(questions(&world), 1);
}
