//! Typing in a group: every member sees it of every other.

use roost_simulations::interop::ClientEvent;
use serde_json::json;

use super::*;

pub(super) async fn seen(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let group = world.made("Chatter", &["w", "b", "r"], Default::default()).await?;
    let typing = api::SendChatStateRequest {
        device: world.device.clone(),
        chat: group.clone(),
        state: api::send_chat_state_request::State::Typing.into(),
    };
    // It is kept for nobody who is away.
    world.cluster.ask_spared(typing, async |api, it| api.presence().send_chat_state(it).await).await?;
    let (number, lid) = (world.roost.pn.to_string(), world.roost.lid.clone());
    for (library, name) in CLIENTS {
        let types = |event: &ClientEvent| {
            let is = |from: &String| from.starts_with(&number) || from.starts_with(&lid);
            matches!(event, ClientEvent::Typing { from, state } if is(from) && state == "composing")
        };
        world.client(name).wait("that roost types", types).await?;
        world.cluster.outlived().await?;
        world.has(name, json!({ "cmd": "typing", "to": group, "text": "composing" })).await?;
        let author = world.stage.person(name).lid_jid();
        world
            .reader
            .wait(&format!("that {name} types"), |payload| match payload {
                Payload::ChatStateChanged(changed) => {
                    let is = changed.person.as_ref().is_some_and(|person| person.lid == author);
                    let typing = api::chat_state_changed::State::Typing;
                    (is && changed.group == group && changed.state() == typing).then_some(())
                }
                _ => None,
            })
            .await?;
        matrix.row("typing in a group").seen(Way::From(library)).seen(Way::To(library));
    }
    Ok(())
}
