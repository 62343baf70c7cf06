//! Refusals name the field that is wrong.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn credentials(rng: &mut StdRng) -> api::ImportedCredentials {
    let (identity, noise, signed) = (KeyPair::generate(rng), KeyPair::generate(rng), KeyPair::generate(rng));
    let phone = KeyPair::generate(rng);
    let told = adv::DeviceIdentity { raw_id: 1, timestamp: 1, key_index: 1 };
    let sealed = adv::sign_device(&phone, identity.public(), &[7; 32], &told, rng);
    let accepted = adv::accept_device(&sealed, &identity, &[7; 32], rng).expect("just made");
    let signature = identity.sign(&[&[5], signed.public().as_slice()].concat(), rng);
    api::ImportedCredentials {
        source: "whatsmeow".to_owned(),
        registration_id: u32::MAX,
        noise_key: noise.private().to_vec(),
        identity_key: identity.private().to_vec(),
        signed_prekey: Some(api::ImportedSignedPrekey {
            id: 1,
            private_key: signed.private().to_vec(),
            signature: signature.to_vec(),
        }),
        prekeys: vec![api::ImportedPrekey { id: 9, private_key: KeyPair::generate(rng).private().to_vec() }],
        next_prekey_id: 10,
        adv_secret: vec![7; 32],
        device_identity: accepted.full,
        phone_number: "4915112345678:3@s.whatsapp.net".to_owned(),
        lid: "123456:3@lid".to_owned(),
        push_name: "Käthe".to_owned(),
        stranger_salt: vec![8; 32],
    }
}

fn refused(credentials: api::ImportedCredentials) -> String {
    match part(&api::ImportDeviceRequest { credentials: Some(credentials), ..Default::default() }) {
        Err(ApiError::InvalidField { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_is_taken_with_its_keys_and_its_account() {
    let mut rng = StdRng::seed_from_u64(1);
    let credentials = credentials(&mut rng);
    let request = api::ImportDeviceRequest { credentials: Some(credentials), ..Default::default() };
    let Ok(Part::Device(device)) = part(&request) else { panic!("it was refused") };
    assert_eq!(device.account.pn, Jid::pn_device("4915112345678", 3));
    let keys = Keys::from_bytes(&device.keys.0).expect("stored keys");
    assert_eq!(keys.registration_id(), u32::MAX);
    assert_eq!(device.pages.len(), 1);
    assert!(!format!("{device:?}").contains("[7, 7, 7"), "secrets are not shown");
}

#[test]
fn what_is_wrong_with_credentials_is_named() {
    let mut rng = StdRng::seed_from_u64(2);
    let good = credentials(&mut rng);
    let other = credentials(&mut rng);
    let with = |change: fn(&mut api::ImportedCredentials, &api::ImportedCredentials)| {
        let mut changed = good.clone();
        change(&mut changed, &other);
        refused(changed)
    };
    assert_eq!(with(|c, _| c.source.clear()), "credentials.source");
    assert_eq!(with(|c, _| c.noise_key.truncate(31)), "credentials.noise_key");
    assert_eq!(with(|c, _| c.signed_prekey = None), "credentials.signed_prekey");
    let signature = "credentials.signed_prekey.signature";
    assert_eq!(with(|c, o| c.signed_prekey.clone_from(&o.signed_prekey)), signature);
    let identity = "credentials.device_identity";
    assert_eq!(with(|c, o| c.device_identity.clone_from(&o.device_identity)), identity);
    assert_eq!(with(|c, _| c.prekeys[0].id = 0), "credentials.prekeys");
    assert_eq!(with(|c, _| c.prekeys.push(c.prekeys[0].clone())), "credentials.prekeys[1].id");
    let phone_number = "credentials.phone_number";
    assert_eq!(with(|c, _| c.phone_number = "4915112345678@s.whatsapp.net".to_owned()), phone_number);
    assert_eq!(with(|c, _| c.lid = "123456:4@lid".to_owned()), "credentials.lid");
    assert_eq!(with(|c, _| c.stranger_salt = vec![1; MAX_TOKEN + 1]), "credentials.stranger_salt");
}

#[test]
fn what_is_wrong_with_peers_is_named() {
    let field = |request: api::ImportDeviceRequest| match part(&request) {
        Err(ApiError::InvalidField { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let ratchet = |peer: &str| api::ImportedRatchet { peer: peer.to_owned(), record: vec![1, 2, 3] };
    let ratchets = |peer| api::ImportDeviceRequest { ratchets: vec![ratchet(peer)], ..Default::default() };
    assert_eq!(field(ratchets("123@g.us")), "ratchets[0].peer");
    assert_eq!(field(ratchets("123:4@lid")), "ratchets[0].record");
    let sender_keys = |group: &str, sender: &str| {
        let (group, sender, record) = (group.to_owned(), sender.to_owned(), vec![1, 2, 3]);
        let key = api::ImportedSenderKey { group, sender, record };
        api::ImportDeviceRequest { sender_keys: vec![key], ..Default::default() }
    };
    assert_eq!(field(sender_keys("123@lid", "123:4@lid")), "sender_keys[0].group");
    assert_eq!(field(sender_keys("123@broadcast", "123:4@lid")), "sender_keys[0].group");
    assert_eq!(field(sender_keys("status@broadcast", "123:4@lid")), "sender_keys[0].record");
    let token = |contact: &str, bytes: usize, given_at, issued_at| {
        let (contact, token) = (contact.to_owned(), vec![1; bytes]);
        let token = api::ImportedToken { contact, token, given_at, issued_at };
        api::ImportDeviceRequest { tokens: vec![token], ..Default::default() }
    };
    assert!(part(&token("123@lid", 1, 5, 0)).is_ok() && part(&token("123@lid", 0, 0, 5)).is_ok());
    assert_eq!(field(token("123:4@lid", 1, 5, 0)), "tokens[0].contact");
    assert_eq!(field(token("120363000000000001@g.us", 1, 5, 0)), "tokens[0].contact");
    assert_eq!(field(token("123@lid", MAX_TOKEN + 1, 5, 0)), "tokens[0].token");
    assert_eq!(field(token("123@lid", 0, 5, 0)), "tokens[0].token");
    assert_eq!(field(token("123@lid", 1, -5, 0)), "tokens[0].given_at");
    assert_eq!(field(token("123@lid", 1, 5, -1)), "tokens[0].issued_at");
    assert_eq!(field(sender_keys("120363000000000001@g.us", "x")), "sender_keys[0].sender");
    assert_eq!(field(sender_keys("120363000000000001@g.us", "123:4@lid")), "sender_keys[0].record");
    let lid = api::ImportedLid { phone_number: "49151".to_owned(), lid: "x".to_owned() };
    let lids = vec![lid; MAX_ENTRIES + 1];
    assert_eq!(
        field(api::ImportDeviceRequest { lids: lids[..1].to_vec(), ..Default::default() }),
        "lids[0].lid"
    );
    assert_eq!(field(api::ImportDeviceRequest { lids, ..Default::default() }), "ratchets");
}
