//! The machine without sockets: probes on one side, the server on the other, a clock that is moved by hand.

use std::collections::BTreeMap;

use roost_proto::id::UnixMillis;
use roost_proto::login::{Failure, FailureReason, StreamError};
use roost_proto::noise::Pattern;
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza, iq, server_jid};

use super::probe::Probe;
use super::*;

mod business;
mod calls;
mod certificates;
mod doors;
mod faults;
mod groups;
mod links;
mod messages;
mod newsletters;
mod people;
mod posts;
mod push;
mod receipts;
mod requests;
mod sharing;
mod signing;
mod trust;
mod unpaired;

/// A server with probes on connections. Everything that either side says is carried at once, in order.
struct World {
    machine: Machine,
    now: UnixMillis,
    probes: Vec<Probe>,
    on: BTreeMap<ConnectionId, usize>,
    next: ConnectionId,
    /// Connections that the server closed.
    closed: Vec<ConnectionId>,
}

impl World {
    fn new() -> Self {
        let machine = Machine::new(1, true);
        let now = UnixMillis(1_800_000_000_000);
        Self { machine, now, probes: vec![], on: BTreeMap::new(), next: 1, closed: vec![] }
    }

    /// Connects a probe and carries everything that follows.
    fn connect(&mut self, probe: usize) -> ConnectionId {
        let connection = self.next;
        self.next += 1;
        self.on.insert(connection, probe);
        let device = &self.probes[probe];
        let (noise, payload) = (*device.keys.noise().public(), device.payload());
        self.event(connection, Event::Opened { noise, payload, pattern: Pattern::Xx });
        connection
    }

    fn event(&mut self, connection: ConnectionId, event: Event) {
        let effects = self.machine.handle(self.now, connection, event);
        self.carry(effects);
    }

    fn say(&mut self, probe: usize, stanza: Stanza) {
        let connection = *self.on.iter().rev().find(|(_, on)| **on == probe).expect("connected").0;
        self.event(connection, Event::Received(stanza));
    }

    fn carry(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { connection, stanza, .. } => {
                    let Some(probe) = self.on.get(&connection).copied() else { continue };
                    for answer in self.probes[probe].take(&stanza) {
                        self.event(connection, Event::Received(answer));
                    }
                }
                // Probes read stanzas, not bytes.
                Effect::Damage { .. } => {}
                Effect::Close { connection } => {
                    self.closed.push(connection);
                    self.on.remove(&connection);
                    self.event(connection, Event::Closed);
                }
            }
        }
    }

    /// A probe that is paired with the account of that name and logged in.
    fn linked(&mut self, name: &str) -> usize {
        let seed = 100 + self.probes.len() as u64;
        self.probes.push(Probe::new(seed, name));
        let probe = self.probes.len() - 1;
        self.connect(probe);
        let code = self.probes[probe].qr.clone().expect("it shows a code");
        let (_, effects) = self.machine.scan(self.now, &code, &Scanner::default()).expect("scanned");
        self.carry(effects);
        assert!(self.probes[probe].jid.is_some(), "paired");
        self.online(probe);
        probe
    }

    /// Logs in, publishes prekeys and asks for messages.
    fn online(&mut self, probe: usize) {
        self.connect(probe);
        let upload = self.probes[probe].upload();
        self.say(probe, upload);
        self.activate(probe);
    }

    fn activate(&mut self, probe: usize) {
        let active = self.probes[probe].active();
        self.say(probe, active);
    }

    /// Asks and returns the answer.
    fn ask(&mut self, probe: usize, stanza: Stanza) -> Stanza {
        let id = stanza.text("id").expect("requests have ids").into_owned();
        self.say(probe, stanza);
        let seen = &self.probes[probe].seen;
        let answer = seen.iter().rev().find(|s| s.tag == "iq" && s.text("id").as_deref() == Some(&id));
        answer.expect("every request is answered").clone()
    }

    /// Sends a text to the account of another probe and to the own other devices; returns the stanza.
    fn text(&mut self, from: usize, chat: &Jid, text: &str) -> Stanza {
        let own = match chat.is_lid() {
            true => self.probes[from].lid.clone(),
            false => self.probes[from].jid.clone(),
        };
        let own = own.expect("paired");
        let query = self.probes[from].ask_devices(&[chat.clone(), own.to_non_ad()]);
        let answer = self.ask(from, query);
        let mut devices = Probe::devices_in(&answer);
        devices.retain(|device| *device != own);
        let query = self.probes[from].ask_bundles(&devices);
        let bundles = self.ask(from, query);
        self.probes[from].take_bundles(&bundles);
        let stanza = self.probes[from].text(chat, &devices, text);
        self.say(from, stanza.clone());
        stanza
    }

    fn account(&self, probe: usize) -> Jid {
        self.probes[probe].jid.as_ref().expect("paired").to_non_ad()
    }

    fn lid(&self, probe: usize) -> Jid {
        self.probes[probe].lid.as_ref().expect("paired").to_non_ad()
    }

    fn device(&self, probe: usize) -> DeviceRef {
        self.probes[probe].jid.as_ref().expect("paired").to_string().parse().expect("a device")
    }

    fn texts(&self, probe: usize) -> Vec<&str> {
        self.probes[probe].inbox.iter().map(|(_, _, text)| text.as_str()).collect()
    }

    fn last_end(&self, probe: usize) -> Option<StreamError> {
        self.probes[probe].seen.iter().rev().find_map(StreamError::of)
    }

    fn last_failure(&self, probe: usize) -> Option<FailureReason> {
        let failure = self.probes[probe].seen.iter().rev().find(|stanza| stanza.tag == "failure");
        failure.map(|stanza| Failure::of(stanza).reason)
    }
}

