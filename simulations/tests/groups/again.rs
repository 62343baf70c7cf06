//! Messages of a group that a client cannot read.

use super::*;

#[tokio::test]
async fn a_member_that_cannot_read_a_message_gets_it_again_also_from_an_owner_who_remembers_no_members()
-> Result<(), Failure> {
    let mut world = World::new().await?;
    let members = ["roost", "b", "r"].map(|name| world.stage.person(name).number_jid());
    let group = world.w.group("Cranes", &members).await?;
    world.changed("joining", |change| *change == Change::Joined("Cranes".to_owned())).await?;
    for owner in 1..=2 {
        for (_, name) in CLIENTS {
            let device = world.stage.person(name).first_device();
            world.stage.sim.commit(&Fault::CorruptDeliveries { device, count: 1 })?;
            let text = format!("damaged on its way to {name} from owner {owner}");
            let id = world.say(&group, &text, WaitFor::ServerAck).await?;
            for client in [&mut world.w, &mut world.b, &mut world.r] {
                assert_eq!(client.message(&text).await?.id, id);
            }
        }
        if owner == 1 {
            let (_, epoch) = world.cluster.kill_owner(&world.device, Victim::Worker).await?;
            world.cluster.taken_over(&world.device, epoch).await?;
        }
    }
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    for client in [&world.w, &world.b, &world.r] {
        assert_eq!(client.doubled(), Vec::<String>::new());
    }
    Ok(())
}
