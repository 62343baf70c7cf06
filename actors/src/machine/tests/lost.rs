//! Messages that are given up: their event says where they belong.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::stanza::{Builder, Jid, Stanza};

use super::world::World;
use crate::device::Limits;

/// Something that cannot be read, from there; nothing is waited for.
fn lost(stanza: Builder) -> api::Undecryptable {
    let limits = Limits { awaited: 0, ..Limits::default() };
    let mut world = World::with_limits(1, limits);
    world.go_online();
    let stanza = stanza.attr("id", "L1").attr("t", 1_700_000_000u64).attr("type", "text");
    let withheld: Stanza = stanza.children([Builder::new("unavailable").build()]).build();
    world.stanza(withheld);
    world.commit_everything();
    let lost = world.payloads.iter().find_map(|payload| match payload {
        Payload::Undecryptable(lost) => Some(lost.clone()),
        _ => None,
    });
    lost.expect("it is given up")
}

fn from(place: &str) -> Builder {
    Builder::new("message").attr("from", place.parse::<Jid>().expect("a JID"))
}

fn person(lid: &str, phone_number: &str) -> api::Person {
    api::Person { lid: lid.to_owned(), phone_number: phone_number.to_owned() }
}

#[test]
fn a_lost_message_of_a_person_names_the_chat_with_him_in_every_form_that_is_known() {
    let told = lost(from("800000:2@lid").attr("sender_pn", Jid::pn("4915100000002")));
    let friend = person("800000@lid", "4915100000002@s.whatsapp.net");
    assert_eq!((told.sender, told.chat), (Some(friend.clone()), Some(friend)));
    assert_eq!((told.group.as_str(), told.from_me, told.whatsapp_id.as_str()), ("", false, "L1"));
}

#[test]
fn a_lost_message_of_our_own_account_names_the_chat_in_which_it_was_said() {
    let to = Jid::lid("800000");
    let told = lost(from("900000:2@lid").attr("recipient", to));
    assert_eq!(told.chat, Some(person("800000@lid", "")));
    assert_eq!(told.sender, Some(person("900000@lid", "4915100000000@s.whatsapp.net")));
    assert!(told.from_me);
}

#[test]
fn a_lost_message_of_a_group_a_list_or_a_status_post_names_that_and_who_said_it() {
    let sender = || Jid::lid_device("800000", 2);
    let said = person("800000@lid", "");
    for group in ["120363000000000001@g.us", "status@broadcast"] {
        let told = lost(from(group).attr("participant", sender()));
        assert_eq!((told.group.as_str(), told.chat), (group, None));
        assert_eq!(told.sender, Some(said.clone()));
    }
    let told = lost(from("1423456789@broadcast").attr("participant", sender()));
    assert_eq!(told.broadcast_list, "1423456789@broadcast");
    assert_eq!((told.group.as_str(), told.chat, told.sender), ("", Some(said.clone()), Some(said)));
}
