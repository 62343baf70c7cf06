//! What the media servers let through, and what they refuse.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

pub(super) fn stored() -> (Store, String, String) {
    let (mut store, mut rng) = (Store::default(), StdRng::seed_from_u64(1));
    store.authorize("auth".to_owned(), DeviceRef { pn: 1, device: 1 }, 0);
    let bytes = Bytes::from_static(b"blob");
    let token = URL_SAFE.encode(Sha256::digest(&bytes));
    let hash = store.may_upload(Form::Sealed, &token, ("auth", 0), &token).expect("well formed");
    let path = store.upload(&mut rng, hash, bytes).expect("the hash is right");
    let (path, query) = path.split_once('?').expect("it has a query");
    (store, path.to_owned(), query.to_owned())
}

fn status<T>(answer: Result<T, Refused>) -> Result<T, Status> {
    answer.map_err(|(status, _)| status)
}

#[test]
fn an_upload_names_its_hash_and_comes_from_a_device() {
    let (mut store, ..) = stored();
    let token = URL_SAFE_NO_PAD.encode(Sha256::digest(b"blob"));
    assert_eq!(status(store.may_upload(Form::Sealed, &token, ("stranger", 0), &token)), Err(401));
    assert_eq!(
        status(store.may_upload(Form::of("/mms/picture/x", "picture"), &token, ("auth", 0), &token)),
        Err(400)
    );
    assert_eq!(status(store.may_upload(Form::Sealed, &token, ("auth", 0), "another")), Err(400));
    let hash = store.may_upload(Form::Sealed, &token, ("auth", 0), &token).expect("without padding too");
    let other = Bytes::from_static(b"other");
    assert_eq!(status(store.upload(&mut StdRng::seed_from_u64(2), hash, other)), Err(400));
}

#[test]
fn an_auth_is_good_for_a_while_and_then_forgotten() {
    let (mut store, ..) = stored();
    let token = URL_SAFE.encode(Sha256::digest(b"blob"));
    let uploads =
        |store: &Store, auth, now_s| status(store.may_upload(Form::Sealed, &token, (auth, now_s), &token));
    let device = DeviceRef { pn: 1, device: 1 };
    store.authorize("second".to_owned(), device, 299);
    assert!(uploads(&store, "auth", 299).is_ok());
    assert_eq!(uploads(&store, "auth", 300), Err(401));
    assert!(uploads(&store, "second", 300).is_ok());
    store.authorize("third".to_owned(), device, 300);
    assert_eq!(store.auths.keys().collect::<Vec<_>>(), ["second", "third"]);
}

#[test]
fn a_download_needs_the_path_with_its_signature() {
    let (store, path, query) = stored();
    assert_eq!(store.download(&path, &query), Ok(Bytes::from_static(b"blob")));
    let hash = URL_SAFE.encode(Sha256::digest(b"blob"));
    assert!(store.download(&path, &format!("{query}&hash={hash}&mms-type=image&__wa-mms=")).is_ok());
    assert!(store.download(&path, &format!("{query}?auth=auth&token={hash}")).is_ok());
    assert_eq!(status(store.download(&path, &format!("{query}&hash=AAAA"))), Err(403));
    assert_eq!(status(store.download(&path, &query.replace("oh=01_", "oh=02_"))), Err(403));
    assert_eq!(status(store.download(&path, "ccb=11-4")), Err(403));
    assert_eq!(status(store.download("/v/elsewhere", &query)), Err(404));
}

#[test]
fn what_has_expired_comes_back_under_another_path() {
    let (mut store, path, query) = stored();
    store.expire(Some(&format!("{path}?{query}")), 410);
    assert_eq!(status(store.download(&path, &query)), Err(410));
    let hash = Sha256::digest(b"blob").into();
    let again = store.again(&mut StdRng::seed_from_u64(3), &hash).expect("the phone has it");
    let (new, query) = again.split_once('?').expect("it has a query");
    assert!(new != path && store.download(new, query).is_ok());
    store.phones_forget(true);
    assert_eq!(store.again(&mut StdRng::seed_from_u64(3), &hash), None);
}

#[test]
fn hosts_fail_and_transfers_are_refused_for_a_while() {
    let (mut store, ..) = stored();
    store.fail_host("a", Some(503));
    store.refuse(1, 429);
    let said = ["a", "b", "b"].map(|host| status(store.admit(host)));
    assert_eq!(said, [Err(503), Err(429), Ok(())]);
    store.fail_host("a", None);
    assert_eq!(store.admit("a"), Ok(()));
}

#[test]
fn a_post_shows_a_file_under_the_handle_of_its_upload() {
    let (mut store, path, query) = stored();
    let direct_path = format!("{path}?{query}");
    assert_eq!(
        [store.may_show(&direct_path, None).is_ok(), store.may_show("/v/none?x", None).is_ok()],
        [true, false]
    );
    assert_eq!(Form::of("/newsletter/newsletter-image/x", "newsletter-image"), Form::Plain);
    assert_eq!(Form::of("/newsletter/newsletter-sticker-pack/x", "newsletter-sticker-pack"), Form::Unknown);
    let answer = store.uploaded(&mut StdRng::seed_from_u64(4), 7, Form::Plain, "h", &direct_path);
    let handle = answer["handle"].as_str().expect("a handle");
    assert!(store.may_show(&direct_path, Some(handle)).is_ok());
    assert!(store.may_show(&direct_path, Some("x")).is_err() && store.may_show(&direct_path, None).is_err());
    assert!(store.download(&path, &format!("{query}&hash=&mms-type=image&__wa-mms=")).is_ok());
}
