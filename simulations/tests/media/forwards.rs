//! Files that came are sent on, also when the servers have dropped them meanwhile.

use roost_node::client::Client;

use super::*;

impl World {
    /// A document of this client goes back to it. It can be fetched, though the servers had dropped it; when the phone does not
    /// have it either, nothing is sent.
    pub(super) async fn forwards(&mut self, client: usize, status: u16) -> Result<(), Failure> {
        let (path, hash) = self.file(&format!("forwarded-{client}"), 200_000 + client)?;
        let content = self.sends(client, "document", "application/pdf", &path).await?;
        let media = media_of(&content).cloned().unwrap_or_default();
        let named = api::Media { name: media.name.clone(), ..Default::default() };
        let document = || Send::Document(api::Document { media: Some(named.clone()), ..Default::default() });
        let context = || api::Context { forwarding_score: 1, ..Default::default() };
        self.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
        self.stage.sim.commit(&Fault::PhonesForgetMedia { forget: true })?;
        let refused = self.gives_with(client, document(), context()).await.expect_err("nobody has it");
        assert!(format!("{refused:?}").contains("the phone does not have it any more"), "{refused:?}");
        self.stage.sim.commit(&Fault::PhonesForgetMedia { forget: false })?;
        let id = self.gives_with(client, document(), context()).await?;
        assert_eq!(self.clients[client].0.file(&id).await?.sha256, hash);
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_another_device_of_the_tenant_has_got_is_sent_on_by_any_node() -> Result<(), Failure> {
    let mut world = World::new(2).await?;
    let second = world.cluster.create_device("acme", "second").await?;
    world.cluster.until_owned(&second).await?;
    let person = world.stage.person("second");
    world.cluster.pair(&world.stage, &second, &person).await?;
    // Each has another owner, so one of the two nodes hands the call on, and the other has to ask the first.
    let (owner, _) = world.cluster.owner(&world.device).await?;
    let nodes = async |api: Client, it| api.cluster().list_nodes(it).await;
    let nodes = world.cluster.ask(api::ListNodesRequest {}, nodes).await?.nodes;
    let target = nodes.into_iter().map(|node| node.name).find(|node| *node != owner).expect("there are two");
    if world.cluster.owner(&second).await?.0 == owner {
        let there = api::MoveDeviceRequest { name: second.clone(), target, allow_downgrade: false };
        world.cluster.ask(there, async |api, it| api.cluster().move_device(it).await).await?;
    }
    world.cluster.online(&second).await?;
    let (path, hash) = world.file("of-the-first", 100_000)?;
    let content = world.sends(0, "document", "application/pdf", &path).await?;
    let media = media_of(&content).cloned().unwrap_or_default();
    for node in 0..2 {
        world.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status: 404 })?;
        let media = Some(api::Media { name: media.name.clone(), ..Default::default() });
        let to = To::PhoneNumber(world.clients[0].1.pn.to_string());
        let message = api::SendMessageRequest {
            parent: second.clone(),
            to: Some(api::Recipient { to: Some(to) }),
            content: Some(Send::Document(api::Document { media, ..Default::default() })),
            context: Some(api::Context { forwarding_score: 1, ..Default::default() }),
            request_id: format!("00000000-0000-4000-8000-00000000000{node}"),
            ..Default::default()
        };
        let sent = world.cluster.callers.node(node).messages().send_message(message).await?.into_inner();
        assert_eq!(world.clients[0].0.file(&sent.whatsapp_id).await?.sha256, hash, "by node {node}");
    }
    Ok(())
}
