//! Checks of the rows of files.

use std::time::Duration;

use roost_proto::id::BusinessId;

use super::World;
use super::world::pass;

fn tenant(id: &str) -> BusinessId {
    id.parse().expect("an id")
}

pub(super) async fn a_file_is_its_tenants_alone(world: World) {
    let directory = &world.ports.directory;
    for id in ["acme", "globex"] {
        directory.create_tenant(&tenant(id), "").await.expect("made");
    }
    assert!(directory.put_media(&tenant("acme"), "one", b"body").await.expect("an answer"));
    assert!(!directory.put_media(&tenant("nobody"), "one", b"body").await.expect("an answer"));
    let read = async |of: &str| directory.media(&tenant(of), "one").await.expect("an answer");
    assert_eq!(read("acme").await.as_deref(), Some(&b"body"[..]));
    assert_eq!(read("globex").await, None);
    assert_eq!(read("nobody").await, None);
    assert!(!directory.remove_media(&tenant("globex"), "one").await.expect("an answer"));
    assert!(directory.remove_media(&tenant("acme"), "one").await.expect("an answer"));
    assert_eq!(read("acme").await, None);
}

pub(super) async fn what_is_written_into_a_file_that_is_gone_does_not_bring_it_back(world: World) {
    let directory = &world.ports.directory;
    for id in ["acme", "globex"] {
        directory.create_tenant(&tenant(id), "").await.expect("made");
    }
    directory.put_media(&tenant("acme"), "one", b"old").await.expect("an answer");
    let replace = async |of: &str| directory.replace_media(&tenant(of), "one", b"new").await;
    assert!(replace("acme").await.expect("an answer"));
    assert!(!replace("globex").await.expect("an answer"));
    assert!(!replace("nobody").await.expect("an answer"));
    let read = async |of: &str| directory.media(&tenant(of), "one").await.expect("an answer");
    assert_eq!(read("acme").await.as_deref(), Some(&b"new"[..]));
    assert!(directory.remove_media(&tenant("acme"), "one").await.expect("an answer"));
    assert!(!replace("acme").await.expect("an answer"));
    assert_eq!((read("acme").await, read("globex").await), (None, None));
}

pub(super) async fn a_file_keeps_the_time_of_its_first_writing(world: World) {
    let directory = &world.ports.directory;
    let acme = tenant("acme");
    directory.create_tenant(&acme, "").await.expect("made");
    for id in ["first", "second"] {
        directory.put_media(&acme, id, b"old").await.expect("an answer");
        pass(Duration::from_millis(5)).await;
    }
    directory.put_media(&acme, "first", b"new").await.expect("an answer");
    assert_eq!(directory.media(&acme, "first").await.expect("an answer").as_deref(), Some(&b"new"[..]));
    let old = async |retention, limit| directory.old_media(retention, limit).await.expect("an answer");
    let ids = |rows: Vec<(BusinessId, String)>| rows.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(ids(old(Duration::ZERO, 10).await), ["first", "second"]);
    assert_eq!(ids(old(Duration::ZERO, 1).await), ["first"]);
    assert_eq!(ids(old(Duration::from_secs(3600), 10).await), Vec::<String>::new());
    assert_eq!(ids(old(Duration::MAX, 10).await), Vec::<String>::new(), "for ever");
}
