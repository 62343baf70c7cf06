//! One-to-one messages: fan-out, copies, receipts, retries, the backlog, and phones that talk.

use super::*;
use crate::wa::account::participants_hash;

impl World {
    /// Its connection is gone.
    fn goes_away(&mut self, who: usize) {
        let connection = *self.on.iter().find(|(_, probe)| **probe == who).expect("connected").0;
        self.on.remove(&connection);
        self.event(connection, Event::Closed);
    }
}

#[test]
fn a_text_reaches_companion_phone_and_own_devices_in_both_forms() {
    let mut world = World::new();
    let (ada, bob, other) = (world.linked("ada"), world.linked("bob"), world.linked("ada"));
    for (chat, form) in [(world.account(bob), Form::Pn), (world.lid(bob), Form::Lid)] {
        let sent = world.text(ada, &chat, "hello");
        let id = sent.text("id").expect("an id");
        let (from, received, text) = world.probes[bob].inbox.last().expect("received").clone();
        assert_eq!((received.as_str(), text.as_str()), (&*id, "hello"));
        assert_eq!(Form::of(&from), form, "the sender appears in the form of the chat");
        assert_eq!(world.texts(other).last(), Some(&"hello"), "the copy for the own device");
        let phone = &world.machine.accounts()[&world.device(bob).pn].phone;
        assert_eq!(phone.inbox().last().and_then(|m| m.text.as_deref()), Some("hello"));
    }
    let ledger = world.machine.ledger();
    assert_eq!(ledger.totals().key_reuses, 0);
    // Two texts, each to bob's phone and companion, the own phone and the own other device.
    assert_eq!((ledger.totals().messages, ledger.totals().ciphertexts), (2, 8));
}

#[test]
fn the_sender_hears_the_ack_and_the_receipt() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    let sent = world.text(ada, &chat, "hello");
    let id = sent.text("id").expect("an id").into_owned();
    let seen = &world.probes[ada].seen;
    let of = |tag: &str| {
        let found = seen.iter().find(|s| s.tag == tag && s.text("id").as_deref() == Some(&id));
        found.unwrap_or_else(|| panic!("no {tag}")).clone()
    };
    let ack = of("ack");
    assert_eq!((ack.text("class").as_deref(), ack.jid("from")), (Some("message"), Some(chat.clone())));
    assert_eq!(ack.text("phash"), None, "everybody got it");
    assert_eq!(of("receipt").jid("from").map(|from| from.to_non_ad()), Some(chat));
}

#[test]
fn an_offline_device_gets_its_backlog_in_order_and_only_once() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    world.goes_away(bob);
    for text in ["one", "two", "three"] {
        world.text(ada, &chat, text);
    }
    assert!(world.texts(bob).is_empty());
    world.online(bob);
    assert_eq!(world.texts(bob), ["one", "two", "three"]);
    let preview = world.probes[bob].seen.iter().find_map(|stanza| stanza.child("offline_preview"));
    assert_eq!(preview.and_then(|preview| preview.number("message")), Some(3));
    world.connect(bob);
    world.activate(bob);
    assert_eq!(world.texts(bob).len(), 3, "settled messages do not come again");
}

/// Bob, with so many texts that came while he was away, online again.
fn with_waiting(texts: usize, settles: bool) -> (World, usize) {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    world.goes_away(bob);
    for number in 0..texts {
        world.text(ada, &chat, &number.to_string());
    }
    world.probes[bob].settles = settles;
    world.online(bob);
    (world, bob)
}

/// How many of them he was given, and whether he was told that these were all.
fn given(world: &World, bob: usize) -> (usize, bool) {
    let ends = world.probes[bob].seen.iter().filter_map(|stanza| stanza.child("offline"));
    let mut counts = ends.filter_map(|end| end.number("count"));
    (world.texts(bob).len(), counts.any(|count| count > 0))
}

