//! Receipts of ours: to whom they go, and what they say.

use roost_proto::e2e;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::World;
use crate::device::Command;

/// A message in some place, or from a device alone.
fn message(id: &str, from: Jid, participant: Option<Jid>) -> Builder {
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(id.as_bytes().to_vec()).build();
    let message = Builder::new("message").attr("from", from).attr("id", id.to_owned());
    let message = message.attr("t", 1_700_000_000u64).attr("type", "text");
    let message = match participant {
        Some(participant) => message.attr("participant", participant),
        None => message,
    };
    message.children([enc])
}

fn receipt(world: &mut World, message: Stanza) -> Stanza {
    world.stanza(message);
    let answers = world.commit_everything();
    answers.into_iter().find(|stanza| stanza.tag == "receipt").expect("a receipt")
}

#[test]
fn a_copy_of_an_own_message_is_settled_at_the_device_that_sent_it_and_the_chat_is_named_beside_it() {
    let mut world = World::online(1);
    let (sibling, chat) = (Jid::lid_device("900000", 3), Jid::lid("800000"));
    let sent = e2e::DeviceSent { destination: chat.to_string(), message: e2e::text("to one") };
    world.said.insert("C1".to_owned(), e2e::wrap_device_sent(&sent));
    let copy = message("C1", sibling.clone(), None).attr("recipient", chat.clone());
    let receipt = receipt(&mut world, copy.build());
    assert_eq!(receipt.text("type").as_deref(), Some("sender"));
    assert_eq!((receipt.jid("to"), receipt.jid("recipient")), (Some(sibling), Some(chat)));
}

#[test]
fn a_device_that_hides_says_so_in_groups_and_of_what_came_through_a_list_but_not_of_status_posts() {
    let mut world = World::online(2);
    world.command(Command::SetPresence { available: false });
    world.commit_everything();
    let sender = || Some(Jid::lid_device("800000", 2));
    for (id, place, says) in [
        ("G1", "120363000000000001@g.us", Some("inactive")),
        ("L1", "1423456789@broadcast", Some("inactive")),
        ("S1", "status@broadcast", None),
    ] {
        let place: Jid = place.parse().expect("a JID");
        let receipt = receipt(&mut world, message(id, place, sender()).build());
        assert_eq!(receipt.text("type").as_deref(), says, "{id}");
    }
}
