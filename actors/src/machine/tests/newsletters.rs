//! Newsletters: what goes out under the id of an earlier post, and which acknowledgement is whose.

use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::MessageContent;
use roost_proto::stanza::{Builder, Read, Stanza};

use super::world::{Step, World, stanzas};
use crate::device::{Command, Recipient, SendRequest};
use crate::port::MessageState;

fn request(kind: Content, number: u32) -> SendRequest {
    let content = MessageContent { kind, context: api::Context::default() };
    let request_id = format!("n{number}");
    SendRequest {
        to: Recipient::Newsletter("1203631".into()),
        content,
        request_id,
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Default::default(),
    }
}

fn edit(id: &str, text: &str, number: u32) -> SendRequest {
    let edit = api::EditMessage { whatsapp_id: id.to_owned(), text: text.to_owned(), ..Default::default() };
    request(Content::Edit(edit), number)
}

fn taking_back(id: &str) -> SendRequest {
    let message = api::MessageRef { whatsapp_id: id.to_owned(), from_me: true, ..Default::default() };
    request(Content::Revoke(api::RevokeMessage { message: Some(message) }), 9)
}

/// Accepts and sends it; what went on the wire.
fn sent(world: &mut World, request: SendRequest) -> Vec<Stanza> {
    let (_, mut stanzas) = world.command(Command::Send(Box::new(request)));
    stanzas.extend(world.commit_everything());
    stanzas.retain(|stanza| stanza.tag == "message");
    stanzas
}

fn id(message: &Stanza) -> String {
    message.text("id").expect("an id").into_owned()
}

fn ack(world: &mut World, id: &str, error: Option<&'static str>) {
    let from: roost_proto::stanza::Jid = "1203631@newsletter".parse().expect("a JID");
    let mut ack = Builder::new("ack").attr("class", "message").attr("from", from).attr("id", id.to_owned());
    if let Some(error) = error {
        ack = ack.attr("error", error);
    }
    let _ = stanzas(world.stanza(ack.attr("t", 1_700_000_000u64).build()));
    world.commit_everything();
}

#[test]
fn an_edit_and_a_revocation_go_out_under_the_id_of_the_post() {
    let mut world = World::online(1);
    let post = sent(&mut world, request(Content::Text("hens".into()), 1)).remove(0);
    let edited = sent(&mut world, edit(&id(&post), "ducks", 2)).remove(0);
    let gone = sent(&mut world, taking_back(&id(&post))).remove(0);
    let told = [&post, &edited, &gone].map(|it| (id(it), it.text("edit").map(|edit| edit.into_owned())));
    assert_eq!(told, [None, Some("3"), Some("8")].map(|edit| (id(&post), edit.map(str::to_owned))));
    let plain = |message: &Stanza| {
        message.child("plaintext").and_then(|plain| plain.leaf()).unwrap_or_default().to_vec()
    };
    assert_eq!(plain(&edited), roost_proto::e2e::text("ducks"), "only the new content, without an envelope");
    assert_eq!((plain(&gone), gone.text("type").as_deref()), (Vec::new(), Some("text")));
}

#[test]
fn each_acknowledgement_settles_the_oldest_message_under_its_id() {
    let mut world = World::online(2);
    let post = id(&sent(&mut world, request(Content::Text("hens".into()), 1))[0]);
    sent(&mut world, edit(&post, "ducks", 2));
    sent(&mut world, edit(&post, "geese", 3));
    let states = |world: &World| ["n1", "n2", "n3"].map(|request| world.state_of(request));
    let (failed, sending, sent) = (MessageState::Failed, MessageState::Sending, MessageState::Sent);
    assert_eq!(states(&world), [sending, sending, sending]);
    ack(&mut world, &post, None);
    assert_eq!(states(&world), [sent, sending, sending]);
    ack(&mut world, &post, Some("404"));
    assert_eq!(states(&world), [sent, failed, sending]);
    ack(&mut world, &post, None);
    assert_eq!(states(&world), [sent, failed, sent]);
    ack(&mut world, &post, None);
    assert_eq!(states(&world), [sent, failed, sent]);
}

#[test]
fn an_acknowledgement_of_a_repeated_post_is_not_taken_for_one_of_its_edit() {
    let mut world = World::online(3);
    let post = id(&sent(&mut world, request(Content::Text("hens".into()), 1))[0]);
    // Not heard of for long: the same bytes again.
    let again = stanzas(world.take(Step::Time(60_000)));
    assert!(again.iter().any(|stanza| stanza.tag == "message" && id(stanza) == post), "{again:?}");
    sent(&mut world, edit(&post, "ducks", 2));
    ack(&mut world, &post, None);
    ack(&mut world, &post, None);
    assert_eq!([world.state_of("n1"), world.state_of("n2")], [MessageState::Sent, MessageState::Sending]);
    ack(&mut world, &post, None);
    assert_eq!(world.state_of("n2"), MessageState::Sent);
}

#[test]
fn after_a_lost_link_everything_that_was_not_acknowledged_goes_out_again() {
    let mut world = World::online(4);
    let post = id(&sent(&mut world, request(Content::Text("hens".into()), 1))[0]);
    sent(&mut world, edit(&post, "ducks", 2));
    world.take(Step::LinkDown);
    world.take(Step::Time(60_000));
    let again = world.go_online_and_tell();
    let again: Vec<_> = again.iter().filter(|stanza| stanza.tag == "message").map(id).collect();
    assert_eq!(again, [post.clone(), post.clone()]);
    ack(&mut world, &post, None);
    assert_eq!([world.state_of("n1"), world.state_of("n2")], [MessageState::Sent, MessageState::Sending]);
}
