//! Receipts of ours: to whom they go, and what they say.

use roost_proto::e2e;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::World;

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
