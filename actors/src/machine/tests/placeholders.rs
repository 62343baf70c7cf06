//! What the phone gives of messages that were awaited: told as theirs, under the key that they would have had.

use bytes::Bytes;
use roost_proto::e2e;
use roost_proto::history::{Beside, Past};
use roost_proto::id::UnixMillis;
use roost_proto::phone::PeerMessage;
use roost_proto::stanza::{Builder, Jid};

use super::world::World;
use crate::device::Limits;

const PN: &str = "4915188888888";

fn group() -> Jid {
    "120363000000000001@g.us".parse().expect("a JID")
}

fn from(place: Jid) -> Builder {
    Builder::new("message").attr("from", place).attr("t", 1_700_000_000u64).attr("type", "text")
}

/// A message comes without its content, and with so many bytes.
fn withheld(world: &mut World, id: &'static str, stanza: Builder, bytes: usize) {
    let nothing = Builder::new("unavailable").bytes(vec![0; bytes]).build();
    world.stanza(stanza.attr("id", id).children([nothing]).build());
    world.commit_everything();
}

fn past(id: &str, participant: Option<Jid>) -> Past {
    Past {
        id: id.to_owned(),
        from_me: false,
        participant,
        at: UnixMillis(1_700_000_000_000),
        push_name: String::new(),
        content: e2e::text("from the phone").into(),
        beside: Beside::default(),
    }
}

/// Our phone says something in a message with this id.
pub(super) fn phone_says(world: &mut World, id: &str, message: &PeerMessage) {
    world.said.insert(id.to_owned(), message.to_bytes());
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(id.as_bytes().to_vec()).build();
    let stanza = from(Jid::lid("900000")).attr("id", id.to_owned()).attr("category", "peer");
    world.stanza(stanza.children([enc]).build());
    world.commit_everything();
}

fn phone_gives(world: &mut World, id: &str, message: Bytes) {
    let messages = PeerMessage::Messages { request: "Q".to_owned(), messages: vec![message] };
    phone_says(world, id, &messages);
}

fn told(world: &World) -> Vec<&str> {
    world.events().iter().filter(|event| event.starts_with("msg/")).map(String::as_str).collect()
}

#[test]
fn what_the_phone_gives_is_told_of_its_chat_and_its_sender_and_never_as_anothers_message() {
    let mut world = World::online(1);
    let (adas, eves) = (Jid::lid_device("700000", 1), Jid::lid_device("800000", 2));
    withheld(&mut world, "X", from(group()).attr("participant", adas), 0);
    withheld(&mut world, "X", from(eves), 0);
    assert_eq!(world.awaited(), ["700000:1@lid/X", "800000:2@lid/X"]);
    phone_gives(&mut world, "P1", past("X", Some(Jid::lid("800000"))).to_bytes(&group()));
    phone_gives(&mut world, "P2", past("X", None).to_bytes(&group()));
    assert_eq!(told(&world), [""; 0], "nobody said that there");
    phone_gives(&mut world, "P3", past("X", None).to_bytes(&Jid::lid("800000")));
    assert_eq!(told(&world), ["msg/800000@lid/800000@lid/X"]);
    assert_eq!(world.awaited(), ["700000:1@lid/X"]);
    phone_gives(&mut world, "P4", past("X", Some(Jid::lid("700000"))).to_bytes(&group()));
    assert!(told(&world).contains(&"msg/120363000000000001@g.us/700000@lid/X"), "{:?}", told(&world));
    assert_eq!(world.awaited(), [""; 0]);
}

#[test]
fn what_the_phone_gives_has_the_key_that_it_would_have_had_live_whatever_name_it_came_under() {
    let mut world = World::online(2);
    world.knows(PN, "800000");
    for (id, chat) in [("N1", Jid::pn(PN)), ("N2", Jid::lid("800000"))] {
        withheld(&mut world, id, from(Jid::pn_device(PN, 2)), 0);
        phone_gives(&mut world, &format!("P{id}"), past(id, None).to_bytes(&chat));
    }
    assert_eq!(told(&world), ["msg/800000@lid/800000@lid/N1", "msg/800000@lid/800000@lid/N2"]);
}

#[test]
fn what_the_phone_gives_of_somebody_whose_other_name_is_not_known_is_told_when_nobody_else_can_be_meant() {
    let mut world = World::online(5);
    withheld(&mut world, "S1", from(Jid::pn_device(PN, 2)), 0);
    phone_gives(&mut world, "P1", past("S1", None).to_bytes(&Jid::lid("800000")));
    assert_eq!(told(&world).len(), 1, "{:?}", told(&world));
    withheld(&mut world, "S2", from(Jid::pn_device(PN, 2)), 0);
    withheld(&mut world, "S2", from(Jid::lid_device("700000", 2)), 0);
    phone_gives(&mut world, "P2", past("S2", None).to_bytes(&Jid::lid("800000")));
    assert_eq!(told(&world).len(), 1, "it may be either's");
}

#[test]
fn what_another_device_of_ours_has_sent_to_a_number_has_one_key_too() {
    let mut world = World::online(3);
    world.knows(PN, "800000");
    let ours = || from(Jid::lid_device("900000", 2)).attr("recipient", Jid::pn(PN));
    withheld(&mut world, "O1", ours(), 0);
    phone_gives(&mut world, "P1", Past { from_me: true, ..past("O1", None) }.to_bytes(&Jid::pn(PN)));
    let sent = e2e::DeviceSent { destination: Jid::pn(PN).to_string(), message: e2e::text("live") };
    world.said.insert("O2".to_owned(), e2e::wrap_device_sent(&sent));
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(b"O2".to_vec()).build();
    world.stanza(ours().attr("id", "O2").children([enc]).build());
    world.commit_everything();
    assert_eq!(told(&world), ["msg/800000@lid/900000@lid/O1", "msg/800000@lid/900000@lid/O2"]);
}

#[test]
fn who_sends_very_much_that_cannot_be_read_costs_nobody_else_a_message() {
    let mut world = World::with_limits(4, Limits { awaited: 3, ..Limits::default() });
    world.go_online();
    withheld(&mut world, "A", from(Jid::lid_device("700000", 1)), 0);
    for id in ["E1", "E2", "E3", "E4"] {
        withheld(&mut world, id, from(Jid::lid_device("800000", 2)), 0);
    }
    assert_eq!(world.awaited(), ["700000:1@lid/A", "800000:2@lid/E3", "800000:2@lid/E4"]);
    let mut world = World::online(5);
    withheld(&mut world, "A", from(Jid::lid_device("700000", 1)), 0);
    for id in ["B1", "B2", "B3", "B4", "B5"] {
        withheld(&mut world, id, from(Jid::lid_device("800000", 2)), 300 << 10);
    }
    let kept = ["700000:1@lid/A", "800000:2@lid/B3", "800000:2@lid/B4", "800000:2@lid/B5"];
    assert_eq!(world.awaited(), kept);
}
