//! What a device does with a group of its own, and how far a message comes with every member.

use super::*;

pub(super) async fn read_by_all(world: &mut World) -> Result<(), Failure> {
    let members = ["roost", "b", "r"].map(|name| world.stage.person(name).number_jid());
    let group = world.w.group("Chicks", &members).await?;
    world.changed("joining", |change| *change == Change::Joined("Chicks".to_owned())).await?;
    read_by_clients(world, &group, "read this").await
}

/// The device says something in a group, and hears of each client that he has read it.
async fn read_by_clients(world: &mut World, group: &str, text: &str) -> Result<(), Failure> {
    let id = world.say(group, text, WaitFor::ServerAck).await?;
    for client in [&mut world.w, &mut world.b, &mut world.r] {
        let message = client.message(text).await?;
        client.read(&message).await?;
    }
    for name in ["w", "b", "r"] {
        let lid = world.stage.person(name).lid_jid();
        let read = api::message::State::Read as i32;
        world
            .reader
            .wait(&format!("receipt of {name}"), |payload| match payload {
                Payload::ParticipantReceipt(receipt) => {
                    let who = receipt.participant.as_ref().map(|who| who.lid.clone());
                    let fits =
                        receipt.whatsapp_id == id && receipt.state == read && who.as_ref() == Some(&lid);
                    fits.then_some(())
                }
                _ => None,
            })
            .await?;
    }
    Ok(())
}

