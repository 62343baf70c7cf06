//! Bytes from strangers: frames, stanzas, handshakes, pairing payloads, ratchets of other libraries. Whatever
//! comes, the readers answer with a value or an error, and believe nothing that is not signed.
//!
//! Valid inputs are damaged at random: bits, cuts, repetitions, splices of two. A thousand inputs of each kind
//! unless `ROOST_HOSTILE_SECONDS` asks for so many seconds of each; a failure prints kind and seed, and
//! `ROOST_SEED` begins there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use roost_proto::frame::{self, FrameDecoder};
use roost_proto::id::UnixMillis;
use roost_proto::login::{ClientInfo, ClientPayload, Login};
use roost_proto::noise::{ClientHandshake, Responder, ServerStep};
use roost_proto::pairing::QrCode;
use roost_proto::signal::{
    Address, Bundle, CiphertextKind, KeyPair, Keys, Peer, PrekeyPage, decrypt, encrypt, establish, foreign,
    message_key,
};
use roost_proto::stanza::{self, Builder, Jid};
use roost_proto::version::ProtocolVersion;
use roost_proto::{adv, cert, e2e, login};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Inputs of each kind, unless there is a time.
const INPUTS: u64 = 1_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Damages one of `valid` at random, again and again, and lets `read` have it.
fn hostile(kind: &str, valid: &[Vec<u8>], mut read: impl FnMut(&[u8], &mut StdRng)) {
    let begin = setting("ROOST_SEED").unwrap_or(0);
    let until = setting("ROOST_HOSTILE_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    for seed in begin.. {
        match until {
            Some(until) if Instant::now() > until => break,
            None if seed - begin >= INPUTS => break,
            _ => {}
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let bytes = damaged(valid, &mut rng);
        let done = catch_unwind(AssertUnwindSafe(|| read(&bytes, &mut rng)));
        assert!(done.is_ok(), "{kind}, ROOST_SEED={seed}: {}", hex::encode(&bytes));
    }
}

fn damaged(valid: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = valid[rng.random_range(0..valid.len())].clone();
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..7) {
            0 | 1 if at < bytes.len() => bytes[at] = rng.random(),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, [0, 1, 0x7f, 0x80, 0xf8, 0xff][rng.random_range(0..6)]),
            5 => {
                let part: Vec<u8> = bytes[at..].iter().take(64).copied().collect();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                let other = &valid[rng.random_range(0..valid.len())];
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

fn stanzas() -> Vec<Vec<u8>> {
    let enc = Builder::new("enc").attr("type", "pkmsg").attr("v", 2u8).bytes(vec![7; 300]).build();
    let to = Builder::new("to").attr("jid", Jid::lid_device("123456789", 3)).children([enc]).build();
    let message = Builder::new("message")
        .attr("id", "3EB0ABCDEF0123456789")
        .attr("to", Jid::pn("4915112345678"))
        .attr("t", 1_800_000_000u64)
        .children([Builder::new("participants").children([to]).build()])
        .build();
    let iq = Builder::new("iq").attr("xmlns", "w:p").attr("type", "get").build();
    [message, iq].iter().map(|stanza| stanza::encode(stanza).expect("well formed")).collect()
}

#[test]
fn streams_are_cut_into_frames_or_refused() {
    let opening = |routing, length| frame::opening(routing, &vec![1; length]).expect("it fits");
    let streams = [opening(None, 40), opening(Some(&[8, 2, 8][..]), 300)];
    hostile("frames", &streams, |bytes, rng| {
        for mut decoder in [FrameDecoder::new(1 << 20), FrameDecoder::with_intro(1 << 20)] {
            let (mut rest, mut cut) = (bytes, Vec::new());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rng.random_range(1..=rest.len()));
                if decoder.push(piece, &mut cut).is_err() {
                    break;
                }
                rest = after;
            }
            assert!(cut.iter().map(|frame| frame.len() + 3).sum::<usize>() <= bytes.len());
            let _ = decoder.finish();
        }
    });
}

#[test]
fn stanzas_are_read_or_refused() {
    hostile("stanzas", &stanzas(), |bytes, _| {
        if let Ok(read) = stanza::decode(bytes)
            && let Ok(written) = stanza::encode(&read)
        {
            stanza::decode(&written).expect("what we wrote ourselves");
        }
    });
}

#[test]
fn handshakes_end_or_are_refused_on_both_sides() {
    let mut rng = StdRng::seed_from_u64(1);
    let (root, server) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let chain = cert::issue(&root, server.public(), NOW, &mut rng);
    let responder = Responder::new(server, chain.clone(), true);
    let (_, hello) = ClientHandshake::new(&mut rng);
    let Ok(ServerStep::Reply { hello: answer, .. }) = responder.read_client_hello(&hello, &mut rng) else {
        panic!("an honest client was refused")
    };
    hostile("client hellos", &[hello], |bytes, rng| {
        if let Ok(ServerStep::Reply { next, .. }) = responder.read_client_hello(bytes, rng) {
            assert!(next.read_client_finish(bytes).is_err(), "a hello is no finish");
        }
    });
    hostile("server hellos", &[answer], |bytes, rng| {
        let (client, _) = ClientHandshake::new(rng);
        assert!(client.read_server_hello(bytes, root.public(), NOW).is_err(), "it answers somebody else");
    });
    hostile("certificates", &[chain], |bytes, _| {
        let _ = cert::verify(bytes, root.public(), NOW);
        assert!(cert::verify(bytes, &[9; 32], NOW).is_err(), "another root");
    });
}

