//! What other devices of the account do, and what others change: told once, before it is acknowledged.

use roost_proto::api;
use roost_proto::api::account_changed::Change;
use roost_proto::api::event::Payload;
use roost_proto::api::profile_changed::What;
use roost_proto::stanza::{self, Builder, Jid, Stanza};

use super::Effect;
use super::world::{Step, World};

fn adas() -> Jid {
    Jid::lid("800000")
}

/// Another device of our account.
fn ours() -> Jid {
    Jid::lid_device("900000", 0)
}

/// Takes a stanza; what is told of it, and how often it is acknowledged.
fn told(world: &mut World, stanza: Stanza) -> (Vec<Payload>, usize) {
    let mut payloads = Vec::new();
    let mut acks = 0;
    let mut effects = world.stanza(stanza);
    let at_once = acked(&effects);
    for _ in 0..4 {
        for step in [Step::Crypto, Step::Lookup, Step::CommitDone] {
            for effect in &effects {
                if let Effect::Commit(batch) = effect {
                    payloads.extend(batch.events.iter().map(|event| event.payload.clone()));
                }
            }
            acks += acked(&effects);
            effects = world.take(step);
        }
    }
    assert!(at_once == 0 || payloads.is_empty(), "what is told is not acknowledged before it is durable");
    (payloads, acks)
}

fn acked(effects: &[Effect]) -> usize {
    let is_ack = |effect: &&Effect| match effect {
        Effect::Send { bytes, .. } => stanza::decode(bytes).expect("ours").tag == "ack",
        _ => false,
    };
    effects.iter().filter(is_ack).count()
}

fn receipt(kind: &'static str, from: Jid, recipient: Jid) -> Builder {
    let item = Builder::new("item").attr("id", "M2").build();
    let list = Builder::new("list").children([item]).build();
    let receipt =
        Builder::new("receipt").attr("type", kind).attr("id", "M1").attr("t", 5u64).attr("from", from);
    receipt.attr("recipient", recipient).children([list])
}

