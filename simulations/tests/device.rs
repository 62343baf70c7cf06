//! Devices of Roost and the simulated WhatsApp, over a real socket: actors, link and the model store.

#[path = "device/backlog.rs"]
mod backlog;
#[path = "device/clocks.rs"]
mod clocks;
#[path = "device/collections.rs"]
mod collections;
#[path = "device/health.rs"]
mod health;
#[path = "device/history.rs"]
mod history;
#[path = "device/keys.rs"]
mod keys;
#[path = "device/lapses.rs"]
mod lapses;
#[path = "device/placeholders.rs"]
mod placeholders;
#[path = "device/reinstalls.rs"]
mod reinstalls;
#[path = "device/rotation.rs"]
mod rotation;
#[path = "device/routing.rs"]
mod routing;
#[path = "device/scene.rs"]
mod scene;
#[path = "device/versions.rs"]
mod versions;

use std::time::Duration;

use roost_actors::device::{CommandError, Finished, PairMethod, PairingUpdate, Recipient, SendError};
use roost_node::link::WhatsAppDialer;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_simulations::wa::{Fault, Ledger, Poison};
use scene::{Scene, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_pair_and_talk_both_ways() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    for number in 0..5 {
        ada.sends(&bob, &format!("to bob {number}")).await;
        bob.sends(&ada, &format!("to ada {number}")).await;
    }
    let of = |who| (0..5).map(|number| format!("to {who} {number}")).collect::<Vec<_>>();
    until("bob has all texts", || async { bob.texts().await == of("bob") }).await;
    until("ada has all texts", || async { ada.texts().await == of("ada") }).await;
    until("all of ada's texts are delivered", || async { ada.delivered().await == 5 }).await;
    assert_eq!(scene.server.ledger(|ledger| ledger.totals().key_reuses), 0);
    ada.stop().await;
    bob.stop().await;
    ada.check_log().await;
    bob.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_not_paired_sends_nothing() {
    let scene = Scene::new().await;
    let device = scene.opened("shop").await;
    device.state(State::Unpaired).await;
    let refused = device.handle().send(scene::request(&Recipient::Phone("4915112345678".into()), "x")).await;
    assert_eq!(refused, Err(SendError::NotPaired));
    assert_eq!(device.handle().logout().await, Err(CommandError::NotPaired));
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_caller_joins_the_pairing_attempt() {
    let scene = Scene::new().await;
    let device = scene.opened("shop").await;
    device.state(State::Unpaired).await;
    let mut first = device.handle().pair(PairMethod::Qr).await.expect("starts");
    let code = first.wait_for(|is| matches!(is, PairingUpdate::Code { .. })).await.expect("a code").clone();
    let second = device.handle().pair(PairMethod::Qr).await.expect("joins");
    assert_eq!(*second.borrow(), code);
    device.stop().await;
    assert!(matches!(&*second.borrow(), PairingUpdate::Failed { reason: "STOPPED", .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_and_a_device_talk_by_lid_and_by_number() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    scene.server.phone_sends(eve, &ada.number(), "from a phone").expect("sent");
    until("the text came", || async { ada.texts().await == ["from a phone"] }).await;
    let event = ada.received().await.pop().expect("one");
    let sender = event.sender.expect("known");
    let lid = Recipient::lid(&sender.lid).expect("a lid");
    let number = Recipient::Phone(eve.to_string());
    ada.sends_to(&lid, "by lid").await;
    ada.sends_to(&number, "by number").await;
    until("both are with WhatsApp", || async { ada.acknowledged().await >= 2 }).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_number_fails_and_holds_nobody_up() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    ada.sends_to(&Recipient::Phone("99999999999".into()), "anybody?").await;
    ada.sends(&bob, "hello").await;
    until("bob has it", || async { bob.texts().await == ["hello"] }).await;
    until("the other has failed", || async { ada.failures().await == ["RECIPIENT_NOT_ON_WHATSAPP"] }).await;
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_written_to_is_no_stranger_when_tokens_are_demanded() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.paired("ada").await, scene.paired("bob").await);
    let given = |by: &scene::Device<'_>, to: &scene::Device<'_>| {
        let pn = |device: &scene::Device<'_>| device.name().split(':').next().and_then(|pn| pn.parse().ok());
        let (by, to) = (pn(by).expect("digits"), pn(to).expect("digits"));
        scene.server.look(|machine| machine.trust().token(by, to).is_some())
    };
    ada.sends(&bob, "hello").await;
    until("bob has it", || async { bob.texts().await == ["hello"] }).await;
    until("ada has given bob a token", || async { given(&ada, &bob) }).await;
    scene.server.commit(&Fault::DemandTokens { demand: true }).expect("no device");
    bob.sends(&ada, "we know each other").await;
    until("ada has it", || async { ada.texts().await == ["we know each other"] }).await;
    let eve = scene.paired("eve").await;
    eve.sends(&ada, "who are you?").await;
    until("a stranger is refused", || async { eve.failures().await == ["UPSTREAM_NACK_463"] }).await;
    assert!(!given(&eve, &ada), "a message that was refused makes no contact");
    for device in [ada, bob, eve] {
        device.stop().await;
        device.check_log().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_is_the_same_message() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    let request = scene::request(&bob.recipient(), "once");
    let first = ada.handle().send(request.clone()).await.expect("accepted");
    let again = ada.handle().send(request.clone()).await.expect("accepted");
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.message.message, again.message.message);
    let other = roost_actors::device::SendRequest { request_hash: [9; 32], ..request };
    assert_eq!(ada.handle().send(other).await, Err(SendError::KeyReused));
    until("bob has it", || async { !bob.texts().await.is_empty() }).await;
    ada.stop().await;
    assert_eq!(bob.texts().await, ["once"]);
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_goes_on_where_the_old_one_was_cut_off() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    ada.sends(&bob, "first").await;
    until("bob has it", || async { bob.texts().await == ["first"] }).await;
    scene.server.commit(&Fault::LoseServerAcks { device: ada.name(), count: 1 }).expect("known");
    ada.sends(&bob, "second").await;
    until("it is on the wire", || async { bob.texts().await.len() == 2 }).await;
    bob.sends(&ada, "answer").await;
    let old = ada.handle().clone();
    ada.taken_over().await;
    until("bob has both, once", || async { bob.texts().await == ["first", "second"] }).await;
    until("ada has the answer", || async { ada.texts().await == ["answer"] }).await;
    // The old owner is still running: its next write tells it.
    let _ = old.send(scene::request(&bob.recipient(), "from the past")).await;
    assert!(matches!(old.finished().await, Finished::Fenced | Finished::Stale));
    until("both are delivered", || async { ada.delivered().await == 2 }).await;
    assert_eq!(bob.texts().await, ["first", "second"]);
    assert_eq!(scene.server.ledger(|ledger| ledger.totals().key_reuses), 0);
    ada.stop().await;
    bob.stop().await;
    ada.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_messages_are_asked_for_again_and_arrive() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    ada.sends(&bob, "zero").await;
    until("bob has it", || async { bob.texts().await.len() == 1 }).await;
    scene.server.commit(&Fault::CorruptDeliveries { device: bob.name(), count: 1 }).expect("known");
    ada.sends(&bob, "one").await;
    until("bob has both", || async { bob.texts().await == ["zero", "one"] }).await;
    ada.sends(&bob, "two").await;
    until("and goes on", || async { bob.texts().await == ["zero", "one", "two"] }).await;
    assert_eq!(scene.server.ledger(|ledger| ledger.totals().key_reuses), 0);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_twice_is_logged_once() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    scene.server.commit(&Fault::DuplicateDeliveries { device: bob.name(), count: 3 }).expect("known");
    for text in ["a", "b", "c", "d"] {
        ada.sends(&bob, text).await;
    }
    until("bob has all", || async { bob.texts().await.len() >= 4 }).await;
    until("all are settled", || async { ada.delivered().await == 4 }).await;
    assert_eq!(bob.texts().await, ["a", "b", "c", "d"]);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_comes_back_with_the_backlog() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    scene.server.commit(&Fault::DropConnection { device: Some(ada.name()) }).expect("known");
    for text in ["1", "2", "3"] {
        scene.server.phone_sends(eve, &ada.number(), text).expect("sent");
    }
    until("ada has them", || async { ada.texts().await == ["1", "2", "3"] }).await;
    ada.state(State::Online).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_stops_nothing_but_the_answers() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    let logins = ada.logins();
    scene.model.set_down(true);
    scene.server.phone_sends(eve, &ada.number(), "meanwhile").expect("sent");
    until("sends are refused", || async {
        let request = scene::request(&Recipient::Phone(eve.to_string()), "not now");
        ada.handle().send(request).await == Err(SendError::Unavailable)
    })
    .await;
    let settled = scene.server.ledger(|ledger| {
        let to_ada = ledger.messages().values().filter_map(|message| message.receivers.get(&ada.name()));
        to_ada.into_iter().any(|receiver| receiver.settled_at.is_some())
    });
    assert!(!settled, "nothing is acknowledged while the store is away");
    scene.model.set_down(false);
    until("the message is in the log", || async { ada.texts().await == ["meanwhile"] }).await;
    assert_eq!(ada.logins(), logins, "the connection stayed");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_not_act_is_silent_and_resumes_without_a_reconnect() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    let logins = ada.logins();
    scene.clocks.may_act(false);
    scene.server.phone_sends(eve, &ada.number(), "hush").expect("sent");
    let request = scene::request(&Recipient::Phone(eve.to_string()), "not now");
    assert_eq!(ada.handle().send(request).await, Err(SendError::Unavailable));
    assert!(ada.texts().await.is_empty());
    scene.clocks.may_act(true);
    until("the message is in the log", || async { ada.texts().await == ["hush"] }).await;
    assert_eq!(ada.logins(), logins, "the connection stayed");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endings_are_obeyed() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let logins = ada.logins();
    let fault = Fault::StreamError { device: ada.name(), code: 515 };
    scene.server.commit(&fault).expect("known");
    until("it restarts at once", || async { ada.logins() > logins }).await;
    ada.state(State::Online).await;
    let fault = Fault::LoginFailure { device: ada.name(), reason: 405, count: 1 };
    scene.server.commit(&fault).expect("known");
    scene.server.commit(&Fault::DropConnection { device: Some(ada.name()) }).expect("known");
    ada.state(State::Outdated).await;
    ada.stop().await;

    let bob = scene.paired("bob").await;
    scene.server.commit(&Fault::StreamError { device: bob.name(), code: 440 }).expect("known");
    bob.state(State::Conflict).await;
    let refused = bob.handle().send(scene::request(&ada.recipient(), "x")).await;
    assert_eq!(refused, Err(SendError::Conflict));
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_logs_out_stays_out_until_it_is_paired_anew() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    ada.handle().logout().await.expect("unlinked");
    ada.state(State::LoggedOut).await;
    let refused = ada.handle().send(scene::request(&ada.recipient(), "x")).await;
    assert_eq!(refused, Err(SendError::LoggedOut));
    ada.taken_over().await;
    ada.state(State::LoggedOut).await;
    ada.pair().await;
    let bob = scene.paired("bob").await;
    ada.sends(&bob, "back again").await;
    until("bob has it", || async { bob.texts().await == ["back again"] }).await;
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_is_started_anew_and_loses_nothing() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    let logins = ada.logins();
    scene.fragile.panics(1);
    for text in ["1", "2"] {
        scene.server.phone_sends(eve, &ada.number(), text).expect("sent");
    }
    until("both are in the log", || async { ada.texts().await == ["1", "2"] }).await;
    assert!(ada.logins() > logins, "it started anew");
    ada.stop().await;
    ada.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_fails_for_ever_gives_up_and_disturbs_nobody() {
    let scene = Scene::new().await;
    let ada = scene.opened("ada").await;
    ada.state(State::Unpaired).await;
    scene.fragile.panics(u64::MAX);
    // A status that changes is a commit, and the first commit of each new start fails too.
    let _ = ada.handle().pair(PairMethod::Qr).await;
    assert!(matches!(ada.handle().finished().await, Finished::Broken(_)));
    scene.fragile.panics(0);
    let bob = scene.paired("bob").await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_dialling_returns_and_nothing_dials_any_more() {
    let mut scene = Scene::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("wss://{}/ws/chat", silent.local_addr().expect("bound"));
    let dialer = WhatsAppDialer::new(&url, None, None).expect("good options");
    scene.ports.dialer = std::sync::Arc::new(dialer);
    let ada = scene.opened("ada").await;
    ada.state(State::Unpaired).await;
    let updates = ada.handle().pair(PairMethod::Qr).await.expect("starts");
    let (_held, _) = silent.accept().await.expect("it dials");
    ada.stop().await;
    assert_eq!(ada.handle().finished().await, Finished::Stopped);
    assert!(matches!(&*updates.borrow(), PairingUpdate::Failed { reason: "STOPPED", .. }));
    let another = tokio::time::timeout(std::time::Duration::from_millis(300), silent.accept()).await;
    assert!(another.is_err(), "nothing dials after a stop");
    let refused = ada.handle().send(scene::request(&Recipient::Phone("4915112345678".into()), "x")).await;
    assert_eq!(refused, Err(SendError::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_sends_again_is_put_aside_by_the_next_owner() {
    let mut scene = Scene::new().await;
    scene.ports.limits.awaiting = Duration::from_secs(5);
    let mut ada = scene.paired("ada").await;
    scene.server.commit(&Fault::Poison { device: ada.name(), what: Poison::Garbage }).expect("known");
    let asked = || {
        let devices = |ledger: &Ledger| ledger.devices().values().map(|record| record.retries).sum::<u64>();
        scene.server.ledger(devices)
    };
    until("it is asked for again", || async { asked() == 1 }).await;
    ada.stop().await;
    ada.taken_over().await;
    let epoch_of = async |is_it: fn(&Payload) -> bool| {
        let found = ada.events().await.into_iter().find(|event| is_it(&event.payload));
        found.map(|event| event.epoch)
    };
    let given_up = |payload: &Payload| matches!(payload, Payload::Undecryptable(it) if it.attempts == 1);
    until("the event says so", || async { epoch_of(given_up).await.is_some() }).await;
    assert_eq!(epoch_of(given_up).await, Some(ada.handle().grant().epoch), "by the new owner");
    let aside =
        |payload: &Payload| matches!(payload, Payload::StanzaQuarantined(it) if !it.reason.is_empty());
    assert!(epoch_of(aside).await.is_some());
    ada.stop().await;
}
