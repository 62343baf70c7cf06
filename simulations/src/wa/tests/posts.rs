//! Status posts: who gets them.

use super::*;

/// A post of one ciphertext for all; `named` are the users in it.
fn posts(world: &mut World, from: usize, named: &[Jid]) -> Stanza {
    let users = named.iter().map(|jid| Builder::new("to").attr("jid", jid.clone()).build());
    let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(vec![0x33; 80]).build();
    let post = Builder::new("message")
        .attr("id", format!("3EB0{}", named.len()))
        .attr("to", "status@broadcast".parse::<Jid>().expect("a JID"))
        .attr("type", "text")
        .children([Builder::new("participants").children(users).build(), enc])
        .build();
    world.say(from, post.clone());
    post
}

fn got(world: &World, probe: usize) -> Vec<Stanza> {
    let place = |stanza: &&Stanza| {
        stanza.tag == "message" && stanza.text("from").as_deref() == Some("status@broadcast")
    };
    world.probes[probe].seen.iter().filter(place).cloned().collect()
}

#[test]
fn a_post_reaches_whom_it_names_and_the_own_devices_and_nobody_else() {
    let mut world = World::new();
    let (ada, own, bob, eve) =
        (world.linked("ada"), world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let named = [world.lid(bob)];
    posts(&mut world, ada, &named);
    for probe in [own, bob] {
        let post = got(&world, probe).pop().expect("it came");
        assert_eq!(post.jid("participant").map(|jid| jid.to_non_ad()), Some(world.lid(ada)));
    }
    assert!(got(&world, eve).is_empty() && got(&world, ada).is_empty());
}

#[test]
fn a_post_for_nobody_is_refused() {
    let mut world = World::new();
    let (ada, own) = (world.linked("ada"), world.linked("ada"));
    let post = posts(&mut world, ada, &[]);
    let ack = world.probes[ada].seen.iter().find(|stanza| stanza.text("id") == post.text("id"));
    assert_eq!(ack.and_then(|ack| ack.text("error")).as_deref(), Some("400"));
    assert!(got(&world, own).is_empty());
}
