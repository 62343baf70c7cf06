//! Edits: of what kind the edited message is stands in its row.

use roost_proto::api;
use roost_proto::api::message_edited::Content as Edited;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, Meaning};

use super::secrets::{next_owner, request};
use super::world::World;
use crate::device::Command;

fn a_picture() -> Content {
    let file = api::WhatsAppFile {
        direct_path: "/v/1".into(),
        media_key: vec![1; 32],
        encrypted_sha256: vec![2; 32],
        ..Default::default()
    };
    let media = api::Media { sha256: vec![3; 32], file: Some(file), ..Default::default() };
    Content::Image(api::Image { media: Some(media), caption: "before".into(), ..Default::default() })
}

fn edits(world: &mut World, id: &str) -> Edited {
    let edit = api::EditMessage { whatsapp_id: id.to_owned(), text: "after".into(), encrypted: false };
    world.command(Command::Send(Box::new(request(Content::Edit(edit), 2))));
    world.calm_down();
    let edit = world.messages.values().find(|stored| stored.message.request_id == "s2");
    match content::read(&edit.expect("it was accepted").message.content) {
        Ok(Meaning::Edited { content, .. }) => content,
        other => panic!("no edit: {other:?}"),
    }
}

#[test]
fn the_next_owner_gives_a_picture_another_caption_and_anything_else_another_text() {
    for (kind, becomes) in [
        (a_picture(), Edited::Caption("after".into())),
        (Content::Text("before".into()), Edited::Text("after".into())),
    ] {
        let mut world = World::online(1);
        world.command(Command::Send(Box::new(request(kind, 1))));
        world.calm_down();
        let id = world.messages.values().next().expect("it was accepted").message.whatsapp_id.clone();
        let mut next = next_owner(world);
        assert_eq!(edits(&mut next, &id), becomes);
    }
    assert_eq!(
        edits(&mut World::online(2), "NEVER"),
        Edited::Text("after".into()),
        "nobody here has sent it"
    );
}
