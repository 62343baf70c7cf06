//! Edits in a group that are encrypted under the secret of their message, as the announcement groups of communities want
//! them; from Roost to whoever opens them, and from whatsapp-rust.

use roost_proto::api::message_edited::Content as Edited;
use roost_proto::api::send_message_request::Content;

use super::*;

pub(super) async fn edits(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let row = "encrypted edit in a group";
    let group = world.made("Roost", &["w", "b", "r"], Default::default()).await?;
    let ours = world.say(&group, "before", WaitFor::ServerAck).await?;
    let edit = api::EditMessage { whatsapp_id: ours.clone(), text: "after".to_owned(), encrypted: true };
    let (to, context) = (To::Group(group.clone()), api::Context::default());
    world.cluster.say(&world.device, to, Content::Edit(edit), context, WaitFor::ServerAck).await?;
    for (library, name) in CLIENTS {
        let (from, to) = (Way::From(library), Way::To(library));
        world.client(name).message("before").await?;
        if library == Library::Baileys {
            let why = "Baileys neither sends nor opens encrypted edits";
            matrix.row(row).not_applicable(from, why).not_applicable(to, why);
            continue;
        }
        assert_eq!(world.client(name).said("edit", "after").await?.about, ours, "{name}");
        matrix.row(row).seen(to);
        if library == Library::Whatsmeow {
            matrix.row(row).not_applicable(from, "whatsmeow opens encrypted edits and sends none");
            continue;
        }
        let theirs = world.client(name).say(&group, "secret", &format!("before, {name}"), "").await?;
        world.reader.received(&[format!("before, {name}")]).await?;
        let after = format!("after, {name}");
        world.client(name).say(&group, "encrypted_edit", &after, &theirs).await?;
        let edited = |payload: &Payload| match payload {
            Payload::MessageEdited(edited) if edited.content == Some(Edited::Text(after.clone())) => {
                Some((edited.said.clone().unwrap_or_default().group, edited.message.clone()))
            }
            _ => None,
        };
        let (place, message) = world.reader.wait("an edit", edited).await?;
        assert_eq!((place, message.map(|message| message.whatsapp_id)), (group.clone(), Some(theirs)));
        matrix.row(row).seen(from);
    }
    Ok(())
}
