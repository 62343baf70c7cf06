//! Messages that came through a broadcast list of their sender: told in the chat with him, settled where they came from.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::e2e;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::World;

fn list() -> Jid {
    "1423456789@broadcast".parse().expect("a JID")
}

/// A message through the list; nobody is named as its sender when that is `None`.
fn through_list(id: &str, from: Option<Jid>) -> Stanza {
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(id.as_bytes().to_vec()).build();
    let message = Builder::new("message")
        .attr("from", list())
        .attr("id", id.to_owned())
        .attr("t", 1_700_000_000u64)
        .attr("type", "text");
    let message = match from {
        Some(from) => message.attr("participant", from),
        None => message,
    };
    message.children([enc]).build()
}

fn hears(world: &mut World, message: Stanza) -> (api::MessageReceived, Vec<Stanza>) {
    world.stanza(message);
    let answers = world.commit_everything();
    match world.payloads.last() {
        Some(Payload::MessageReceived(told)) => (told.clone(), answers),
        other => panic!("nothing was said: {other:?}"),
    }
}

fn receipt(answers: &[Stanza]) -> &Stanza {
    answers.iter().find(|stanza| stanza.tag == "receipt").expect("a receipt")
}

#[test]
fn what_comes_through_a_list_of_somebody_is_told_in_the_chat_with_him_and_settled_at_the_list() {
    let mut world = World::online(1);
    let sender = Jid::lid_device("800000", 2);
    let (told, answers) = hears(&mut world, through_list("B1", Some(sender.clone())));
    let in_chat = told.chat.unwrap_or_default().lid;
    assert_eq!((in_chat.as_str(), told.group.as_str()), ("800000@lid", ""));
    assert_eq!((told.broadcast_list, told.from_me), (list().to_string(), false));
    let receipt = receipt(&answers);
    assert_eq!((receipt.jid("to"), receipt.jid("participant")), (Some(list()), Some(sender)));
    assert!(world.events().contains("msg/800000@lid/800000@lid/B1"), "as if it had come without the list");
}

#[test]
fn what_our_own_account_says_to_a_list_is_told_without_a_chat() {
    let mut world = World::online(2);
    let sent = e2e::DeviceSent { destination: list().to_string(), message: e2e::text("to many") };
    world.said.insert("B2".to_owned(), e2e::wrap_device_sent(&sent));
    let (told, answers) = hears(&mut world, through_list("B2", Some(Jid::lid("900000"))));
    assert_eq!((told.chat, told.from_me, told.broadcast_list), (None, true, list().to_string()));
    assert_eq!(told.content, Some(api::message_received::Content::Text("to many".to_owned())));
    assert_eq!(receipt(&answers).text("type").as_deref(), Some("sender"));
}

#[test]
fn what_comes_through_a_list_and_cannot_be_read_is_asked_for_again_at_the_list() {
    let mut world = World::online(4);
    let sender = Jid::lid_device("800000", 2);
    let answers = world.undecryptable_stanza("B4", through_list("B4", Some(sender.clone())));
    let retry = answers.iter().find(|stanza| stanza.text("type").as_deref() == Some("retry"));
    let retry = retry.expect("a retry receipt");
    assert_eq!((retry.jid("to"), retry.jid("participant")), (Some(list()), Some(sender)));
}

#[test]
fn what_comes_through_a_list_from_nobody_is_refused() {
    let mut world = World::online(3);
    world.stanza(through_list("B3", None));
    let answers = world.commit_everything();
    let ack = answers.iter().find(|stanza| stanza.tag == "ack").expect("settled");
    assert_eq!((ack.text("error").as_deref(), ack.jid("to")), (Some("487"), Some(list())));
}
