//! Trusted-contact tokens, and messages that are refused without one.

use roost_proto::cstoken::cstoken;

use super::*;

fn gives(world: &mut World, from: usize, to: &Jid) {
    let token = Builder::new("token").attr("jid", to.clone()).attr("t", world.now.0 as u64 / 1000);
    let token = token.attr("type", "trusted_contact").build();
    let tokens = Builder::new("tokens").children([token]).build();
    let answer =
        world.ask(from, iq::request("t1", "set", "privacy", server_jid()).children([tokens]).build());
    assert_eq!(answer.text("type").as_deref(), Some("result"));
}

/// The error of the acknowledgement of the last message of a probe.
fn refused(world: &World, probe: usize) -> Option<String> {
    let ack = world.probes[probe]
        .seen
        .iter()
        .rev()
        .find(|stanza| stanza.text("class").as_deref() == Some("message"));
    ack.expect("messages are acknowledged").text("error").map(|error| error.into_owned())
}

#[test]
fn a_stranger_needs_the_token_of_the_salt_that_its_own_phone_has_made_for_this_recipient() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let (chat, own) = (world.lid(bob), world.lid(ada));
    demand(&mut world);
    for probe in [ada, bob] {
        let pn = world.device(probe).pn;
        world.machine.phone_makes_salt(pn).expect("it has a phone");
    }
    let token = |by: usize, to: &Jid| {
        let salt = world.machine.salt(world.device(by).pn).expect("made above");
        cstoken(salt, to).map(|token| token.to_vec())
    };
    let shown =
        [(None, true), (token(bob, &chat), true), (token(ada, &own), true), (token(ada, &chat), false)];
    for (stranger, is_refused) in shown {
        world.probes[ada].stranger = stranger;
        world.text(ada, &chat, "from a stranger");
        assert_eq!(refused(&world, ada).is_some(), is_refused);
    }
    assert_eq!(world.texts(bob), ["from a stranger"]);
    assert!(world.machine.phone_makes_salt(1).is_err(), "nobody's phone");
}

fn demand(world: &mut World) {
    let effects = world.machine.commit(world.now, &Fault::DemandTokens { demand: true }).expect("no device");
    world.carry(effects);
}

#[test]
fn a_token_is_told_to_every_device_of_the_contact() {
    let mut world = World::new();
    let (ada, bob, second) = (world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let to = world.lid(bob);
    gives(&mut world, ada, &to);
    for probe in [bob, second] {
        let told = world.probes[probe].seen.iter().find(|stanza| stanza.child("tokens").is_some());
        let told = told.expect("a notification");
        assert_eq!(told.jid("sender_lid"), Some(world.lid(ada)));
        let token = told.child("tokens").and_then(|tokens| tokens.child("token")).expect("a token");
        let (by, to) = (world.device(ada).pn, world.device(bob).pn);
        assert_eq!(token.leaf(), world.machine.trust().token(by, to));
    }
}

#[test]
fn while_tokens_are_demanded_only_the_right_one_that_is_not_too_old_lets_a_message_through() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let (chat, back) = (world.lid(bob), world.lid(ada));
    demand(&mut world);
    world.text(ada, &chat, "from a stranger");
    assert_eq!(refused(&world, ada).as_deref(), Some("463"));
    assert!(world.texts(bob).is_empty());
    gives(&mut world, bob, &back);
    let (by, to) = (world.device(bob).pn, world.device(ada).pn);
    let token = world.machine.trust().token(by, to).expect("given").to_vec();
    for (shown, error) in [(b"made up".to_vec(), Some("463")), (token.clone(), None)] {
        world.probes[ada].token = Some(shown);
        world.text(ada, &chat, "again");
        assert_eq!(refused(&world, ada).as_deref(), error);
    }
    assert_eq!(world.texts(bob), ["again"]);
    world.now.0 += 5 * 7 * 24 * 3_600_000;
    world.text(ada, &chat, "much later");
    assert_eq!(refused(&world, ada).as_deref(), Some("463"));
}
