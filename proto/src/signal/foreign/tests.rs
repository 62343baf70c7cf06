//! Ratchets go on with the same keys, whoever wrote them down.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::signal::{Address, Bundle, CiphertextKind, Keys, Peer, decrypt, encrypt, establish};

/// Ada has a ratchet with Bob, and he has answered.
fn pair() -> (Keys, Peer, Keys, Peer, StdRng) {
    let mut rng = StdRng::seed_from_u64(1);
    let (ada, bob) = (Keys::generate(&mut rng), Keys::generate(&mut rng));
    let (mut with_bob, mut with_ada) = (Peer::default(), Peer::default());
    let bundle = Bundle {
        registration_id: bob.registration_id(),
        identity: *bob.identity().public(),
        signed_prekey: bob.signed_prekey(),
        one_time: None,
    };
    establish(&ada, &at("bob"), &mut with_bob, &bundle, &mut rng).expect("a good bundle");
    let first = encrypt(&ada, &at("bob"), &mut with_bob, b"one").expect("a ratchet");
    decrypt(&bob, &at("ada"), &mut with_ada, |_| None, CiphertextKind::Pkmsg, &first.bytes, &mut rng)
        .expect("the first message");
    let answer = encrypt(&bob, &at("ada"), &mut with_ada, b"two").expect("a ratchet");
    decrypt(&ada, &at("bob"), &mut with_bob, |_| None, CiphertextKind::Msg, &answer.bytes, &mut rng)
        .expect("the answer");
    (ada, with_bob, bob, with_ada, rng)
}

fn at(user: &str) -> Address {
    Address::new(user, 0)
}

#[test]
fn a_record_reads_back_as_the_ratchet_that_it_was() {
    let (ada, mut with_bob, bob, mut with_ada, mut rng) = pair();
    let record = with_bob.session.clone().expect("a ratchet");
    let ratchet = record_ratchet(&record).expect("our own record");
    assert_eq!(&ratchet.identity, bob.identity().public());
    with_bob.session = Some(ratchet.record);
    let next = encrypt(&ada, &at("bob"), &mut with_bob, b"three").expect("a ratchet");
    assert_eq!(next.kind, CiphertextKind::Msg);
    let read = decrypt(&bob, &at("ada"), &mut with_ada, |_| None, next.kind, &next.bytes, &mut rng);
    assert_eq!(read.expect("it goes on").plaintext, b"three");
}

#[test]
fn what_is_no_record_is_refused() {
    assert!(matches!(record_ratchet(&[1, 2, 3]), Err(ForeignError::Refused(_))));
    assert!(matches!(record_ratchet(&[]), Err(ForeignError::Closed)));
    assert_eq!(record_prekey(&[1, 2, 3]), None);
}

#[test]
fn sessions_that_are_not_what_the_libraries_write_are_refused() {
    let own = [9; 32];
    for bytes in [&b""[..], b"{}", b"[]", b"{\"_sessions\":1}"] {
        assert!(matches!(baileys_ratchet(bytes, &own, 1), Err(ForeignError::Json(_))), "{bytes:?}");
    }
    assert!(matches!(baileys_ratchet(b"{\"_sessions\":{}}", &own, 1), Err(ForeignError::Closed)));
    assert!(matches!(whatsmeow_ratchet(b"\x0a\x00"), Err(ForeignError::Json(_))));
    assert!(matches!(whatsmeow_ratchet(b"{\"SessionState\":null}"), Err(ForeignError::Closed)));
    let state = r#"{"LocalIdentityPublic":"!","LocalRegistrationID":1,"PreviousCounter":0,
        "RemoteIdentityPublic":"","RemoteRegistrationID":1,"RootKey":"","SenderBaseKey":"","SessionVersion":3}"#;
    let record = format!("{{\"SessionState\":{state}}}");
    assert!(matches!(whatsmeow_ratchet(record.as_bytes()), Err(ForeignError::Field("LocalIdentityPublic"))));
}
