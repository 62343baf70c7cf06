//! The chain that the server proves its Noise key with, as days go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::noise::{ClientHandshake, HandshakeError, ServerStep};

use super::*;

const HOUR: i64 = 3600 * 1000;

/// Has the server answer a handshake at this time.
fn greeted(server: &SimServer) -> (ClientHandshake, Vec<u8>) {
    let (handshake, hello) = ClientHandshake::new(&mut StdRng::seed_from_u64(5));
    let step = server.shared.greet(|_, responder, rng| responder.read_client_hello(&hello, rng));
    let Ok(ServerStep::Reply { hello, .. }) = step else { panic!("not a whole handshake") };
    (handshake, hello)
}

/// Whether a client whose clock shows this time takes what the server has answered.
fn taken(server: &SimServer, said: (ClientHandshake, Vec<u8>), at: i64) -> Result<(), HandshakeError> {
    said.0.read_server_hello(&said.1, &server.root(), UnixMillis(at)).map(drop)
}

#[test]
fn certificates_are_issued_anew_long_before_they_expire() {
    let begin = 1_800_000_000_000;
    let clock = Arc::new(AtomicI64::new(begin));
    let read = clock.clone();
    let now = Arc::new(move || UnixMillis(read.load(Ordering::Relaxed)));
    let server = SimServer::apart(1, now, Box::new(|_| {})).expect("it starts");
    let first = greeted(&server);
    assert!(taken(&server, first, begin + 8 * 24 * HOUR).is_err(), "a client minds an old chain");
    // Longer than the intermediate certificate lasts, with handshakes at odd hours.
    for hours in (0..40 * 24).step_by(7) {
        let at = begin + hours * HOUR;
        clock.store(at, Ordering::Relaxed);
        for (ahead, clocks) in
            [(0, "one"), (-24, "one that is a day slow"), (5 * 24, "one that is days ahead")]
        {
            let said = greeted(&server);
            let taken = taken(&server, said, at + ahead * HOUR);
            assert!(taken.is_ok(), "after {hours} hours by a clock, {clocks}: {taken:?}");
        }
    }
}
