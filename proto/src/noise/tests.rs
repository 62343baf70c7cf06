//! Both roles against each other, and refusals; against an independent state machine in [`against_snow`].

use rand::SeedableRng;
use rand::rngs::StdRng;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::ClientHello;

use super::symmetric::{IK, Symmetric, XX_FALLBACK};
use super::*;
use crate::cert;
use crate::id::UnixMillis;
use crate::signal::KeyPair;

mod against_snow;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct World {
    rng: StdRng,
    root: KeyPair,
    server: KeyPair,
    device: KeyPair,
    responder: Responder,
}

fn world(accept_ik: bool) -> World {
    let mut rng = StdRng::seed_from_u64(7);
    let (root, server) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let device = KeyPair::generate(&mut rng);
    let chain = cert::issue(&root, server.public(), NOW, &mut rng);
    let responder = Responder::new(server.clone(), chain, accept_ik);
    World { rng, root, server, device, responder }
}

fn reply(world: &mut World, hello: &[u8]) -> (Vec<u8>, AwaitsFinish) {
    match world.responder.read_client_hello(hello, &mut world.rng).expect("well formed") {
        ServerStep::Reply { hello, next, .. } => (hello, next),
        ServerStep::Accepted { .. } => panic!("this hello must not be accepted at once"),
    }
}

fn talk(mut client: Transport, mut server: Transport) {
    for length in [0, 1, 300, 65_536, 200_000] {
        let (there, back) = (vec![1; length], vec![2; length]);
        let frame = client.sealer.seal(&there).expect("seals");
        assert_eq!(server.opener.open(&frame[3..]), Ok(there));
        let frame = server.sealer.seal(&back).expect("seals");
        assert_eq!(client.opener.open(&frame[3..]), Ok(back));
    }
    let frame = client.sealer.seal(b"once").expect("seals");
    assert_eq!(server.opener.open(&frame[3..]), Ok(b"once".to_vec()));
    assert_eq!(server.opener.open(&frame[3..]), Err(TransportError::Decrypt), "a replayed frame");
}

#[test]
fn xx_agrees_and_carries_frames_of_any_length() {
    let mut world = world(true);
    let (client, hello) = ClientHandshake::new(&mut world.rng);
    let (hello, next) = reply(&mut world, &hello);
    let verified = client.read_server_hello(&hello, world.root.public(), NOW).expect("verified");
    let (finish, transport) = verified.finish(&world.device, b"login").expect("finishes");
    let accepted = next.read_client_finish(&finish).expect("accepted");
    assert_eq!((&accepted.client_static, &accepted.payload[..]), (world.device.public(), &b"login"[..]));
    talk(transport, accepted.transport);
}

#[test]
fn a_server_of_another_root_is_refused_before_anything_is_sent() {
    let mut world = world(true);
    let (client, hello) = ClientHandshake::new(&mut world.rng);
    let (hello, _) = reply(&mut world, &hello);
    let refused = client.read_server_hello(&hello, &cert::WHATSAPP_ROOT, NOW);
    assert!(matches!(refused, Err(HandshakeError::Certificate(_))));
}

#[test]
fn a_stolen_chain_is_refused() {
    let mut world = world(true);
    let chain = cert::issue(&world.root, world.server.public(), NOW, &mut world.rng);
    world.responder = Responder::new(KeyPair::generate(&mut world.rng), chain, true);
    let (client, hello) = ClientHandshake::new(&mut world.rng);
    let (hello, _) = reply(&mut world, &hello);
    let refused = client.read_server_hello(&hello, world.root.public(), NOW);
    assert!(matches!(refused, Err(HandshakeError::Certificate(cert::CertError::OtherKey))));
}

#[test]
fn changed_bytes_anywhere_in_the_server_hello_are_refused() {
    let mut world = world(true);
    let (_, hello) = ClientHandshake::new(&mut world.rng);
    let (answer, _) = reply(&mut world, &hello);
    for position in (0..answer.len()).step_by(5) {
        let mut rng = StdRng::seed_from_u64(99);
        let (client, hello) = ClientHandshake::new(&mut rng);
        let (mut answer, _) = reply(&mut world, &hello);
        answer[position] ^= 1;
        assert!(client.read_server_hello(&answer, world.root.public(), NOW).is_err(), "byte {position}");
    }
}