#[test]
fn a_probe_pairs_and_comes_online() {
    let mut world = World::new();
    let ada = world.linked("ada");
    assert_eq!(world.last_end(ada), Some(StreamError::RestartRequired), "after pairing");
    assert_eq!(world.machine.online().collect::<Vec<_>>(), [world.device(ada)]);
    let seen = &world.probes[ada].seen;
    let success = seen.iter().find(|stanza| stanza.tag == "success").expect("logged in");
    assert_eq!(success.jid("lid"), world.probes[ada].lid);
    let offline = seen.iter().filter_map(|stanza| stanza.child("offline")).collect::<Vec<_>>();
    assert_eq!(offline.len(), 1, "the end of an empty backlog is told too");
    assert_eq!(offline[0].number("count"), Some(0));
}

#[test]
fn the_same_name_is_the_same_phone_and_a_second_device() {
    let mut world = World::new();
    let (first, second) = (world.linked("ada"), world.linked("ada"));
    assert_eq!(world.account(first), world.account(second));
    assert_eq!((world.device(first).device, world.device(second).device), (1, 2));
}

#[test]
fn the_device_list_is_signed_and_names_every_companion() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    for asked in [world.account(bob), world.lid(bob)] {
        let query = world.probes[ada].ask_devices(std::slice::from_ref(&asked));
        let answer = world.ask(ada, query);
        assert_eq!(Probe::devices_in(&answer), [asked.clone(), asked.with_device(1)]);
        let user = answer.child("usync").and_then(|u| u.child("list")).and_then(|l| l.child("user"));
        let list = user.and_then(|u| u.child("devices")).and_then(|d| d.child("key-index-list"));
        let (_, list) =
            roost_proto::adv::check_list(list.and_then(|l| l.leaf()).expect("a list")).expect("signed");
        assert_eq!(list.valid_indexes, [0, 1]);
        assert_eq!(user.and_then(|u| u.child("lid")).and_then(|l| l.jid("val")), Some(world.lid(bob)));
    }
}

#[test]
fn peers_who_saw_a_list_hear_of_a_new_device_in_both_forms() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    world.text(ada, &chat, "hello");
    world.linked("bob");
    let told =
        world.probes[ada].seen.iter().filter(|stanza| stanza.text("type").as_deref() == Some("devices"));
    let told: Vec<_> = told.filter_map(|stanza| stanza.jid("from")).collect();
    assert_eq!(told, [world.account(bob), world.lid(bob)]);
}

#[test]
fn a_code_that_nobody_shows_is_refused() {
    let mut world = World::new();
    world.probes.push(Probe::new(9, "ada"));
    let connection = world.connect(0);
    let code = world.probes[0].qr.clone().expect("it shows a code");
    assert!(matches!(world.machine.scan(world.now, "hello", &Scanner::default()), Err(ScanError::Text(_))));
    let mut other: roost_proto::pairing::QrCode = code.parse().expect("a code");
    other.noise = [1; 32];
    let refused = world.machine.scan(world.now, &other.to_string(), &Scanner::default());
    assert!(matches!(refused, Err(ScanError::OtherKeys)));
    world.event(connection, Event::Closed);
    assert!(matches!(world.machine.scan(world.now, &code, &Scanner::default()), Err(ScanError::Unknown)));
    assert!(world.machine.accounts().is_empty());
}

#[test]
fn another_key_than_the_one_that_was_paired_cannot_log_in() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let thief = Probe::new(77, "thief");
    let payload = world.probes[ada].payload();
    let noise = *thief.keys.noise().public();
    world.probes.push(thief);
    world.on.insert(99, 1);
    world.event(99, Event::Opened { noise, payload, pattern: Pattern::Xx });
    assert_eq!(world.last_failure(1), Some(FailureReason::LoggedOut));
    assert_eq!(world.machine.online().count(), 1, "the owner stays");
    assert_eq!(world.machine.ledger().devices()[&world.device(ada)].refused_logins, 1);
}

#[test]
fn a_second_login_replaces_the_first() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let first = *world.on.keys().next_back().expect("connected");
    world.connect(ada);
    assert_eq!(world.last_end(ada), Some(StreamError::Replaced));
    assert!(world.closed.contains(&first));
    let record = &world.machine.ledger().devices()[&world.device(ada)];
    assert_eq!((record.logins, record.replaced), (2, 1));
    assert_eq!(record.connections[0].end.as_deref(), Some("replaced"));
    assert_eq!(record.connections[1].ended_at, None);
}

