//! Links into groups: one that was made anew leads into the group, and the one before it nowhere any more.

use roost_simulations::interop::{CLIENTS, Failure, Matrix, Way};
use serde_json::json;

use super::*;

const ROW: &str = "link of a group made anew";
const GONE: &str = "w:g2 set <invite>: 410, an invite that was reset";

pub(super) async fn made_anew(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    for (library, name) in CLIENTS {
        let gate = world.made(&format!("Gate for {name}"), &[], Default::default()).await?;
        let (old, new) = (link(world, &gate, false).await?, link(world, &gate, true).await?);
        assert_ne!(old, new);
        let person = world.stage.person(name);
        let join = |code: &str| json!({ "cmd": "join", "text": code });
        let before = world.stage.refused();
        let late = world.has(name, join(&old)).await;
        world.stage.refuses((&person, before), late, GONE)?;
        world.has(name, join(&new)).await?;
        let came = |change: &Change| match change {
            Change::Participants(who) => {
                let is = (who.action(), who.reason.as_str()) == (Action::Added, "invite");
                is && who.people.iter().any(|one| one.lid == person.lid_jid())
            }
            _ => false,
        };
        world.told(&gate, &format!("{name} by the link"), came).await?;
        let newest = link(world, &gate, true).await?;
        world.shows(name, &gate, "group_link", true, &newest).await?;
        matrix.row(ROW).seen(Way::To(library));

        let gate = world.client(name).group(&format!("Gate of {name}"), &[]).await?;
        let ask = |anew: bool| json!({ "cmd": "group_link", "to": gate, "on": anew });
        let old = text(world.has(name, ask(false)).await?);
        let new = text(world.has(name, ask(true)).await?);
        let before = world.stage.refused();
        let late = joined(world, &old).await;
        assert!(late.as_ref().is_err_and(|refused| refused.says("410")), "{name}: {late:?}");
        world.stage.refuses((&world.roost, before), late, GONE)?;
        let joined = joined(world, &new).await?;
        assert!(joined.group == gate && !joined.waiting, "{name}: {joined:?}");
        let newest = text(world.has(name, ask(true)).await?);
        world.told_by(name, &gate, "a new link", Change::InviteCode(newest)).await?;
        matrix.row(ROW).seen(Way::From(library));
    }
    Ok(())
}

fn text(value: serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn link(world: &World, group: &str, reset: bool) -> Result<String, Failure> {
    let ask = api::GetInviteRequest { device: world.device.clone(), group: group.to_owned(), reset };
    Ok(world.cluster.ask(ask, async |api, it| api.groups().get_invite(it).await).await?.code)
}

/// Whoever takes a link twice is refused: he is in the group already.
async fn joined(world: &World, code: &str) -> Result<api::JoinGroupResponse, Failure> {
    let join =
        api::JoinGroupRequest { device: world.device.clone(), code: code.to_owned(), ..Default::default() };
    world.cluster.ask_spared(join, async |api, it| api.groups().join_group(it).await).await
}
