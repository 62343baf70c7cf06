//! Checks of what is kept of imports.

use roost_proto::id::DeviceKey;

use super::World;

pub(super) async fn what_was_imported_is_imported_once_in_the_whole_cluster(world: World) {
    let (one, two, theirs) =
        (world.device("d1").await, world.device("d2").await, world.device("zoo/d1").await);
    let directory = &world.ports.directory;
    let claim = async |identity: u8, key: &DeviceKey, again: bool| {
        directory.claim_import([identity; 32], key, again).await.expect("an answer")
    };
    assert!(claim(1, &one, false).await);
    assert!(claim(1, &one, false).await, "the answer may have been lost");
    assert!(claim(2, &two, false).await, "another device of the same kind");
    for other in [&two, &theirs] {
        assert!(!claim(1, other, false).await, "{other}");
    }
    assert!(claim(1, &one, false).await, "who was refused has changed nothing");

    assert!(directory.delete_device(&one).await.expect("an answer"));
    assert!(!claim(1, &theirs, false).await, "its keys are used whoever has the rows");
    directory.create_device(&one, "", None).await.expect("made anew");
    assert!(!claim(1, &one, false).await, "it is another device of the name");
    assert!(claim(2, &two, false).await, "nothing was deleted of others");

    assert!(claim(1, &theirs, true).await);
    assert!(claim(1, &theirs, false).await, "the same import again");
    assert!(!claim(1, &one, false).await);
    assert!(claim(2, &one, true).await, "also from one that exists");
    assert!(!claim(2, &two, false).await);
}
