//! Phones, companions, servers and peers, honest and not.

use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const IDENTITY: DeviceIdentity = DeviceIdentity { raw_id: 9, timestamp: 1_700_000_000, key_index: 3 };

struct Scene {
    phone: KeyPair,
    companion: KeyPair,
    secret: [u8; 32],
    rng: StdRng,
}

fn scene() -> Scene {
    let mut rng = StdRng::seed_from_u64(7);
    let (phone, companion) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    Scene { phone, companion, secret: [4; 32], rng }
}

impl Scene {
    fn offer(&mut self) -> Vec<u8> {
        sign_device(&self.phone, self.companion.public(), &self.secret, &IDENTITY, &mut self.rng)
    }

    fn accept(&mut self, offer: &[u8]) -> Result<Accepted, AdvError> {
        accept_device(offer, &self.companion, &self.secret, &mut self.rng)
    }
}

#[test]
fn phone_companion_server_and_peer_agree() {
    let mut scene = scene();
    let offer = scene.offer();
    let accepted = scene.accept(&offer).expect("both know the secret");
    assert_eq!(accepted.identity, IDENTITY);
    let (identity, published) =
        check_reply(&accepted.reply, scene.phone.public(), scene.companion.public()).expect("signed");
    assert_eq!(identity, IDENTITY);
    assert_eq!(published, accepted.full);
    assert_eq!(check_device(&published, scene.companion.public()), Ok(IDENTITY));
}

#[test]
fn the_reply_leaves_the_account_key_out_and_the_server_takes_both_forms() {
    let mut scene = scene();
    let offer = scene.offer();
    let accepted = scene.accept(&offer).expect("valid");
    assert_eq!(check_device(&accepted.reply, scene.companion.public()), Err(AdvError::Malformed));
    assert!(check_reply(&accepted.full, scene.phone.public(), scene.companion.public()).is_ok());
}

#[test]
fn another_secret_another_companion_and_another_phone_are_refused() {
    let mut scene = scene();
    let offer = scene.offer();
    let stranger = KeyPair::generate(&mut scene.rng);
    let wrong_secret = accept_device(&offer, &scene.companion, &[5; 32], &mut scene.rng);
    assert_eq!(wrong_secret, Err(AdvError::Hmac));
    let wrong_companion = accept_device(&offer, &stranger, &scene.secret, &mut scene.rng);
    assert_eq!(wrong_companion, Err(AdvError::AccountSignature));
    let accepted = scene.accept(&offer).expect("valid");
    let wrong_phone = check_reply(&accepted.reply, stranger.public(), scene.companion.public());
    assert_eq!(wrong_phone, Err(AdvError::AccountSignature));
}

#[test]
fn a_companion_that_did_not_sign_is_refused() {
    let mut scene = scene();
    let offer = scene.offer();
    let accepted = scene.accept(&offer).expect("valid");
    let mut forged = ADVSignedDeviceIdentity::decode_from_slice(&accepted.full).expect("own encoding");
    forged.device_signature = Some(vec![1; 64]);
    let result = check_device(&forged.encode_to_vec(), scene.companion.public());
    assert_eq!(result, Err(AdvError::DeviceSignature));
}

#[test]
fn a_list_is_checked_by_the_key_inside_it() {
    let mut scene = scene();
    let list = KeyIndexList { raw_id: 9, timestamp: 5, current_index: 4, valid_indexes: vec![1, 4] };
    let bytes = sign_list(&scene.phone, &list, &mut scene.rng);
    assert_eq!(check_list(&bytes), Ok((*scene.phone.public(), list)));
    let mut bent = bytes.clone();
    bent[5] ^= 1;
    assert!(check_list(&bent).is_err());
}

#[test]
fn garbage_is_an_error() {
    let mut scene = scene();
    for bytes in [&b""[..], b"\xff\xff", &[0x0a, 0x7f]] {
        assert_eq!(scene.accept(bytes), Err(AdvError::Malformed));
        assert_eq!(check_list(bytes), Err(AdvError::Malformed));
    }
}

#[test]
fn a_peer_is_checked_by_the_key_of_its_phone_when_the_identity_leaves_it_out() {
    let mut scene = scene();
    let offer = scene.offer();
    let accepted = scene.accept(&offer).expect("valid");
    let (phone, companion) = (*scene.phone.public(), *scene.companion.public());
    let stranger = *KeyPair::generate(&mut scene.rng).public();
    assert_eq!(check_peer(&accepted.full, &companion, None), Ok(()));
    assert_eq!(check_peer(&accepted.full, &companion, Some(&stranger)), Ok(()), "its own key comes first");
    assert_eq!(check_peer(&accepted.reply, &companion, Some(&phone)), Ok(()));
    assert_eq!(check_peer(&accepted.reply, &companion, None), Ok(()), "there is nothing to check by");
    for (bytes, identity, key) in [
        (&accepted.full, &stranger, None),
        (&accepted.reply, &stranger, Some(&phone)),
        (&accepted.reply, &companion, Some(&stranger)),
    ] {
        assert_eq!(check_peer(bytes, identity, key), Err(AdvError::AccountSignature));
    }
    for bytes in [&b""[..], &b"\xff\xff"[..], &offer[..]] {
        assert_eq!(check_peer(bytes, &companion, Some(&phone)), Err(AdvError::Malformed));
    }
}

#[test]
fn a_peer_may_be_hosted_and_an_own_device_may_not() {
    let mut scene = scene();
    let (phone, companion) = (*scene.phone.public(), *scene.companion.public());
    let offer = sign_hosted(&scene.phone, &companion, &scene.secret, &IDENTITY, &mut scene.rng);
    assert_eq!(scene.accept(&offer), Err(AdvError::Hosted));
    let sealed = ADVSignedDeviceIdentityHMAC::decode_from_slice(&offer).expect("ours");
    let mut signed =
        ADVSignedDeviceIdentity::decode_from_slice(&sealed.details.expect("it is there")).expect("ours");
    let details = signed.details.clone().expect("they are there");
    let mut by_device = |prefix: [u8; 2]| {
        let input = [&prefix[..], &details[..], &companion[..], &phone[..]].concat();
        scene.companion.sign(&input, &mut scene.rng).to_vec()
    };
    let (fitting, usual) = (by_device([6, 6]), by_device([6, 1]));
    signed.device_signature = Some(fitting);
    let hosted = signed.encode_to_vec();
    assert_eq!(check_peer(&hosted, &companion, None), Ok(()));
    let (identity, published) = check_reply(&hosted, &phone, &companion).expect("signed as a hosted device");
    assert_eq!((identity, &published), (IDENTITY, &hosted));
    assert!(check_device(&hosted, &companion).is_err());
    signed.device_signature = Some(usual);
    let mixed = signed.encode_to_vec();
    assert_eq!(check_peer(&mixed, &companion, None), Err(AdvError::AccountSignature));
    assert_eq!(check_reply(&mixed, &phone, &companion), Err(AdvError::DeviceSignature));
}

#[test]
fn a_companion_belongs_to_the_account_when_the_list_names_it_or_is_older() {
    let mut scene = scene();
    let list = KeyIndexList { raw_id: 9, timestamp: 1, current_index: 4, valid_indexes: vec![1, 3] };
    let bytes = sign_list(&scene.phone, &list, &mut scene.rng);
    let read = read_list(&bytes).expect("ours");
    assert_eq!(read, list);
    let there: Vec<u32> = (0..7).filter(|index| read.has(*index)).collect();
    assert_eq!(there, [1, 3, 5, 6]);
    assert_eq!(read_list(b"\xff"), None);
}