#[test]
fn pairing_payloads_are_believed_only_with_their_signatures() {
    let mut rng = StdRng::seed_from_u64(3);
    let (phone, companion) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let identity = adv::DeviceIdentity { raw_id: 5, timestamp: 6, key_index: 7 };
    let sealed = adv::sign_device(&phone, companion.public(), &[8; 32], &identity, &mut rng);
    let list = adv::KeyIndexList { raw_id: 5, timestamp: 6, current_index: 7, valid_indexes: vec![0, 7] };
    let list = adv::sign_list(&phone, &list, &mut rng);
    hostile("device identities", &[sealed], |bytes, rng| {
        if let Ok(accepted) = adv::accept_device(bytes, &companion, &[8; 32], rng) {
            assert_eq!(accepted.identity, identity, "the HMAC covers it");
        }
        let _ = adv::check_device(bytes, companion.public());
        let _ = adv::check_peer(bytes, companion.public(), Some(companion.public()));
    });
    hostile("key index lists", &[list], |bytes, _| {
        let _ = adv::check_list(bytes);
        let _ = adv::read_list(bytes);
    });
    let code = QrCode {
        reference: "2@abc".to_owned(),
        noise: [1; 32],
        identity: [2; 32],
        adv_secret: [3; 32],
        client_type: Some('1'),
    };
    hostile("QR codes", &[code.to_string().into_bytes()], |bytes, _| {
        let _ = String::from_utf8_lossy(bytes).parse::<QrCode>();
    });
    let info = ClientInfo {
        version: ProtocolVersion([2, 3000, 1]),
        language: "en".to_owned(),
        country: "US".to_owned(),
    };
    let payload = Login { username: 49, device: Some(1), passive: true, login_counter: 1 };
    hostile("login payloads", &[login::build(&ClientPayload::Login(payload), &info)], |bytes, _| {
        let _ = login::parse(bytes);
    });
}

#[test]
fn ciphertexts_plaintexts_and_stored_keys_are_read_or_refused() {
    let mut rng = StdRng::seed_from_u64(4);
    let (ada, bob) = (Keys::generate(&mut rng), Keys::generate(&mut rng));
    let (at_bob, at_ada) = (Address::new("bob", 0), Address::new("ada", 0));
    let mut with_bob = Peer::default();
    let bundle = Bundle {
        registration_id: bob.registration_id(),
        identity: *bob.identity().public(),
        signed_prekey: bob.signed_prekey(),
        one_time: None,
    };
    establish(&ada, &at_bob, &mut with_bob, &bundle, &mut rng).expect("a good bundle");
    let message = e2e::pad(&e2e::text("hello"), &mut rng);
    let sent = encrypt(&ada, &at_bob, &mut with_bob, &message).expect("a ratchet").bytes.to_vec();
    hostile("ciphertexts", std::slice::from_ref(&sent), |bytes, rng| {
        for kind in [CiphertextKind::Pkmsg, CiphertextKind::Msg] {
            let _ = message_key(kind, bytes);
            if let Ok(read) = decrypt(&bob, &at_ada, &mut Peer::default(), |_| None, kind, bytes, rng) {
                assert_eq!(read.plaintext, message, "it is authenticated");
            }
        }
    });
    hostile("plaintexts", std::slice::from_ref(&message), |bytes, _| {
        let Ok(message) = e2e::unpad(bytes) else { return };
        let _ = (e2e::content(message), e2e::unwrap_device_sent(message));
    });
    let record = with_bob.session.expect("a ratchet").to_vec();
    hostile("records", &[record], |bytes, rng| {
        if let Ok(ratchet) = foreign::record_ratchet(bytes) {
            let mut peer = Peer { session: Some(ratchet.record), identity: Some(ratchet.identity) };
            let _ = encrypt(&ada, &at_bob, &mut peer, b"x");
            let _ = decrypt(&ada, &at_bob, &mut peer, |_| None, CiphertextKind::Msg, &sent, rng);
        }
        let _ = foreign::record_prekey(bytes);
    });
    let sessions =
        [br#"{"_sessions":{"BQ==":{"registrationId":1}}}"#.to_vec(), br#"{"SessionState":{}}"#.to_vec()];
    hostile("sessions in JSON", &sessions, |bytes, _| {
        let _ = (foreign::baileys_ratchet(bytes, &[9; 32], 1), foreign::whatsmeow_ratchet(bytes));
    });
    hostile("stored keys", &[ada.to_bytes(), PrekeyPage::single(3, &mut rng).to_bytes()], |bytes, _| {
        let _ = (Keys::from_bytes(bytes).is_ok(), PrekeyPage::from_bytes(bytes).is_ok());
    });
}
