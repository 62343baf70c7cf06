//! What a companion proves before and after it is linked: its registration, its answer to `pair-success`, its prekeys.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::login::{self, ClientInfo, ClientPayload, Platform, Registration};
use roost_proto::signal::{Keys, PublicSignedPrekey};
use roost_proto::stanza::Content;
use roost_proto::version::ProtocolVersion;

use super::super::query::prekey_element;
use super::*;

/// The keys of somebody else.
fn strangers() -> Keys {
    Keys::generate(&mut StdRng::seed_from_u64(77))
}

fn signed(prekey: &PublicSignedPrekey) -> Stanza {
    prekey_element("skey", prekey.id, &prekey.public, Some(&prekey.signature))
}

/// `pair-success`, as the phone of this probe makes it when it has scanned the code.
fn success(world: &mut World, probe: usize) -> (ConnectionId, Stanza) {
    let connection = world.connect(probe);
    let code = world.probes[probe].qr.clone().expect("it shows a code");
    let (_, effects) = world.machine.scan(world.now, &code, &Scanner::default()).expect("scanned");
    let told = effects.into_iter().find_map(|effect| match effect {
        Effect::Send { stanza, .. } if stanza.child("pair-success").is_some() => Some(stanza),
        _ => None,
    });
    (connection, told.expect("the phone signs"))
}

/// What the probe says to it; it shows a code again afterwards.
fn answered(world: &mut World, probe: usize, success: &Stanza) -> (u64, Vec<u8>) {
    let answer = world.probes[probe].take(success).remove(0);
    (world.probes[probe].jid, world.probes[probe].lid) = (None, None);
    let sign = answer.child("pair-device-sign").and_then(|sign| sign.child("device-identity"));
    let sign = sign.expect("it signs");
    (sign.number("key-index").expect("an index"), sign.leaf().expect("an identity").to_vec())
}

#[test]
fn a_registration_whose_prekey_another_has_signed_is_refused() {
    let mut world = World::new();
    world.probes.push(Probe::new(9, "ada"));
    let keys = &world.probes[0].keys;
    let noise = *keys.noise().public();
    let registration = Registration {
        registration_id: keys.registration_id(),
        identity: *keys.identity().public(),
        signed_prekey: strangers().signed_prekey(),
        push_name: None,
        os: "probe".into(),
        platform: Platform::Chrome,
        full_history: None,
    };
    let version = ProtocolVersion::BUILT_IN;
    let info = ClientInfo { version, language: "en".into(), country: "US".into() };
    let payload = login::build(&ClientPayload::Registration(registration), &info);
    world.on.insert(1, 0);
    world.event(1, Event::Opened { noise, payload, pattern: Pattern::Xx });
    assert_eq!(world.last_failure(0), Some(FailureReason::Generic));
    assert_eq!(world.closed, [1]);
    let refused = world.machine.ledger().refusals().next_back().expect("it is kept");
    let said = (&*refused.tag, &*refused.reason);
    assert_eq!(said, ("registration", "the signed prekey is not signed by the identity key"));
}

#[test]
fn a_companion_that_signs_badly_is_not_linked_and_the_ledger_says_why() {
    let mut world = World::new();
    world.probes.push(Probe::new(9, "ada"));
    let (first, told) = success(&mut world, 0);
    let (_, earlier) = answered(&mut world, 0, &told);
    world.event(first, Event::Closed);
    let spoiled = |mut bytes: Vec<u8>| {
        *bytes.last_mut().expect("it ends with its signature") ^= 1;
        bytes
    };
    for why in [
        "pair-device-sign has no identity",
        "the device's signature does not fit",
        "another key index was signed",
        "pair-device-sign names another key index than was signed",
    ] {
        let (connection, told) = success(&mut world, 0);
        let (index, bytes) = answered(&mut world, 0, &told);
        let said = match why {
            "pair-device-sign has no identity" => None,
            "the device's signature does not fit" => Some((index, spoiled(bytes))),
            "another key index was signed" => Some((index, earlier.clone())),
            _ => Some((index + 1, bytes)),
        };
        let identity = said.map(|(index, bytes)| {
            Builder::new("device-identity").attr("key-index", index).bytes(bytes).build()
        });
        let sign = Builder::new("pair-device-sign").children(identity).build();
        world.event(connection, Event::Received(iq::reply(&told).children([sign]).build()));
        // As clients read 401.
        assert_eq!(world.last_end(0), Some(StreamError::DeviceRemoved), "{why}");
        assert!(world.closed.contains(&connection), "{why}");
        assert_eq!(world.machine.ledger().refusals().next_back().expect("kept").reason, why);
    }
    assert!(world.machine.accounts().values().all(|account| account.companions.is_empty()));
    world.connect(0);
    let code = world.probes[0].qr.clone().expect("it shows a code");
    let (_, effects) = world.machine.scan(world.now, &code, &Scanner::default()).expect("scanned");
    world.carry(effects);
    assert_eq!(world.last_end(0), Some(StreamError::RestartRequired), "who signs well is linked");
}

#[test]
fn a_signed_prekey_with_anothers_signature_is_refused_wherever_it_is_given() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let stranger = signed(&strangers().signed_prekey());
    let rotate = Builder::new("rotate").children([stranger.clone()]).build();
    let rotate = iq::set("r-1", "encrypt").children([rotate]).build();
    let mut upload = world.probes[ada].upload();
    replace(&mut upload, stranger);
    for request in [rotate, upload] {
        let (code, reason) = world.refusal(ada, request);
        assert_eq!(code, Some(406));
        assert!(reason.ends_with("406, the signed prekey has another's signature"), "{reason}");
    }
}

#[test]
fn what_is_too_much_for_one_request_is_refused() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let key = [7; 32];
    let mut upload = world.probes[ada].upload();
    let keys = (1..=5_000).map(|id| prekey_element("key", id, &key, None));
    replace(&mut upload, Builder::new("list").children(keys).build());
    let nobody = Jid::pn("4915");
    let bundles = world.probes[ada].ask_bundles(&vec![nobody.clone(); 2_001]);
    let devices = world.probes[ada].ask_devices(&vec![nobody; 5_001]);
    for (request, why) in [
        (upload, "too many one-time prekeys"),
        (bundles, "bundles of too many devices"),
        (devices, "too many users in one request"),
    ] {
        let (code, reason) = world.refusal(ada, request);
        assert_eq!(code, Some(419), "{why}");
        assert!(reason.ends_with(&format!("419, {why}")), "{reason}");
    }
    let own = world.device(ada);
    let kept = world.machine.accounts()[&own.pn].companions[&own.device].one_time.len();
    assert!(kept < 5_000, "of what is too much nothing is taken");
}

/// Another child in the place of the one with its tag.
fn replace(stanza: &mut Stanza, new: Stanza) {
    let Some(Content::Nodes(children)) = &mut stanza.content else { panic!("it has children") };
    let old = children.iter_mut().find(|child| child.tag == new.tag);
    *old.expect("it is there") = new;
}