#[test]
fn a_long_backlog_is_handed_out_as_it_is_asked_for() {
    let (mut world, bob) = with_waiting(20, false);
    assert_eq!(given(&world, bob), (5, false), "without being asked");
    for (asked, expected) in [(4u64, (9, false)), (10, (19, false)), (100, (20, true))] {
        let batch = Builder::new("offline_batch").attr("count", asked).build();
        world.say(bob, Builder::new("ib").children([batch]).build());
        assert_eq!(given(&world, bob), expected);
    }
    assert_eq!(world.machine.ledger().devices()[&world.device(bob)].batches, 3);
    let refused = Builder::new("ib").children([Builder::new("offline_batch").build()]).build();
    world.say(bob, refused);
    assert_eq!(world.machine.ledger().devices()[&world.device(bob)].refused_stanzas, 1);
}

#[test]
fn no_more_is_held_for_who_does_not_ask_than_waits_for_him() {
    let (mut world, bob) = with_waiting(7, false);
    assert_eq!(given(&world, bob), (5, false), "two are held");
    let device = world.device(bob);
    for number in 0..10_000 {
        let id = format!("N{number}");
        let notification = Builder::new("notification").attr("from", server_jid()).attr("id", id);
        world.machine.deliver(world.now, device, notification.build());
    }
    assert_eq!(world.machine.ledger().devices()[&device].dropped, 7, "five that he has, and the two");
    let batch = Builder::new("offline_batch").attr("count", 20_000u32).build();
    world.say(bob, Builder::new("ib").children([batch]).build());
    let end = world.probes[bob].seen.iter().rev().find_map(|stanza| stanza.child("offline")?.number("count"));
    assert_eq!(end, Some(10_005));
    assert_eq!(given(&world, bob), (5, true));
}

#[test]
fn who_never_asks_gets_the_rest_of_a_backlog_behind_what_he_has_settled_or_a_ping() {
    let (world, bob) = with_waiting(20, true);
    assert_eq!(given(&world, bob), (20, true));
    let (mut world, bob) = with_waiting(20, false);
    let ada = 0;
    let chat = world.account(bob);
    world.text(ada, &chat, "live");
    assert_eq!(given(&world, bob), (5, false), "what comes now goes behind what waits");
    let ping = iq::get("ping-1", "w:p").build();
    world.say(bob, ping);
    assert_eq!(given(&world, bob), (21, true));
    assert_eq!(world.texts(bob).last(), Some(&"live"));
}

#[test]
fn nothing_is_delivered_before_the_device_is_active() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    world.connect(bob);
    let chat = world.account(bob);
    world.text(ada, &chat, "early");
    assert!(world.texts(bob).is_empty());
    world.activate(bob);
    assert_eq!(world.texts(bob), ["early"]);
}

#[test]
fn what_was_not_settled_comes_again() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    world.probes[bob].settles = false;
    let chat = world.account(bob);
    let sent = world.text(ada, &chat, "hello");
    world.connect(bob);
    world.activate(bob);
    let key = (world.device(ada), sent.text("id").expect("an id").into_owned());
    let receiver = &world.machine.ledger().messages()[&key].receivers[&world.device(bob).to_string()];
    assert_eq!((receiver.delivered, receiver.settled_at), (2, None));
}