#[test]
fn a_device_that_unlinks_itself_is_gone_for_good() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let own = world.probes[ada].jid.clone().expect("paired");
    let remove = Builder::new("remove-companion-device").attr("jid", own).build();
    world.say(ada, iq::set("r-1", "md").children([remove]).build());
    assert_eq!(world.last_end(ada), Some(StreamError::DeviceRemoved));
    world.connect(ada);
    assert_eq!(world.last_failure(ada), Some(FailureReason::LoggedOut));
}

#[test]
fn nobody_unlinks_what_is_no_companion_of_his_account() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let strangers = world.probes[bob].jid.clone();
    let (phone, nobodys) = (world.account(ada), world.lid(ada).with_device(9));
    for named in [strangers, Some(phone), Some(nobodys), None] {
        let remove = Builder::new("remove-companion-device");
        let remove = match &named {
            Some(named) => remove.attr("jid", named.clone()),
            None => remove,
        };
        let answer = world.ask(ada, iq::set("r-1", "md").children([remove.build()]).build());
        assert_eq!(iq::outcome(answer).map_err(|refused| refused.code).err(), Some(404), "{named:?}");
    }
    for probe in [ada, bob] {
        let device = world.device(probe);
        assert!(world.machine.online().any(|online| online == device), "{device} is linked still");
    }
}

#[test]
fn every_request_is_answered_and_unknown_ones_with_501() {
    let mut world = World::new();
    let ada = world.linked("ada");
    for (xmlns, tag) in [("abt", "props"), ("blocklist", ""), ("privacy", "privacy"), ("w:p", "")] {
        let request = iq::get("q-1", xmlns);
        let request = if tag.is_empty() { request } else { request.children([Builder::new(tag).build()]) };
        assert!(iq::outcome(world.ask(ada, request.build())).is_ok(), "{xmlns}");
    }
    let props = world.ask(ada, iq::get("q-3", "abt").children([Builder::new("props").build()]).build());
    let told = props.child("props").and_then(|props| props.child("prop")).expect("a property");
    assert_eq!((told.number("config_code"), told.number("config_value")), (Some(10518), Some(1)));
    let unknown = iq::get("q-2", "w:future").children([Builder::new("wish").build()]).build();
    let refused = iq::outcome(world.ask(ada, unknown)).expect_err("unknown");
    assert_eq!((refused.code, refused.text.as_str()), (501, "feature-not-implemented"));
    assert_eq!(world.machine.ledger().devices()[&world.device(ada)].refused_stanzas, 1);
}

#[test]
fn prekeys_are_counted_digested_and_handed_out_once() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let count = |world: &mut World| {
        let answer =
            world.ask(bob, iq::get("c", "encrypt").children([Builder::new("count").build()]).build());
        answer.child("count").and_then(|count| count.number("value")).expect("a count")
    };
    let before = count(&mut world);
    let device = world.lid(bob).with_device(1);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let query = world.probes[ada].ask_bundles(std::slice::from_ref(&device));
        let answer = world.ask(ada, query);
        let user = answer.child("list").and_then(|list| list.child("user")).expect("an entry");
        assert_eq!(user.jid("jid"), Some(device.clone()), "echoed as it was asked");
        assert!(user.child("device-identity").is_some());
        ids.push(user.child("key").expect("one-time key").need_be("id", 3).expect("3 bytes"));
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(count(&mut world), before - 2);
    let digest = iq::get("d", "encrypt").children([Builder::new("digest").build()]).build();
    let answer = world.ask(bob, digest);
    let digest = answer.child("digest").expect("a digest");
    assert_eq!(digest.need_bytes::<20>("hash").expect("SHA-1").len(), 20);
}

#[test]
fn the_server_warns_when_prekeys_run_out() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let device = world.lid(bob).with_device(1);
    for _ in 0..60 {
        let query = world.probes[ada].ask_bundles(std::slice::from_ref(&device));
        let answer = world.ask(ada, query);
        assert!(iq::outcome(answer).is_ok());
    }
    let warned =
        world.probes[bob].seen.iter().filter(|stanza| stanza.text("type").as_deref() == Some("encrypt"));
    let counts: Vec<_> = warned.filter_map(|s| s.child("count")?.number("value")).collect();
    assert_eq!(counts, [9, 4]);
}

#[test]
fn a_bad_upload_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let mut stranger = Probe::new(55, "stranger");
    let refused = iq::outcome(world.ask(ada, stranger.upload())).expect_err("another identity");
    assert_eq!(refused.code, 406);
    let upload = iq::set("u", "encrypt").children([Builder::new("list").build()]).build();
    assert_eq!(iq::outcome(world.ask(ada, upload)).expect_err("incomplete").code, 400);
}

#[test]
fn stanzas_before_the_login_are_refused() {
    let mut world = World::new();
    world.probes.push(Probe::new(9, "ada"));
    let connection = world.connect(0);
    let message = Builder::new("message").attr("to", server_jid()).attr("id", "X").build();
    world.event(connection, Event::Received(message));
    assert!(world.machine.ledger().messages().is_empty());
}