#[test]
fn what_another_device_has_read_is_told_once_and_before_it_is_acknowledged() {
    let mut world = World::online(1);
    let (events, acks) = told(&mut world, receipt("read-self", ours(), adas()).build());
    let [Payload::ReadElsewhere(read)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(read.whatsapp_ids, ["M1", "M2"]);
    assert_eq!(read.chat.clone().unwrap_or_default().lid, "800000@lid");
    assert_eq!((read.group.as_str(), &read.sender, read.played), ("", &None, false));
    assert_eq!(acks, 1);
    // Of a second device, in the other form.
    told(&mut world, receipt("read-self", Jid::pn_device("4915100000000", 9), adas()).build());
    let keys = |world: &World| world.events().iter().filter(|key| key.starts_with("elsewhere/")).count();
    assert_eq!(keys(&world), 1);
    let (events, _) = told(&mut world, receipt("played-self", ours(), adas()).build());
    assert!(matches!(&events[..], [Payload::ReadElsewhere(read)] if read.played), "{events:?}");
    assert_eq!(keys(&world), 2);
}

#[test]
fn in_a_group_the_author_is_told_too() {
    let mut world = World::online(2);
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    let read = receipt("read-self", group, adas()).attr("participant", ours());
    let (events, _) = told(&mut world, read.build());
    let [Payload::ReadElsewhere(read)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((read.group.as_str(), &read.chat), ("120363000000000001@g.us", &None));
    assert_eq!(read.sender.clone().unwrap_or_default().lid, "800000@lid");
}

#[test]
fn nobody_else_can_say_what_we_have_read_or_changed() {
    let mut world = World::online(3);
    assert_eq!(told(&mut world, receipt("read-self", adas(), adas()).build()), (vec![], 1));
    let item = Builder::new("item").attr("jid", adas()).attr("action", "block").build();
    let list = Builder::new("blocklist").children([item]).build();
    assert_eq!(told(&mut world, notification("account_sync", adas(), list)), (vec![], 1));
}

fn notification(kind: &'static str, from: Jid, child: Stanza) -> Stanza {
    let told = Builder::new("notification").attr("type", kind).attr("id", "n1").attr("from", from);
    told.children([child]).build()
}

#[test]
fn what_another_device_changes_of_the_account_is_told() {
    let item = |jid: Jid, action| Builder::new("item").attr("jid", jid).attr("action", action).build();
    let items = [item(adas(), "block"), item(Jid::pn("77"), "unblock")];
    let category = Builder::new("category").attr("name", "last").attr("value", "none").build();
    let person = |lid: &str, pn: &str| api::Person { lid: lid.into(), phone_number: pn.into() };
    let cases = [
        (
            Builder::new("blocklist").children(items).build(),
            Change::Blocked(api::account_changed::BlockList {
                blocked: vec![person("800000@lid", "")],
                unblocked: vec![person("", "77@s.whatsapp.net")],
                untold: false,
            }),
        ),
        (
            Builder::new("blocklist").attr("action", "modify").build(),
            Change::Blocked(api::account_changed::BlockList { untold: true, ..Default::default() }),
        ),
        (
            Builder::new("privacy").children([category]).build(),
            Change::Privacy(api::account_changed::Privacy {
                settings: [("last".to_owned(), "none".to_owned())].into(),
            }),
        ),
        (
            Builder::new("disappearing_mode").attr("duration", 86_400u64).build(),
            Change::DefaultTimer(api::Duration { seconds: 86_400, nanos: 0 }),
        ),
        (Builder::new("picture").build(), Change::Picture(true)),
        (Builder::new("status").build(), Change::About(true)),
        (Builder::new("tos").build(), Change::Other("tos".to_owned())),
    ];
    for (part, expected) in cases {
        let mut world = World::online(4);
        let (events, acks) = told(&mut world, notification("account_sync", ours(), part));
        let changed = Payload::AccountChanged(api::AccountChanged { change: Some(expected) });
        assert_eq!((events, acks), (vec![changed], 1));
    }
}

#[test]
fn timers_businesses_and_contacts_that_changed_are_told() {
    let name = Builder::new("verified_name").attr("jid", adas()).attr("name", "Ada's").build();
    let cases = [
        ("disappearing_mode", Builder::new("disappearing_mode").build(), What::DefaultTimer, ""),
        ("business", name, What::VerifiedName, "Ada's"),
        ("business", Builder::new("profile").build(), What::BusinessProfile, ""),
        ("business", Builder::new("remove").attr("jid", adas()).build(), What::NoBusiness, ""),
        ("business", Builder::new("product_catalog").build(), What::Catalog, ""),
        ("contacts", Builder::new("update").attr("jid", adas()).build(), What::Untold, ""),
    ];
    for (kind, part, what, value) in cases {
        let mut world = World::online(5);
        let (events, acks) = told(&mut world, notification(kind, adas(), part));
        let [Payload::ProfileChanged(changed)] = &events[..] else { panic!("{kind}: {events:?}") };
        assert_eq!((changed.what(), changed.value.as_str(), acks), (what, value, 1));
        assert_eq!(changed.person.clone().unwrap_or_default().lid, "800000@lid");
        assert_eq!(changed.default_timer.is_some(), what == What::DefaultTimer);
    }
    // Found only with the address book of a phone.
    let mut world = World::online(6);
    let update = Builder::new("update").attr("hash", "Quvc").build();
    assert_eq!(told(&mut world, notification("contacts", adas(), update)), (vec![], 1));
}

#[test]
fn another_number_is_learned_and_told() {
    let mut world = World::online(7);
    let (old, new) = (Jid::pn("4915188888881"), Jid::pn("4915188888882"));
    let modify = Builder::new("modify").attr("old", old).attr("new", new).attr("new_lid", adas()).build();
    let (events, acks) = told(&mut world, notification("contacts", Jid::pn("4915188888881"), modify));
    let changed = events.iter().find_map(|payload| match payload {
        Payload::NumberChanged(changed) => Some(changed.clone()),
        _ => None,
    });
    let changed = changed.expect("it is told");
    assert_eq!(changed.before.unwrap_or_default().phone_number, "4915188888881@s.whatsapp.net");
    let now = changed.now.unwrap_or_default();
    assert_eq!((&*now.phone_number, &*now.lid), ("4915188888882@s.whatsapp.net", "800000@lid"));
    assert_eq!(acks, 1);
    assert!(world.events().contains("mapped/4915188888882/800000"));
}
