//! Connections that are not logged in: what they may ask, and what they hear.

use roost_proto::stanza::Server;

use super::super::machine::Connection;
use super::*;

/// A device that shows a code.
fn showing(world: &mut World) -> ConnectionId {
    world.probes.push(Probe::new(9, "ada"));
    world.connect(world.probes.len() - 1)
}

/// What the probe hears to a request.
fn asked(world: &mut World, connection: ConnectionId, request: Stanza) -> Result<Stanza, iq::Refused> {
    let (probe, id) = (world.on[&connection], request.text("id").expect("a request").into_owned());
    world.event(connection, Event::Received(request));
    let answer = world.probes[probe].seen.iter().rev().find(|s| s.text("id").as_deref() == Some(&*id));
    iq::outcome(answer.expect("every request is answered").clone())
}

#[test]
fn a_ping_is_answered_before_the_login_and_everything_else_is_refused() {
    let mut world = World::new();
    let connection = showing(&mut world);
    for xmlns in ["w:p", "urn:xmpp:ping"] {
        assert!(asked(&mut world, connection, iq::get("p-1", xmlns).build()).is_ok(), "{xmlns}");
    }
    for (number, kind) in ["get", "set"].into_iter().enumerate() {
        let request = iq::request(&format!("q-{number}"), kind, "encrypt", server_jid());
        let request = request.children([Builder::new("count").build()]).build();
        assert_eq!(asked(&mut world, connection, request).expect_err("not logged in").code, 501);
    }
    assert!(world.probes[0].qr.is_some() && world.closed.is_empty(), "the code is still shown");
}

#[test]
fn a_part_of_pairing_by_code_that_comes_too_early_is_refused() {
    let mut world = World::new();
    let connection = showing(&mut world);
    for (number, stage) in ["companion_finish", "companion_wish"].into_iter().enumerate() {
        let part = Builder::new("link_code_companion_reg").attr("stage", stage).build();
        let request = iq::set(&format!("c-{number}"), "md").children([part]).build();
        assert_eq!(asked(&mut world, connection, request).expect_err(stage).code, 400);
    }
}

#[test]
fn what_is_wrong_with_a_first_part_of_pairing_by_code_is_said() {
    let mut world = World::new();
    let connection = showing(&mut world);
    let Some(Connection::Pairing { noise, .. }) = world.machine.connections.get(&connection) else {
        panic!("a code is shown");
    };
    let noise = noise.to_vec();
    let hello = |name: &str, value: &[u8]| {
        let parts = [
            ("link_code_pairing_wrapped_companion_ephemeral_pub", vec![7; 80]),
            ("companion_server_auth_key_pub", noise.clone()),
            ("companion_platform_id", b"1".to_vec()),
            ("companion_platform_display", b"Chrome (Linux)".to_vec()),
        ];
        let parts = parts.into_iter().map(|(tag, right)| {
            Builder::new(tag).bytes(if tag == name { value.to_vec() } else { right }).build()
        });
        let phone = if name == "jid" { Jid::new("nobody", Server::Pn) } else { Jid::pn("4915") };
        let part =
            Builder::new("link_code_companion_reg").attr("stage", "companion_hello").attr("jid", phone);
        iq::set("c-1", "md").children([part.children(parts).build()]).build()
    };
    for (name, value, said) in [
        ("jid", &b""[..], "names no phone"),
        ("link_code_pairing_wrapped_companion_ephemeral_pub", &[7; 79], "no wrapped key of 80 bytes"),
        ("companion_server_auth_key_pub", &[7; 32], "another Noise key"),
        ("companion_platform_id", b"d", "no sort of client"),
        ("companion_platform_display", b"Chrome", "no browser and system"),
        ("companion_platform_display", b"Chrome ()", "no browser and system"),
        ("companion_platform_display", b" (Linux)", "no browser and system"),
    ] {
        assert_eq!(asked(&mut world, connection, hello(name, value)).expect_err(name).code, 400);
        let refused = world.machine.ledger().refusals().next_back().expect("it is kept");
        assert!(refused.reason.contains(said), "{name}: {}", refused.reason);
    }
    for client in ["0", "9", "c", "e"] {
        let answer = asked(&mut world, connection, hello("companion_platform_id", client.as_bytes()));
        assert!(answer.is_ok(), "{client}");
    }
}