#[test]
fn hostile_bytes_are_errors_in_every_state() {
    let mut world = world(true);
    for bytes in [&b""[..], b"\x00", b"\xff\xff\xff\xff\xff", &vec![0x12; 70_000]] {
        assert!(world.responder.read_client_hello(bytes, &mut world.rng).is_err());
        let (client, hello) = ClientHandshake::new(&mut world.rng);
        assert!(client.read_server_hello(bytes, world.root.public(), NOW).is_err());
        let (_, next) = reply(&mut world, &hello);
        assert!(next.read_client_finish(bytes).is_err());
    }
}

#[test]
fn a_key_of_small_order_is_refused() {
    let mut world = world(true);
    let hello = ClientHello { ephemeral: Some(vec![0; 32]), ..Default::default() };
    let hello = HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() };
    let refused = world.responder.read_client_hello(&hello.encode_to_vec(), &mut world.rng);
    assert!(matches!(refused, Err(HandshakeError::WeakKey)));
}

/// A client that resumes, written from the pattern alone: e, es, s, ss.
fn ik_hello(world: &mut World, server: &[u8; 32]) -> (Symmetric, KeyPair, Vec<u8>) {
    let ephemeral = KeyPair::generate(&mut world.rng);
    let mut state = Symmetric::new(IK);
    state.mix_hash(server);
    state.mix_hash(ephemeral.public());
    state.mix_dh(ephemeral.private(), server).expect("strong key");
    let sealed_static = state.encrypt(world.device.public());
    state.mix_dh(world.device.private(), server).expect("strong key");
    let payload = state.encrypt(b"login");
    let hello = ClientHello {
        ephemeral: Some(ephemeral.public().to_vec()),
        r#static: Some(sealed_static),
        payload: Some(payload),
        ..Default::default()
    };
    let message = HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() };
    (state, ephemeral, message.encode_to_vec())
}

#[test]
fn ik_to_the_known_server_key_is_accepted_in_one_round() {
    let mut world = world(true);
    let server = *world.server.public();
    let (mut state, ephemeral, hello) = ik_hello(&mut world, &server);
    let step = world.responder.read_client_hello(&hello, &mut world.rng).expect("well formed");
    let ServerStep::Accepted { hello, accepted } = step else { panic!("must be accepted") };
    assert_eq!(accepted.payload, b"login");
    let answer = parse(&hello).expect("well formed");
    let answer = answer.server_hello.as_option().expect("a server hello");
    assert_eq!(answer.r#static, None, "a static key would mean a fallback to the client");
    let server_ephemeral = public(answer.ephemeral.as_deref()).expect("32 bytes");
    state.mix_hash(&server_ephemeral);
    state.mix_dh(ephemeral.private(), &server_ephemeral).expect("strong key");
    state.mix_dh(world.device.private(), &server_ephemeral).expect("strong key");
    state.decrypt(answer.payload.as_deref().unwrap_or_default()).expect("same transcript");
    let (to_server, to_client) = state.split();
    talk(Transport::new(&to_server, &to_client), accepted.transport);
}

#[test]
fn ik_to_a_forgotten_server_key_falls_back_with_the_same_ephemeral() {
    for accept_ik in [true, false] {
        let mut world = world(accept_ik);
        let remembered =
            if accept_ik { *KeyPair::generate(&mut world.rng).public() } else { *world.server.public() };
        let (_, ephemeral, hello) = ik_hello(&mut world, &remembered);
        let (answer, next) = reply(&mut world, &hello);
        let mut state = Symmetric::new(XX_FALLBACK);
        state.mix_hash(ephemeral.public());
        let client = ClientHandshake::resumed(state, ephemeral);
        let verified = client.read_server_hello(&answer, world.root.public(), NOW).expect("verified");
        let (finish, transport) = verified.finish(&world.device, b"login").expect("finishes");
        let accepted = next.read_client_finish(&finish).expect("accepted");
        talk(transport, accepted.transport);
    }
}