#[test]
fn a_retry_reaches_the_sending_device_and_its_answer_only_the_asking_one() {
    let mut world = World::new();
    let (ada, bob, second) = (world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let device = world.probes[bob].jid.clone().expect("paired");
    let fault = Fault::CorruptDeliveries { device: world.device(bob).to_string(), count: 1 };
    let effects = world.machine.commit(world.now, &fault).expect("a known device");
    world.carry(effects);
    let chat = world.account(bob);
    let sent = world.text(ada, &chat, "hello");
    let id = sent.text("id").expect("an id").into_owned();
    assert!(world.texts(bob).is_empty(), "it could not read it");
    assert_eq!(world.texts(second), ["hello"], "the other device could");
    let retry = world.probes[ada].seen.iter().find(|stanza| stanza.text("type").as_deref() == Some("retry"));
    assert_eq!(retry.expect("forwarded").jid("from"), Some(device.clone()));
    let asked = |probe| {
        let record = &world.machine.ledger().devices()[&world.device(probe)];
        (record.retries, record.asked_again)
    };
    assert_eq!([ada, bob, second].map(asked), [(0, 1), (1, 0), (0, 0)]);
    // The resend: a bare ciphertext for that device alone, under the same id.
    let query = world.probes[ada].ask_bundles(std::slice::from_ref(&device));
    let bundles = world.ask(ada, query);
    world.probes[ada].take_bundles(&bundles);
    let again = world.probes[ada].text(&chat, std::slice::from_ref(&device), "hello");
    let enc = again.child("participants").and_then(|p| p.child("to")).and_then(|to| to.child("enc"));
    let enc = enc.expect("encrypted").clone();
    let identity = again.child("device-identity").expect("own identity").clone();
    let again = again.with("id", id).with("to", device);
    let again = Stanza { content: None, ..again };
    let again = Stanza { content: Some(roost_proto::stanza::Content::Nodes(vec![enc, identity])), ..again };
    world.say(ada, again);
    assert_eq!(world.texts(bob), ["hello"]);
    assert_eq!(world.texts(second).len(), 1);
}

#[test]
fn a_phone_sends_to_all_devices_and_answers_a_retry() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let (pn, to) = (world.device(ada).pn, world.device(bob).pn.to_string());
    for text in ["first", "second"] {
        let (_, effects) = world.machine.phone_sends(world.now, pn, &to, text).expect("sent");
        world.carry(effects);
    }
    assert_eq!(world.texts(bob), ["first", "second"]);
    assert_eq!(world.texts(ada), ["first", "second"], "copies for the own companion");
    let fault = Fault::CorruptDeliveries { device: world.device(bob).to_string(), count: 1 };
    let effects = world.machine.commit(world.now, &fault).expect("a known device");
    world.carry(effects);
    let (_, effects) = world.machine.phone_sends(world.now, pn, &to, "third").expect("sent");
    world.carry(effects);
    assert_eq!(world.texts(bob), ["first", "second", "third"], "the phone sent it again");
    assert_eq!(world.machine.ledger().totals().key_reuses, 0);
}

#[test]
fn a_phone_without_account_or_receiver_does_not_send() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let pn = world.device(ada).pn;
    assert!(matches!(world.machine.phone_sends(world.now, 1, "2", "x"), Err(PhoneError::UnknownPhone(1))));
    let refused = world.machine.phone_sends(world.now, pn, "nobody@lid", "x");
    assert!(matches!(refused, Err(PhoneError::UnknownReceiver(_))));
}

#[test]
fn a_message_to_nobody_is_acknowledged_with_an_error() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let stanza = world.probes[ada].text(&Jid::pn("49000"), &[], "hello");
    world.say(ada, stanza);
    let ack = world.probes[ada].seen.iter().rev().find(|stanza| stanza.tag == "ack").expect("an ack");
    assert_eq!(ack.text("error").as_deref(), Some("404"));
}

#[test]
fn one_message_key_with_two_ciphertexts_is_found() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    let sent = world.text(ada, &chat, "hello");
    world.say(ada, sent.clone());
    assert_eq!(world.machine.ledger().totals().key_reuses, 0, "the same bytes again are harmless");
    let mut forged = sent;
    fn damage(stanza: &mut Stanza) {
        match &mut stanza.content {
            Some(roost_proto::stanza::Content::Bytes(bytes)) if stanza.tag == "enc" => {
                let inside = bytes.len() - 16;
                bytes[inside] ^= 1;
            }
            Some(roost_proto::stanza::Content::Nodes(children)) => children.iter_mut().for_each(damage),
            _ => {}
        }
    }
    damage(&mut forged);
    world.say(ada, forged);
    assert_eq!(world.machine.ledger().totals().key_reuses, 3, "bob's two devices and the own phone");
}

#[test]
fn a_sender_with_an_old_device_list_is_counted_and_hears_the_hash_of_the_present_one() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.account(bob);
    world.text(ada, &chat, "complete");
    let counted = |world: &World| world.machine.ledger().devices()[&world.device(ada)].incomplete_fanouts;
    assert_eq!(counted(&world), 0);
    let old = world.probes[ada].text(&chat, std::slice::from_ref(&chat), "to the phone alone");
    let id = old.text("id").expect("an id").into_owned();
    world.say(ada, old);
    assert_eq!(counted(&world), 1);
    let is_ack = |stanza: &&Stanza| stanza.tag == "ack" && stanza.text("id").as_deref() == Some(&id);
    let ack = world.probes[ada].seen.iter().find(is_ack).expect("an ack");
    assert!(ack.text("phash").expect("a hash").starts_with("2:"));
}

