//! Checks of votes: which of two stands, and who sees them.

use roost_actors::port::{Batch, CastVote, StateKind, Vote};
use roost_proto::api;
use roost_proto::id::UnixMillis;

use super::World;
use super::world::{put, refused, state};

fn cast(ballot: u8, voter: &str, cast: i64, options: &[u32]) -> CastVote {
    let voter_is = api::Person { lid: voter.to_owned(), ..Default::default() };
    let options = options.to_vec();
    let said = api::poll_results::Vote { voter: Some(voter_is), options, ..Default::default() };
    CastVote { ballot: [ballot; 16], vote: Vote { voter: voter.to_owned(), cast: UnixMillis(cast), said } }
}

pub(super) fn batch(votes: &[CastVote]) -> Batch {
    Batch { votes: votes.to_vec(), ..Batch::default() }
}

pub(super) async fn the_vote_that_was_cast_last_stands_whichever_was_written_first(world: World) {
    let (me, next) = (world.active("n1").await, world.active("n2").await);
    let grant = world.owned(&me, "d1").await;
    let other = world.owned(&me, "zoo/d1").await;
    let votes = async |ballot: u8, limit: usize| {
        let votes = world.ports.directory.votes(&grant.key, [ballot; 16], limit).await.expect("an answer");
        votes.into_iter().map(|vote| (vote.voter, vote.cast.0, vote.said.options)).collect::<Vec<_>>()
    };
    let a = |cast: i64, options: &[u32]| ("a@lid".to_owned(), cast, options.to_vec());
    world.commit(&grant, batch(&[cast(1, "a@lid", 5, &[0])])).await;
    world.commit(&grant, batch(&[cast(1, "a@lid", 4, &[1])])).await;
    assert_eq!(votes(1, 9).await, [a(5, &[0])], "an older one changes nothing");
    // Of one batch as of several: the last one, and of two that were cast at once the later written.
    let many = [cast(1, "a@lid", 7, &[2]), cast(1, "a@lid", 6, &[1]), cast(1, "b\0@lid", 1, &[0, 1])];
    world.commit(&grant, batch(&many)).await;
    assert_eq!(votes(1, 9).await, [a(7, &[2]), ("b\0@lid".to_owned(), 1, vec![0, 1])]);
    world.commit(&grant, batch(&[cast(1, "a@lid", 7, &[])])).await;
    world.commit(&grant, batch(&[cast(2, "a@lid", 9, &[3])])).await;
    world.commit(&other, batch(&[cast(1, "a@lid", 99, &[4])])).await;
    assert_eq!(votes(1, 1).await, [a(7, &[])], "taken back, apart from other polls and other tenants");
    assert_eq!(votes(3, 9).await, []);

    let given = world.ledger().give(&grant, &next).await.expect("an answer").expect("given");
    refused(world.ports.devices.commit(&grant, batch(&[cast(1, "a@lid", 100, &[5])])).await);
    world.commit(&given, batch(&[cast(1, "a@lid", 8, &[1])])).await;
    assert_eq!(votes(1, 1).await, [a(8, &[1])], "the fenced owner has no voice");
    assert!(world.ports.directory.delete_device(&grant.key).await.expect("an answer"));
    assert_eq!(votes(1, 9).await, []);
}

pub(super) async fn what_is_known_of_a_device_is_read_by_anybody(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let secret = put(StateKind::MessageSecret, "author\0/3EB0", "secret");
    world.commit(&grant, Batch { state: vec![secret], ..Batch::default() }).await;
    assert!(world.ledger().release(&grant).await.expect("an answer"));
    let keys =
        [state(StateKind::MessageSecret, "nobody/3EB0"), state(StateKind::MessageSecret, "author\0/3EB0")];
    let directory = &world.ports.directory;
    let read = directory.state(&grant.key, &keys).await.expect("an answer");
    assert_eq!(read, [None, Some("secret".into())]);
    let stranger = "tenants/nobody/devices/d1".parse().expect("a key");
    assert_eq!(directory.state(&stranger, &keys).await.expect("an answer"), [None, None]);
    assert!(directory.state(&grant.key, &[]).await.expect("an answer").is_empty());
}
