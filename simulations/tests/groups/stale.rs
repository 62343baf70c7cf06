//! Messages for a list of devices that WhatsApp calls stale.

use super::*;

/// They are made anew under their ids, with a key that all who are there are given: everybody reads them, once.
pub(super) async fn overcome(world: &mut World) -> Result<(), Failure> {
    let members = ["roost", "b", "r"].map(|name| world.stage.person(name).number_jid());
    let group = world.w.group("Geese", &members).await?;
    world.changed("joining", |change| *change == Change::Joined("Geese".to_owned())).await?;
    for count in [1, 2, 0] {
        refuse(world, count)?;
        let text = format!("after {count} refusals");
        let id = world.say(&group, &text, WaitFor::ServerAck).await?;
        for client in [&mut world.w, &mut world.b, &mut world.r] {
            assert_eq!(client.message(&text).await?.id, id);
        }
    }
    Ok(())
}

fn refuse(world: &World, count: u32) -> Result<(), Failure> {
    let device = world.roost.first_device();
    Ok(world.stage.sim.commit(&Fault::StaleLists { device, count })?)
}

#[tokio::test]
async fn a_message_for_a_stale_list_reaches_everybody_once_under_its_id_or_fails_with_the_code()
-> Result<(), Failure> {
    let mut world = World::new().await?;
    overcome(&mut world).await?;
    let group = world.w.group("Swans", &[world.roost.number_jid()]).await?;
    world.changed("joining", |change| *change == Change::Joined("Swans".to_owned())).await?;
    refuse(&world, 3)?;
    let id = world.say(&group, "to nobody", WaitFor::Accepted).await?;
    let failure = world.reader.wait("the failure", |payload| match payload {
        Payload::MessageStateChanged(changed) if changed.whatsapp_id == id && !changed.failure.is_empty() => {
            Some(changed.failure.clone())
        }
        _ => None,
    });
    assert_eq!(failure.await?, "UPSTREAM_NACK_421");
    // One and two and three times it is called stale.
    assert_eq!(world.trouble(true), Trouble { refused_stanzas: 6, ..Trouble::default() });
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    for client in [&world.w, &world.b, &world.r] {
        assert_eq!(client.doubled(), Vec::<String>::new());
    }
    Ok(())
}
