//! Faults do what they say, to the device that they name, and end.

use super::*;

fn commit(world: &mut World, fault: Fault) {
    let effects = world.machine.commit(world.now, &fault).expect("a known device");
    world.carry(effects);
}

#[test]
fn a_dropped_connection_ends_without_a_word() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let device = world.device(ada);
    let before = world.probes[ada].seen.len();
    commit(&mut world, Fault::DropConnection { device: Some(device.to_string()) });
    assert_eq!(world.probes[ada].seen.len(), before);
    assert_eq!(world.machine.online().count(), 0);
    let end = world.machine.ledger().devices()[&device].connections.back().expect("one").end.clone();
    assert_eq!(end.as_deref(), Some("dropped"));
}

#[test]
fn lost_acks_are_lost_and_then_come_again() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let device = world.device(ada).to_string();
    commit(&mut world, Fault::LoseServerAcks { device, count: 1 });
    let chat = world.account(bob);
    let acks = |world: &World| world.probes[ada].seen.iter().filter(|stanza| stanza.tag == "ack").count();
    let sent = world.text(ada, &chat, "hello");
    assert_eq!(acks(&world), 0);
    world.say(ada, sent);
    assert_eq!(acks(&world), 1);
    assert_eq!(world.texts(bob), ["hello"], "the repetition is a duplicate to the ratchet");
}

#[test]
fn receipts_that_are_lost_settle_nothing() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let device = world.device(bob);
    commit(&mut world, Fault::LoseDeviceAcks { device: device.to_string(), count: 1 });
    let chat = world.account(bob);
    world.text(ada, &chat, "hello");
    let waiting =
        |world: &World| world.machine.accounts()[&device.pn].companions[&device.device].backlog.len();
    assert_eq!(waiting(&world), 1);
    world.connect(bob);
    world.activate(bob);
    assert_eq!(waiting(&world), 0, "the receipt for the duplicate settles it");
}

#[test]
fn duplicates_are_written_twice_and_counted() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let device = world.device(bob);
    commit(&mut world, Fault::DuplicateDeliveries { device: device.to_string(), count: 1 });
    let chat = world.account(bob);
    world.text(ada, &chat, "hello");
    assert_eq!(world.machine.ledger().devices()[&device].messages_delivered, 2);
    assert_eq!(world.texts(bob), ["hello"]);
}

#[test]
fn a_delay_moves_everything_to_one_device() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let device = world.device(ada).to_string();
    commit(&mut world, Fault::Delay { device: Some(device), ms: 250 });
    let ping = Event::Received(iq::get("p", "w:p").build());
    let connection = *world.on.keys().next_back().expect("connected");
    let effects = world.machine.handle(world.now, connection, ping);
    let Effect::Send { not_before, .. } = &effects[0] else { panic!("an answer") };
    assert_eq!(not_before.0, world.now.0 + 250);
}

#[test]
fn an_outage_ends_connections_and_refuses_logins_for_its_time() {
    let mut world = World::new();
    let ada = world.linked("ada");
    commit(&mut world, Fault::Unavailable { ms: 1_000, existing: true });
    assert_eq!(world.last_end(ada), Some(StreamError::ServiceUnavailable));
    world.connect(ada);
    assert_eq!(world.last_failure(ada), Some(FailureReason::ServiceUnavailable));
    world.now = UnixMillis(world.now.0 + 1_000);
    world.connect(ada);
    assert_eq!(world.machine.online().count(), 1);
}

#[test]
fn stream_errors_and_login_failures_come_as_ordered() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let device = world.device(ada).to_string();
    commit(&mut world, Fault::StreamError { device: device.clone(), code: 515 });
    assert_eq!(world.last_end(ada), Some(StreamError::RestartRequired));
    commit(&mut world, Fault::LoginFailure { device: device.clone(), reason: 405, count: 1 });
    world.connect(ada);
    assert_eq!(world.last_failure(ada), Some(FailureReason::ClientOutdated));
    world.online(ada);
    commit(&mut world, Fault::PrekeyCount { device: device.clone(), value: 3 });
    let told = world.probes[ada].seen.last().and_then(|stanza| stanza.child("count")?.number("value"));
    assert_eq!(told, Some(3));
    commit(&mut world, Fault::Unlink { device });
    assert_eq!(world.last_end(ada), Some(StreamError::DeviceRemoved));
}

#[test]
fn taken_prekeys_are_gone_and_the_device_hears_of_it() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let device = world.device(bob).to_string();
    commit(&mut world, Fault::TakePrekeys { device, leave: 0 });
    let told = world.probes[bob].seen.last().and_then(|stanza| stanza.child("count")?.number("value"));
    assert_eq!(told, Some(0));
    let chat = world.account(bob);
    world.text(ada, &chat, "without a one-time key");
    assert_eq!(world.texts(bob), ["without a one-time key"]);
}

#[test]
fn poison_waits_until_it_is_settled() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let device = world.device(ada);
    let connection = *world.on.keys().next_back().expect("connected");
    world.on.remove(&connection);
    world.event(connection, Event::Closed);
    for what in [Poison::NoCiphertext, Poison::UnknownKind, Poison::Garbage, Poison::Empty, Poison::Bare] {
        commit(&mut world, Fault::Poison { device: device.to_string(), what });
    }
    let waiting = &world.machine.accounts()[&device.pn].companions[&device.device].backlog;
    assert_eq!(waiting.len(), 5);
    let fault: Fault = serde_json::from_str(r#"{"kind":"poison","device":"1:1","what":"no_ciphertext"}"#)
        .expect("the form of the admin call");
    assert_eq!(fault, Fault::Poison { device: "1:1".into(), what: Poison::NoCiphertext });
}

#[test]
fn a_fault_for_nobody_is_refused() {
    let mut world = World::new();
    for device in ["", "1:1", "nonsense"] {
        let fault = Fault::Unlink { device: device.to_owned() };
        assert_eq!(world.machine.commit(world.now, &fault), Err(UnknownDevice(device.to_owned())));
    }
}