#[test]
fn what_is_wrong_with_a_last_part_of_pairing_by_code_is_said_and_uses_up_no_code() {
    let mut world = World::new();
    let connection = showing(&mut world);
    let (noise, identity) = {
        let keys = &world.probes[0].keys;
        (*keys.noise().public(), keys.identity().public().to_vec())
    };
    let part = |stage: &'static str, parts: Vec<(&'static str, Vec<u8>)>| {
        let parts = parts.into_iter().map(|(tag, bytes)| Builder::new(tag).bytes(bytes).build());
        Builder::new("link_code_companion_reg").attr("stage", stage).children(parts)
    };
    let hello = part(
        "companion_hello",
        vec![
            ("link_code_pairing_wrapped_companion_ephemeral_pub", vec![7; 80]),
            ("companion_server_auth_key_pub", noise.to_vec()),
            ("companion_platform_id", b"1".to_vec()),
            ("companion_platform_display", b"Chrome (Linux)".to_vec()),
        ],
    );
    let hello = hello.attr("jid", Jid::pn("4915")).build();
    let answer = asked(&mut world, connection, iq::set("c-1", "md").children([hello]).build());
    let answer = answer.expect("a good first part");
    let reference =
        answer.child("link_code_companion_reg").and_then(|part| part.child("link_code_pairing_ref"));
    let reference = reference.and_then(|text| text.leaf()).expect("a reference").to_vec();

    let finish = |world: &mut World, spoiled: &str, bytes: Option<&[u8]>| {
        let parts = [
            ("link_code_pairing_wrapped_key_bundle", vec![7; 156]),
            ("companion_identity_public", identity.clone()),
            ("link_code_pairing_ref", reference.clone()),
        ];
        let parts = parts.into_iter().filter_map(|(tag, right)| match tag == spoiled {
            true => Some((tag, bytes?.to_vec())),
            false => Some((tag, right)),
        });
        let part = part("companion_finish", parts.collect()).build();
        let said = asked(world, connection, iq::set("c-2", "md").children([part]).build());
        let reason = world.machine.ledger().refusals().next_back().expect("it is kept").reason.clone();
        (said.map(drop).map_err(|refused| refused.code), reason)
    };
    let refused = |why: &str| (Err(400), format!("companion_finish {why}"));
    let early = finish(&mut world, "", None);
    assert_eq!(early, refused("before a code was typed on the phone"));
    let typed = |world: &mut World| world.machine.type_code(world.now, 4915, "ABCD1234").map(drop);
    typed(&mut world).expect("its companion waits");
    for (spoiled, bytes, why) in [
        ("link_code_pairing_ref", None, "has another reference than its companion_hello was given"),
        (
            "link_code_pairing_ref",
            Some(&b"1"[..]),
            "has another reference than its companion_hello was given",
        ),
        ("companion_identity_public", None, "has another identity than was registered"),
        ("companion_identity_public", Some(&[7; 32]), "has another identity than was registered"),
        ("link_code_pairing_wrapped_key_bundle", None, "has no bundle of keys"),
    ] {
        assert_eq!(finish(&mut world, spoiled, bytes), refused(why));
        assert!(matches!(typed(&mut world), Err(TypeError::Waiting)), "the phone goes on waiting: {why}");
    }
    // It reaches the phone, which cannot open it and asks the person for another code.
    let (said, reason) = finish(&mut world, "", None);
    assert_eq!((said, &*reason), (Ok(()), "the other side does not know the code"));
    typed(&mut world).expect("another code can be typed");
}

#[test]
fn a_registration_is_refused_as_often_as_a_fault_says() {
    let mut world = World::new();
    world
        .machine
        .commit(world.now, &Fault::RegistrationFailure { reason: 413, count: 1 })
        .expect("no device");
    let first = showing(&mut world);
    assert_eq!(world.last_failure(0), Some(FailureReason::Other(413)));
    assert!(world.closed.contains(&first) && world.probes[0].qr.is_none());
    world.connect(0);
    assert!(world.probes[0].qr.is_some());
}
