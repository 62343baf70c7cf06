//! Which stanza is to blame when handling what came of it fails.

use roost_proto::stanza::{Builder, Jid, encode};

use super::world::{Step, World};

#[test]
fn what_crypto_answers_is_about_the_stanza_that_it_was_asked_for() {
    let mut world = World::online(1);
    world.commit_everything();
    let message = world.message_stanza("3EB0DEAD");
    world.stanza(message.clone());
    assert_eq!(world.behind_crypto().as_deref(), encode(&message).ok().as_deref());
    world.commit_everything();
    assert_eq!(world.behind_crypto(), None);
}

#[test]
fn so_is_what_it_makes_for_who_asks_for_a_message_again() {
    let mut world = World::online(2);
    world.take(Step::Send(1));
    for _ in 0..8 {
        for step in [Step::CommitDone, Step::AnswerRequest, Step::Crypto] {
            world.take(step);
        }
    }
    world.take(Step::AckOurs);
    world.commit_everything();
    while !world.requests.is_empty() {
        world.take(Step::AnswerRequest);
        world.commit_everything();
    }
    let receipt = Builder::new("receipt").attr("from", Jid::lid_device("800000", 2)).attr("type", "retry");
    let receipt = receipt.attr("id", world.last_wired()).build();
    world.stanza(receipt.clone());
    while world.with_crypto() == 0 {
        for step in [Step::CommitDone, Step::Lookup, Step::AnswerRequest] {
            world.take(step);
        }
    }
    assert_eq!(world.behind_crypto().as_deref(), encode(&receipt).ok().as_deref());
}
