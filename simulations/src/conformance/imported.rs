//! Checks of what is kept of imports.

use roost_node::imported::Claim;
use roost_proto::id::DeviceKey;

use super::World;

pub(super) async fn what_was_imported_is_imported_once_in_the_whole_cluster(world: World) {
    let (one, two, theirs) =
        (world.device("d1").await, world.device("d2").await, world.device("zoo/d1").await);
    let directory = &world.ports.directory;
    let claim = async |identity: u8, key: &DeviceKey, again: bool| {
        directory.claim_import([identity; 32], key, again).await.expect("an answer")
    };
    assert_eq!(claim(1, &one, false).await, Claim::First);
    assert_eq!(claim(1, &one, false).await, Claim::Again, "the answer may have been lost");
    assert_eq!(claim(2, &two, false).await, Claim::First, "another device of the same kind");
    for other in [&two, &theirs] {
        assert_eq!(claim(1, other, false).await, Claim::Refused, "{other}");
    }
    assert_eq!(claim(1, &one, false).await, Claim::Again, "who was refused has changed nothing");

    assert!(directory.delete_device(&one).await.expect("an answer"));
    assert_eq!(claim(1, &theirs, false).await, Claim::Refused, "its keys are used whoever has the rows");
    directory.create_device(&one, "", None).await.expect("made anew");
    assert_eq!(claim(1, &one, false).await, Claim::Refused, "it is another device of the name");
    assert_eq!(claim(2, &two, false).await, Claim::Again, "nothing was deleted of others");

    assert_eq!(claim(1, &theirs, true).await, Claim::Again);
    assert_eq!(claim(1, &theirs, false).await, Claim::Again, "the same import again");
    assert_eq!(claim(1, &one, false).await, Claim::Refused);
    assert_eq!(claim(2, &one, true).await, Claim::Again, "also from one that exists");
    assert_eq!(claim(2, &two, false).await, Claim::Refused);
}

pub(super) async fn what_has_become_nothing_may_be_imported_elsewhere(world: World) {
    let (one, two) = (world.device("d1").await, world.device("d2").await);
    let directory = &world.ports.directory;
    let claim = async |key: &DeviceKey| directory.claim_import([1; 32], key, false).await.expect("an answer");
    let unclaim = async |key: &DeviceKey| directory.unclaim_import([1; 32], key).await.expect("an answer");
    assert_eq!(claim(&one).await, Claim::First);
    unclaim(&two).await;
    assert_eq!(claim(&two).await, Claim::Refused, "nobody takes back what was noted of another");
    unclaim(&one).await;
    unclaim(&one).await;
    assert_eq!(claim(&two).await, Claim::First);
}