/// What members say of a message comes in one receipt: in either form to the device and to whatsapp-rust, and in that by
/// kind to whatsmeow. (Baileys looks at neither.)
pub(super) async fn told_together(world: &mut World) -> Result<(), Failure> {
    let members = ["roost", "b", "r"].map(|name| world.stage.person(name).number_jid());
    let group = world.w.group("Pullets", &members).await?;
    world.changed("joining", |change| *change == Change::Joined("Pullets".to_owned())).await?;
    for by_message in [false, true] {
        world.stage.sim.commit(&Fault::GatherReceipts { count: 3, by_message })?;
        read_by_clients(world, &group, &format!("read it at once, {by_message}")).await?;
    }
    for (speaker, by_message) in [("w", false), ("r", false), ("r", true)] {
        world.stage.sim.commit(&Fault::GatherReceipts { count: 3, by_message })?;
        let text = format!("read it at once, says {speaker}, {by_message}");
        let (by, others) = match speaker {
            "w" => (&mut world.w, [&mut world.b, &mut world.r]),
            _ => (&mut world.r, [&mut world.w, &mut world.b]),
        };
        let id = by.send(&group, &text).await?;
        for listener in others {
            let message = listener.message(&text).await?;
            listener.read(&message).await?;
        }
        world.reader.received(&[text]).await?;
        let read = api::MarkReadRequest {
            device: world.device.clone(),
            chat: group.clone(),
            sender: world.stage.person(speaker).lid_jid(),
            whatsapp_ids: vec![id.clone()],
            ..Default::default()
        };
        world.cluster.ask(read, async |api, it| api.messages().mark_read(it).await).await?;
        let by = if speaker == "w" { &mut world.w } else { &mut world.r };
        for name in ["roost", "w", "b", "r"].into_iter().filter(|name| *name != speaker) {
            let user = world.stage.person(name).lid;
            let tells = |event: &ClientEvent| {
                matches!(event, ClientEvent::Receipt { ids, r#type, sender, .. }
                    if r#type == "read" && ids.contains(&id) && sender.starts_with(&user))
            };
            by.wait(&format!("what {name} has read"), tells).await?;
        }
    }
    Ok(())
}

pub(super) async fn run(world: &mut World) -> Result<(), Failure> {
    let jid = |name: &str| world.stage.person(name).number_jid();
    let (w, b) = (jid("w"), jid("b"));
    let device = world.device.clone();
    let create = api::CreateGroupRequest {
        device: device.clone(),
        subject: "Hens".into(),
        participants: vec![w],
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let made = world.cluster.ask(create.clone(), async |api, it| api.groups().create_group(it).await).await?;
    let group = made.group.clone();
    let again = world.cluster.ask(create, async |api, it| api.groups().create_group(it).await).await?;
    assert_eq!(again.group, group, "the same request is the same group");
    assert_eq!((made.subject.as_str(), made.participants.len()), ("Hens", 2));
    world.say(&group, "welcome", WaitFor::ServerAck).await?;
    world.w.message("welcome").await?;

    use api::update_participants_request::Action as Act;
    let changed = async |world: &World, action: Act, who: &str| -> Result<u32, Failure> {
        let change = api::UpdateParticipantsRequest {
            device: device.clone(),
            group: group.clone(),
            action: action.into(),
            participants: vec![who.to_owned()],
            ..Default::default()
        };
        let changed = world.cluster.ask(change, async |api, it| api.groups().update_participants(it).await);
        Ok(changed.await?.outcomes[0].code)
    };
    // Who asks for it twice hears that he is in it already.
    assert!(matches!(changed(world, Act::Add, &b).await?, 200 | 409));
    assert_eq!(changed(world, Act::Add, "15559999999@s.whatsapp.net").await?, 404);
    world.say(&group, "welcome, b", WaitFor::ServerAck).await?;
    world.b.message("welcome, b").await?;

    let update = api::UpdateGroupRequest {
        device: device.clone(),
        group: group.clone(),
        subject: Some("Roosters".into()),
        description: Some("who crows".into()),
        announce: Some(true),
        disappearing: Some(api::Duration { seconds: 86_400, nanos: 0 }),
        ..Default::default()
    };
    let updated = world.cluster.ask(update, async |api, it| api.groups().update_group(it).await).await?;
    let settings = updated.settings.expect("settings");
    assert_eq!((updated.subject.as_str(), updated.description.as_str()), ("Roosters", "who crows"));
    assert!(settings.announce && settings.disappearing.is_some() && !settings.locked);
    // Baileys does not wait for the server's word.
    let before = world.stage.refused();
    world.b.send(&group, "me too").await?;
    world.say(&group, "only I", WaitFor::ServerAck).await?;
    world.b.message("only I").await?;
    changed(world, Act::Promote, &b).await?;
    world.b.send(&group, "now I may").await?;
    world.reader.received(&["now I may".to_owned()]).await?;
    assert!(!world.reader.texts().contains_key("me too"), "only admins speak here");
    let refused = world.stage.refusals(&world.stage.person("b"), before);
    assert!(refused.iter().any(|why| why == "only admins speak in this group"), "{refused:?}");

    let invite = api::GetInviteRequest { device: device.clone(), group: group.clone(), reset: false };
    let code = world.cluster.ask(invite, async |api, it| api.groups().get_invite(it).await).await?.code;
    let preview = async |code: String| {
        let preview = api::PreviewInviteRequest { device: device.clone(), code, ..Default::default() };
        world.cluster.ask(preview, async |api, it| api.groups().preview_invite(it).await).await
    };
    assert_eq!(preview(code).await?.subject, "Roosters");
    let nowhere = preview("AbCdEfGhIjK".into()).await.expect_err("it leads nowhere");
    assert!(nowhere.says("406"), "{nowhere:?}");

    let leave = api::LeaveGroupRequest { device: device.clone(), group: group.clone() };
    world.cluster.ask(leave, async |api, it| api.groups().leave_group(it).await).await?;
    let list = api::ListGroupsRequest { device: device.clone() };
    let mine = world.cluster.ask(list, async |api, it| api.groups().list_groups(it).await).await?;
    assert!(mine.groups.is_empty());
    let id = world.say(&group, "after leaving", WaitFor::Accepted).await?;
    world
        .reader
        .wait("the failure", |payload| match payload {
            Payload::MessageStateChanged(changed) if changed.whatsapp_id == id => {
                (!changed.failure.is_empty()).then_some(())
            }
            _ => None,
        })
        .await
}