#[test]
fn presence_and_typing_reach_those_who_look() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.lid(bob);
    world.say(ada, Builder::new("presence").attr("type", "subscribe").attr("to", chat.clone()).build());
    world.say(bob, Builder::new("presence").attr("type", "available").build());
    let seen: Vec<_> = world.probes[ada].seen.iter().filter(|stanza| stanza.tag == "presence").collect();
    let kinds: Vec<_> = seen.iter().map(|stanza| stanza.text("type").map(|t| t.into_owned())).collect();
    assert_eq!(kinds, [Some("unavailable".into()), None]);
    assert_eq!(seen[1].jid("from"), Some(chat));
    let to = world.account(ada);
    let composing = Builder::new("composing").build();
    world.say(bob, Builder::new("chatstate").attr("to", to).children([composing]).build());
    assert!(world.probes[ada].seen.iter().any(|stanza| stanza.tag == "chatstate"));
}

#[test]
fn a_list_of_ciphertexts_that_is_wrong_as_a_whole_is_refused_and_nobody_gets_anything() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let chat = world.lid(bob);
    world.text(ada, &chat, "hello");
    let entry = |jid: Jid, full: bool| {
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes([1; 40]).build();
        Builder::new("to").attr("jid", jid).children(full.then_some(enc)).build()
    };
    let (by_lid, by_number) = (chat.with_device(1), world.account(bob).with_device(1));
    let own_number = world.account(ada);
    for (place, list) in [
        vec![],
        vec![entry(by_lid.clone(), false)],
        vec![entry(by_lid.clone(), true), entry(by_number, true)],
        vec![entry(by_lid, true), entry(own_number, true)],
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("L{place}");
        let list = Builder::new("participants").children(list).build();
        let message = Builder::new("message").attr("id", id.as_str()).attr("to", chat.clone());
        world.say(ada, message.attr("type", "text").children([list]).build());
        let is_ack = |stanza: &&Stanza| stanza.tag == "ack" && stanza.text("id").as_deref() == Some(&id);
        let ack = world.probes[ada].seen.iter().find(is_ack).expect("an ack");
        assert_eq!(ack.text("error").as_deref(), Some("400"), "list {place}");
    }
    assert_eq!(world.texts(bob), ["hello"]);
    assert!(world.probes[bob].seen.iter().all(|stanza| stanza.tag != "message"));
}

#[test]
fn who_encrypts_for_a_device_that_is_gone_hears_the_hash_of_those_that_there_are() {
    let mut world = World::new();
    let (ada, bob, second) = (world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let chat = world.lid(bob);
    let sent = world.text(ada, &chat, "to all");
    let own = world.probes[second].jid.clone().expect("paired");
    let remove = Builder::new("remove-companion-device").attr("jid", own).build();
    world.say(second, iq::set("r-1", "md").children([remove]).build());
    let devices: Vec<Jid> =
        sent.child("participants").expect("a list").all().iter().filter_map(|to| to.jid("jid")).collect();
    let old = world.probes[ada].text(&chat, &devices, "to one too many");
    let id = old.text("id").expect("an id").into_owned();
    world.say(ada, old);
    let is_ack = |stanza: &&Stanza| stanza.tag == "ack" && stanza.text("id").as_deref() == Some(&id);
    let ack = world.probes[ada].seen.iter().find(is_ack).expect("an ack");
    let [bobs, adas] = [bob, ada].map(|probe| world.machine.account(world.device(probe).pn));
    let hash = participants_hash([bobs, adas], Form::Lid);
    assert_eq!((ack.text("phash").as_deref(), ack.text("error")), (Some(&*hash), None));
    assert_eq!(world.texts(bob), ["to all", "to one too many"]);
}
