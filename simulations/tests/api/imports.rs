//! Imports through the API: what is refused, and that nothing is imported twice.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::adv;
use roost_proto::api::*;
use roost_proto::signal::KeyPair;
use tonic::{Code, Status};

use crate::live::Live;
use crate::world::{bad_field, refusal};

/// A device as another library would have it, another one for each number.
fn credentials(number: u64) -> ImportedCredentials {
    let rng = &mut StdRng::seed_from_u64(number);
    let [identity, noise, signed, phone] = std::array::from_fn(|_| KeyPair::generate(rng));
    let told = adv::DeviceIdentity { raw_id: 1, timestamp: 1, key_index: 1 };
    let sealed = adv::sign_device(&phone, identity.public(), &[7; 32], &told, rng);
    let accepted = adv::accept_device(&sealed, &identity, &[7; 32], rng).expect("just made");
    let signature = identity.sign(&[&[5], signed.public().as_slice()].concat(), rng).to_vec();
    let private_key = signed.private().to_vec();
    ImportedCredentials {
        source: "whatsmeow".to_owned(),
        registration_id: 7,
        noise_key: noise.private().to_vec(),
        identity_key: identity.private().to_vec(),
        signed_prekey: Some(ImportedSignedPrekey { id: 1, private_key, signature }),
        next_prekey_id: 10,
        adv_secret: vec![7; 32],
        device_identity: accepted.full,
        phone_number: format!("{}:3@s.whatsapp.net", 4_915_100_000_000 + number),
        ..Default::default()
    }
}

fn whole(device: &str, number: u64) -> ImportDeviceRequest {
    ImportDeviceRequest {
        device: device.to_owned(),
        credentials: Some(credentials(number)),
        ..Default::default()
    }
}

async fn import(
    live: &Live,
    place: usize,
    part: ImportDeviceRequest,
) -> Result<ImportDeviceResponse, Status> {
    let answer = live.at(place).devices().import_device(tokio_stream::iter([part])).await;
    answer.map(tonic::Response::into_inner)
}

async fn delete(live: &Live, device: &str) {
    let request = DeleteDeviceRequest { name: device.to_owned() };
    live.at(0).devices().delete_device(request).await.expect("deleted");
}

#[tokio::test]
async fn a_device_is_imported_once_whoever_asks_and_also_after_it_is_deleted() {
    let live = Live::new(2).await;
    let twice = (Code::FailedPrecondition, "DEVICE_ALREADY_IMPORTED".to_owned());
    let (shop, owner, other) = live.device("shop").await;
    import(&live, other, whole(&shop, 1)).await.expect("imported");
    import(&live, owner, whole(&shop, 1)).await.expect("the answer may have been lost");

    let (store, ..) = live.device("store").await;
    let refused = import(&live, 0, whole(&store, 1)).await.expect_err("it is shop");
    assert!(refused.message().contains(&store) && !refused.message().contains("shop"), "{refused:?}");
    assert_eq!(refusal::<()>(Err(refused)), twice);
    import(&live, 1, whole(&store, 2)).await.expect("who was refused is as it was, and takes another");

    delete(&live, &shop).await;
    let (shop, ..) = live.device("shop").await;
    assert_eq!(refusal(import(&live, other, whole(&shop, 1)).await), twice);
    let anyway = ImportDeviceRequest { allow_again: true, ..whole(&shop, 1) };
    import(&live, other, anyway).await.expect("whoever asks knows what he does");
    import(&live, owner, whole(&shop, 1)).await.expect("the same again");
}

#[tokio::test]
async fn an_import_of_too_many_parts_is_refused() {
    let live = Live::new(1).await;
    let (shop, ..) = live.device("shop").await;
    let first = ImportDeviceRequest { device: shop.clone(), ..Default::default() };
    let parts = std::iter::once(first).chain(vec![ImportDeviceRequest::default(); 2_000]);
    let answer = live.at(0).devices().import_device(tokio_stream::iter(parts)).await;
    assert_eq!(bad_field(answer), "part");
}

#[tokio::test]
async fn an_import_that_its_device_refuses_may_go_into_another() {
    let live = Live::new(1).await;
    let (paired, ..) = live.online("paired").await;
    let refused = import(&live, 0, whole(&paired, 1)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "DEVICE_ALREADY_PAIRED".into()));
    let (shop, ..) = live.device("shop").await;
    import(&live, 0, whole(&shop, 1)).await.expect("nothing has become of it before");
}

#[tokio::test]
async fn an_import_whose_device_is_paired_meanwhile_may_go_into_another() {
    let live = Live::new(1).await;
    let (shop, ..) = live.device("shop").await;
    let claims = live.model.claims();
    claims.set_open(false);
    let late = import(&live, 0, whole(&shop, 1));
    let paired = async {
        claims.reached(1).await;
        live.pair(0, &shop, "phone of shop").await;
        claims.set_open(true);
    };
    let (late, _) = tokio::join!(late, paired);
    assert_eq!(refusal(late), (Code::FailedPrecondition, "DEVICE_ALREADY_PAIRED".into()));
    let (store, ..) = live.device("store").await;
    import(&live, 0, whole(&store, 1)).await.expect("nothing has become of it before");
}

#[tokio::test]
async fn what_is_wrong_with_a_part_is_named() {
    let live = Live::new(1).await;
    let (shop, ..) = live.device("shop").await;
    let peers = ImportDeviceRequest { device: shop.clone(), ..Default::default() };
    assert_eq!(bad_field(import(&live, 0, peers.clone()).await), "credentials");
    let again = ImportDeviceRequest { allow_again: true, ..peers };
    assert_eq!(bad_field(import(&live, 0, again).await), "allow_again");
    let record = vec![0; 3 << 20];
    let ratchets = vec![ImportedRatchet { peer: "123:4@lid".to_owned(), record }];
    let large = ImportDeviceRequest { device: shop.clone(), ratchets, ..Default::default() };
    assert_eq!(bad_field(import(&live, 0, large).await), "part");
}
