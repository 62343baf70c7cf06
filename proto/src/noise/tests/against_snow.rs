//! Our handshakes against snow's own state machine, which knows the specification and nothing of us. The only
//! help it gets is a hash that skips the empty payload of message 1, the one place where WhatsApp deviates.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use waproto::whatsapp::handshake_message::{ClientFinish, ServerHello};

use super::*;
use crate::frame::INTRO;

/// SHA-256, except that hashing a 32-byte value and then nothing returns the value. Only the mixing of an
/// empty payload does that: HMAC starts with a block of 64 bytes.
struct SkipsEmpty {
    inner: Box<dyn Hash>,
    inputs: Vec<Vec<u8>>,
}

impl Hash for SkipsEmpty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn block_len(&self) -> usize {
        self.inner.block_len()
    }

    fn hash_len(&self) -> usize {
        self.inner.hash_len()
    }

    fn reset(&mut self) {
        self.inner.reset();
        self.inputs.clear();
    }

    fn input(&mut self, data: &[u8]) {
        self.inner.input(data);
        self.inputs.push(data.to_vec());
    }

    fn result(&mut self, out: &mut [u8]) {
        self.inner.result(out);
        if let [first, second] = self.inputs.as_slice()
            && first.len() == 32
            && second.is_empty()
        {
            out[..32].copy_from_slice(first);
        }
    }
}

struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        let inner = DefaultResolver.resolve_hash(choice)?;
        Some(Box::new(SkipsEmpty { inner, inputs: Vec::new() }))
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

fn snow(key: &KeyPair, initiator: bool) -> HandshakeState {
    let params = "Noise_XX_25519_AESGCM_SHA256".parse().expect("a known pattern");
    let builder = Builder::with_resolver(params, Box::new(Resolver));
    let builder = builder.local_private_key(key.private()).expect("a key").prologue(&INTRO).expect("once");
    match initiator {
        true => builder.build_initiator().expect("an initiator"),
        false => builder.build_responder().expect("a responder"),
    }
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let length = state.write_message(payload, &mut out).expect("writes");
    out.truncate(length);
    out
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let length = state.read_message(message, &mut out).expect("reads");
    out.truncate(length);
    out
}

#[test]
fn our_client_and_snow_as_the_server_agree() {
    let mut world = world(true);
    let mut server = snow(&world.server, false);
    let (client, hello) = ClientHandshake::new(&mut world.rng);
    let hello = parse(&hello).expect("ours");
    let hello = hello.client_hello.as_option().and_then(|hello| hello.ephemeral.clone()).expect("a key");
    assert!(read(&mut server, &hello).is_empty());
    let chain = cert::issue(&world.root, world.server.public(), NOW, &mut world.rng);
    let answer = write(&mut server, &chain);
    let answer = ServerHello {
        ephemeral: Some(answer[..32].to_vec()),
        r#static: Some(answer[32..80].to_vec()),
        payload: Some(answer[80..].to_vec()),
        ..Default::default()
    };
    let answer = HandshakeMessage { server_hello: MessageField::some(answer), ..Default::default() };
    let verified = client.read_server_hello(&answer.encode_to_vec(), world.root.public(), NOW);
    let (finish, mut ours) = verified.expect("verified").finish(&world.device, b"login").expect("finishes");
    let finish = parse(&finish).expect("ours");
    let ClientFinish { r#static, payload, .. } = finish.client_finish.as_option().expect("a finish").clone();
    let message = [r#static.expect("sealed"), payload.expect("sealed")].concat();
    assert_eq!(read(&mut server, &message), b"login");
    assert_eq!(server.get_remote_static(), Some(&world.device.public()[..]));
    let mut theirs = server.into_transport_mode().expect("finished");
    let mut buffer = vec![0; 4096];
    for _ in 0..3 {
        let frame = ours.sealer.seal(b"there").expect("seals");
        let length = theirs.read_message(&frame[3..], &mut buffer).expect("opens");
        assert_eq!(&buffer[..length], b"there");
        let length = theirs.write_message(b"back", &mut buffer).expect("seals");
        assert_eq!(ours.opener.open(&buffer[..length]), Ok(b"back".to_vec()));
    }
}

#[test]
fn snow_as_the_client_and_our_server_agree() {
    let mut world = world(true);
    let mut client = snow(&world.device, true);
    let hello = ClientHello { ephemeral: Some(write(&mut client, b"")), ..Default::default() };
    let hello = HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() };
    let (answer, next) = reply(&mut world, &hello.encode_to_vec());
    let answer = parse(&answer).expect("ours");
    let ServerHello { ephemeral, r#static, payload, .. } =
        answer.server_hello.as_option().expect("a hello").clone();
    let parts = [ephemeral, r#static, payload].map(|part| part.expect("all parts"));
    let chain = read(&mut client, &parts.concat());
    assert_eq!(cert::verify(&chain, world.root.public(), NOW).ok().as_ref(), Some(world.server.public()));
    let finish = write(&mut client, b"login");
    let finish = ClientFinish {
        r#static: Some(finish[..48].to_vec()),
        payload: Some(finish[48..].to_vec()),
        ..Default::default()
    };
    let finish = HandshakeMessage { client_finish: MessageField::some(finish), ..Default::default() };
    let mut accepted = next.read_client_finish(&finish.encode_to_vec()).expect("accepted");
    assert_eq!((&accepted.client_static, &accepted.payload[..]), (world.device.public(), &b"login"[..]));
    let mut theirs = client.into_transport_mode().expect("finished");
    let mut buffer = vec![0; 4096];
    let length = theirs.write_message(b"there", &mut buffer).expect("seals");
    assert_eq!(accepted.transport.opener.open(&buffer[..length]), Ok(b"there".to_vec()));
    let frame = accepted.transport.sealer.seal(b"back").expect("seals");
    let length = theirs.read_message(&frame[3..], &mut buffer).expect("opens");
    assert_eq!(&buffer[..length], b"back");
}
