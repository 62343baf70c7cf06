//! Announcements of a community: its admins speak, and its members react, each so that only the members can read it.

use roost_proto::api::send_message_request::Content;
use roost_proto::api::update_participants_request::Action::Promote;
use roost_simulations::interop::ClientEvent;

use super::*;

const ROW: &str = "concealed reaction to an announcement";

pub(super) async fn reacted_to(world: &mut World, group: &str, matrix: &mut Matrix) -> Result<(), Failure> {
    let ours = world.say(group, "eggs at nine", WaitFor::ServerAck).await?;
    // One of a client: whatsapp-rust opens none of an author to himself, as it takes the message for its own.
    let w = world.stage.person("w");
    world.first_of(Promote, group, &[w.number_jid()]).await?;
    let theirs = world.w.send(group, "ducks at ten").await?;
    world.reader.received(&["ducks at ten".to_owned()]).await?;
    let message = Some(api::MessageRef { whatsapp_id: theirs.clone(), from_me: false, sender: w.lid_jid() });
    let reaction = Content::Reaction(api::Reaction { message, emoji: "🍳".into(), concealed: true });
    let to = To::Group(group.to_owned());
    world.cluster.say(&world.device, to, reaction, Default::default(), WaitFor::ServerAck).await?;
    for (library, name) in CLIENTS {
        world.client(name).message("eggs at nine").await?;
        let row = matrix.row(ROW);
        // whatsapp-rust conceals what it is asked for as any other reaction, and opens it too.
        let kind = match library {
            Library::Whatsmeow => "concealed_reaction",
            Library::WhatsappRust => "reaction",
            Library::Baileys => {
                let why = "Baileys conceals and opens neither reactions nor comments";
                row.not_applicable(Way::From(library), why).not_applicable(Way::To(library), why);
                continue;
            }
        };
        row.seen(Way::From(library)).seen(Way::To(library));
        let is = |event: &ClientEvent| matches!(event, ClientEvent::Said(said) if (&*said.kind, &*said.text, &said.about) == (kind, "🍳", &theirs));
        world.client(name).wait("a concealed reaction", is).await?;
        let emoji = if name == "w" { "🥚" } else { "🐣" };
        world.client(name).say(group, kind, emoji, &ours).await?;
        let lid = world.stage.person(name).lid_jid();
        let reacted = |payload: &Payload| match payload {
            Payload::ReactionReceived(it) if it.emoji == emoji && !it.unreadable => {
                let (said, about) = (it.said.clone().unwrap_or_default(), it.message.clone()?);
                Some((said.group, said.sender.unwrap_or_default().lid, about.whatsapp_id, about.from_me))
            }
            _ => None,
        };
        let told = world.reader.wait(&format!("the reaction of {name}"), reacted).await?;
        assert_eq!(told, (group.to_owned(), lid, ours.clone(), true), "{name}");
        if name != "w" {
            // Roost tells of either in the same way; whatsmeow of one that is concealed only.
            let concealed = |event: &ClientEvent| matches!(event, ClientEvent::Said(said) if (&*said.kind, &*said.text, &said.about) == ("concealed_reaction", emoji, &ours));
            world.w.wait(&format!("the concealed reaction of {name}"), concealed).await?;
        }
    }
    Ok(())
}
