//! What others say of our messages, and how it is looked up.

use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::MessageContent;
use roost_proto::stanza::{Builder, Jid, Stanza};

use super::world::{Step, World, stanzas};
use crate::device::{Command, Recipient, SendRequest};
use crate::port::MessageState;

/// A device that has sent a message under this id, and has the answer of WhatsApp.
fn sent_under(world: &mut World, id: &str, to: Recipient) {
    let content = MessageContent { kind: Content::Text("x".into()), context: api::Context::default() };
    let request = SendRequest {
        to,
        content,
        request_id: format!("r-{id}"),
        request_hash: [0; 32],
        whatsapp_id: Some(id.to_owned()),
        terms: Default::default(),
    };
    let wired = world.wired();
    world.command(Command::Send(Box::new(request)));
    for _ in 0..20 {
        world.commit_everything();
        world.take(Step::AnswerRequest);
        if world.wired() > wired {
            world.take(Step::AckOurs);
            world.commit_everything();
            assert_eq!(state(world, id), MessageState::Sent);
            return;
        }
    }
    panic!("{id} was not sent");
}

fn state(world: &World, id: &str) -> MessageState {
    let mut all = world.messages.values();
    all.find(|stored| stored.message.whatsapp_id == id).expect("it was accepted").state
}

fn receipt(id: &str, from: Jid) -> Builder {
    Builder::new("receipt").attr("id", id.to_owned()).attr("from", from).attr("type", "read")
}

/// It comes, and is acknowledged.
fn hears(world: &mut World, receipt: Builder) {
    let mut sent = stanzas(world.stanza(receipt.build()));
    sent.extend(world.commit_everything());
    assert_eq!(sent.iter().filter(|stanza| stanza.tag == "ack").count(), 1, "{sent:?}");
}

fn of_many(count: usize) -> Stanza {
    let item = |number: usize| Builder::new("item").attr("id", format!("3EB0{number}")).build();
    let list = Builder::new("list").children((1..count).map(item)).build();
    receipt("3EB00", Jid::lid_device("800000", 2)).children([list]).build()
}

fn acks(stanzas: &[Stanza]) -> usize {
    stanzas.iter().filter(|stanza| stanza.tag == "ack").count()
}

#[test]
fn a_receipt_of_many_messages_is_one_question_to_the_store() {
    let mut world = World::online(8);
    assert_eq!(acks(&stanzas(world.stanza(of_many(200)))), 0);
    assert_eq!(acks(&stanzas(world.take(Step::Lookup))), 1);
}

#[test]
fn what_the_store_does_not_have_is_not_looked_for_again_until_it_is_sent() {
    let mut world = World::online(9);
    let said = || receipt("3EB0A", Jid::lid_device("800000", 2));
    hears(&mut world, said());
    assert_eq!(acks(&stanzas(world.stanza(said().build()))), 1, "at once");
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    hears(&mut world, said());
    assert_eq!(state(&world, "3EB0A"), MessageState::Read);
}

#[test]
fn misses_push_out_no_message_that_was_sent() {
    let mut world = World::online(10);
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    for number in 0..20 {
        let list = (0..200).map(|item| Builder::new("item").attr("id", format!("X{number}-{item}")).build());
        let list = Builder::new("list").children(list).build();
        let from = Jid::lid_device("800000", 2);
        hears(&mut world, receipt(&format!("X{number}"), from).children([list]));
    }
    let said = receipt("3EB0A", Jid::lid_device("800000", 2)).build();
    world.stanza(said);
    assert!(world.commits(), "it was known");
}
