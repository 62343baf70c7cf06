//! The Noise handshake, both sides, the certificates and the payload of a login.

use std::sync::OnceLock;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::cert;
use roost_proto::id::UnixMillis;
use roost_proto::login;
use roost_proto::noise::{ClientHandshake, Responder, ServerStep};
use roost_proto::signal::KeyPair;

use super::input::{changed, choice};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// The first byte chooses the message, and whether the rest is all of it or changes a good one.
pub fn handshakes(data: &[u8]) {
    let (which, rest) = choice(data);
    let Keys { root, server, device, chain } = keys();
    let chain = match which {
        // Only the certificates are wrong.
        6 => rest.to_vec(),
        7 => changed(chain, rest),
        _ => chain.clone(),
    };
    let responder = Responder::new(server.clone(), chain, true);
    let mut rng = StdRng::seed_from_u64(1);
    let (client, hello) = ClientHandshake::new(&mut rng);
    let hello = match which {
        0 => rest.to_vec(),
        1 => changed(&hello, rest),
        _ => hello,
    };
    let Ok(step) = responder.read_client_hello(&hello, &mut rng) else { return };
    let (answer, next) = match step {
        ServerStep::Reply { hello, next, .. } => (hello, next),
        ServerStep::Accepted { accepted, .. } => {
            _ = login::parse(&accepted.payload);
            return;
        }
    };
    let answer = match which {
        2 => rest.to_vec(),
        3 => changed(&answer, rest),
        _ => answer,
    };
    let Ok(verified) = client.read_server_hello(&answer, root.public(), NOW) else { return };
    assert!(which != 2 && which != 6, "nobody guesses a certificate");
    let payload = if which == 8 { rest } else { b"payload" };
    let Ok((finish, _)) = verified.finish(device, payload) else { return };
    let finish = match which {
        4 => rest.to_vec(),
        5 => changed(&finish, rest),
        _ => finish,
    };
    let Ok(accepted) = next.read_client_finish(&finish) else { return };
    assert_eq!(&accepted.client_static, device.public());
    _ = login::parse(&accepted.payload);
    _ = login::version(&accepted.payload);
    // The ciphers: nothing that the other side did not write is opened.
    let mut opener = accepted.transport.opener;
    assert!(which != 9 || opener.open(rest).is_err());
}

/// Of the two sides, and the certificates for the server's.
struct Keys {
    root: KeyPair,
    server: KeyPair,
    device: KeyPair,
    chain: Vec<u8>,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(6);
        let mut key = || KeyPair::generate(&mut rng);
        let (root, server, device) = (key(), key(), key());
        let chain = cert::issue(&root, server.public(), NOW, &mut rng);
        Keys { root, server, device, chain }
    })
}
