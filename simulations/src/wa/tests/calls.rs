//! Calls between companions and phones, and links to calls.

use roost_proto::stanza::Server;

use super::*;

/// The parts of calls that a probe has heard: tag, reason, and whether it was kept while the probe was away.
fn heard(world: &World, probe: usize) -> Vec<(String, String, bool)> {
    let calls = world.probes[probe].seen.iter().filter(|stanza| stanza.tag == "call");
    let parts = calls.map(|call| {
        let part = &call.all()[0];
        let reason = part.text("reason").unwrap_or_default().into_owned();
        (part.tag.to_string(), reason, call.text("offline").is_some())
    });
    parts.collect()
}

fn live(tag: &str, reason: &str) -> (String, String, bool) {
    (tag.to_owned(), reason.to_owned(), false)
}

/// A probe says a part of the call `c` of this creator. Returns the code that it is refused with.
fn says(world: &mut World, probe: usize, to: &Jid, creator: &Jid, part: Builder) -> Option<u64> {
    says_of(world, probe, to, ("c", creator), part)
}

/// The same of another call.
fn says_of(
    world: &mut World,
    probe: usize,
    to: &Jid,
    (call, creator): (&str, &Jid),
    part: Builder,
) -> Option<u64> {
    let id = format!("w{}", world.probes[probe].seen.len());
    let part = part.attr("call-id", call.to_owned()).attr("call-creator", creator.clone()).build();
    let call = Builder::new("call").attr("id", id.clone()).attr("to", to.clone()).children([part]);
    world.say(probe, call.build());
    acknowledged(world, probe, &id).number("error")
}

fn acknowledged(world: &World, probe: usize, id: &str) -> Stanza {
    let acks = world.probes[probe].seen.iter().rev();
    acks.clone()
        .find(|ack| ack.tag == "ack" && ack.text("id").as_deref() == Some(id))
        .expect("an ack")
        .clone()
}

#[test]
fn each_part_of_a_call_reaches_its_other_side_and_whom_it_rings_first() {
    let mut world = World::new();
    let (ada, bob, sibling) = (world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let (caller, called) = (world.lid(ada), world.lid(bob));
    let enc =
        |text: &'static str| Builder::new("enc").attr("type", "msg").bytes(text.as_bytes().to_vec()).build();
    let to = |jid: Jid, text: &'static str| Builder::new("to").attr("jid", jid).children([enc(text)]).build();
    let keys = [to(called.with_device(1), "one"), to(world.account(bob).with_device(2), "two")];
    let offer = Builder::new("offer").children([Builder::new("destination").children(keys).build()]);
    assert_eq!(says(&mut world, ada, &called, &caller, offer), None);
    for (probe, key) in [(bob, "one"), (sibling, "two")] {
        assert_eq!(heard(&world, probe), [live("offer", "")]);
        let call = world.probes[probe].seen.iter().find(|stanza| stanza.tag == "call").expect("it rings");
        let part = &call.all()[0];
        assert_eq!(part.child("enc").and_then(|enc| enc.leaf_text()), Some(key));
        assert!(part.child("destination").is_none(), "the keys of others are nobody's business");
        assert_eq!(call.jid("from"), world.probes[ada].lid);
    }
    let device = world.probes[ada].lid.clone().expect("paired");
    for tag in ["preaccept", "transport", "relaylatency", "accept"] {
        assert_eq!(says(&mut world, bob, &device, &caller, Builder::new(tag)), None, "{tag}");
    }
    let tags: Vec<String> = heard(&world, ada).into_iter().map(|(tag, ..)| tag).collect();
    assert_eq!(tags, ["preaccept", "transport", "relaylatency", "accept"]);
    assert_eq!(heard(&world, sibling).len(), 1, "who calls tells them, and has not");
    assert_eq!(says(&mut world, sibling, &device, &caller, Builder::new("accept")), Some(410), "it is taken");
    let end = Builder::new("terminate").attr("reason", "accepted_elsewhere");
    assert_eq!(says(&mut world, ada, &called.with_device(2), &caller, end), None);
    assert_eq!(heard(&world, sibling)[1..], [live("terminate", "accepted_elsewhere")]);
    assert_eq!(heard(&world, bob).len(), 1);
    assert_eq!(says(&mut world, bob, &caller, &caller, Builder::new("terminate")), None);
    assert_eq!(heard(&world, ada).last(), Some(&live("terminate", "")));
    let refused = world.machine.ledger().devices().values().map(|device| device.refused_stanzas).sum::<u64>();
    assert_eq!(refused, 1);
}

#[test]
fn what_belongs_to_no_call_or_to_one_of_others_or_one_that_is_over_is_refused() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let (caller, called, stranger) = (world.lid(ada), world.lid(bob), world.lid(eve));
    let reject = || Builder::new("reject").attr("count", "0");
    assert_eq!(says(&mut world, bob, &caller, &caller, reject()), Some(404), "nobody has called");
    assert_eq!(says(&mut world, eve, &called, &caller, Builder::new("offer")), Some(403), "in another name");
    let nobody = Jid::lid("1");
    assert_eq!(says(&mut world, ada, &nobody, &caller, Builder::new("offer")), Some(404));
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("offer")), None);
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("offer")), Some(409), "once more");
    assert_eq!(says(&mut world, eve, &caller, &caller, reject()), Some(403), "she is not called");
    assert_eq!(says(&mut world, ada, &called, &caller, reject()), Some(403), "it is her own");
    for tag in ["transport", "terminate"] {
        assert_eq!(says(&mut world, ada, &stranger, &caller, Builder::new(tag)), Some(403), "{tag}");
    }
    let busy = reject().attr("reason", "busy");
    assert_eq!(says(&mut world, bob, &caller, &caller, busy), None);
    assert_eq!(says(&mut world, bob, &caller, &caller, reject()), None, "it rang on");
    assert_eq!(says(&mut world, bob, &caller, &caller, reject()), None, "it stays so");
    assert_eq!(heard(&world, ada), [live("reject", "busy"), live("reject", "")], "and is told once");
    assert_eq!(says(&mut world, bob, &caller, &caller, Builder::new("accept")), Some(410));
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("transport")), Some(410));
    assert_eq!(heard(&world, bob).len(), 1);
}

#[test]
fn a_device_that_was_away_hears_that_it_rang_and_that_it_rings_no_more() {
    let mut world = World::new();
    let (ada, bob, sibling) = (world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let (caller, called) = (world.device(ada).pn, world.device(bob).pn);
    let connection = *world.on.iter().find(|(_, probe)| **probe == bob).expect("connected").0;
    world.on.remove(&connection);
    world.event(connection, Event::Closed);
    let (id, effects) = world.machine.phone_calls(world.now, caller, called, true).expect("it rings");
    world.carry(effects);
    let ((), effects) =
        world.machine.phone_answers(world.now, (caller, &id), called, false).expect("it is rejected");
    world.carry(effects);
    assert_eq!(world.machine.accounts()[&caller].calls.state(&id), Some("rejected"));
    assert_eq!(heard(&world, ada), [live("reject", "")]);
    assert_eq!(heard(&world, sibling), [live("offer", ""), live("terminate", "rejected_elsewhere")]);
    world.connect(bob);
    world.activate(bob);
    let kept = |tag: &str, reason: &str| (tag.to_owned(), reason.to_owned(), true);
    assert_eq!(heard(&world, bob), [kept("offer", ""), kept("terminate", "rejected_elsewhere")]);
}

#[test]
fn the_call_of_a_group_is_noticed_by_its_members_and_goes_on_without_who_rejects_it() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob, eve]);
    let (pn, stranger) = (world.device(ada).pn, world.linked("mallory"));
    let stranger = world.device(stranger).pn;
    assert!(world.machine.phone_calls_group(world.now, stranger, &group, true).is_err(), "she is no member");
    let (id, effects) = world.machine.phone_calls_group(world.now, pn, &group, true).expect("it rings");
    world.carry(effects);
    for probe in [bob, eve] {
        let call = world.probes[probe].seen.iter().rev().find(|stanza| stanza.tag == "call").expect("a call");
        let notice = call.child("offer_notice").expect("a notice");
        assert_eq!(
            (notice.text("type").as_deref(), notice.text("media").as_deref()),
            (Some("group"), Some("video"))
        );
        assert_eq!(notice.jid("group-jid"), Some(group.clone()));
    }
    let ((), effects) =
        world.machine.phone_answers(world.now, (pn, &id), world.device(bob).pn, false).expect("rejected");
    world.carry(effects);
    assert_eq!(world.machine.accounts()[&pn].calls.state(&id), Some("ringing"));
    assert_eq!(heard(&world, bob).last(), Some(&live("terminate", "rejected_elsewhere")));
    assert_eq!(heard(&world, eve), [live("offer_notice", "")]);
    let ((), effects) = world.machine.phone_hangs_up(world.now, pn, &id, "group_call_ended").expect("a call");
    world.carry(effects);
    assert_eq!(heard(&world, eve).last(), Some(&live("terminate", "group_call_ended")));
    assert!(world.machine.phone_hangs_up(world.now, pn, "another", "").is_err());
}

#[test]
fn each_member_answers_the_call_of_a_group_for_itself_and_with_one_of_its_devices() {
    let mut world = World::new();
    let (ada, bob, sibling, eve) =
        (world.linked("ada"), world.linked("bob"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob, eve]);
    let (pn, caller) = (world.device(ada).pn, world.lid(ada));
    let (id, effects) = world.machine.phone_calls_group(world.now, pn, &group, false).expect("it rings");
    world.carry(effects);
    let say = |world: &mut World, probe: usize, tag: &'static str| {
        says_of(world, probe, &caller, (&id, &caller), Builder::new(tag))
    };
    assert_eq!(say(&mut world, bob, "accept"), None);
    for tag in ["accept", "reject", "transport", "terminate"] {
        assert_eq!(say(&mut world, sibling, tag), Some(410), "{tag}: another device has taken it");
    }
    for tag in ["accept", "reject"] {
        assert_eq!(say(&mut world, bob, tag), Some(410), "{tag}: it has taken it");
    }
    assert_eq!(say(&mut world, eve, "reject"), None, "what others do does not answer for her");
    assert_eq!(say(&mut world, eve, "reject"), None, "it stays so");
    assert_eq!(say(&mut world, eve, "accept"), Some(410), "she has rejected it");
    assert_eq!(say(&mut world, bob, "transport"), None, "he goes on");
    assert_eq!(say(&mut world, bob, "terminate"), None);
    assert_eq!(say(&mut world, bob, "transport"), Some(410), "he has left");
    let told = [live("accept", ""), live("reject", ""), live("transport", ""), live("terminate", "")];
    assert_eq!(heard(&world, ada), told, "each once");
    assert_eq!(
        heard(&world, sibling),
        [live("offer_notice", ""), live("terminate", "accepted_elsewhere")],
        "and so is that another device has taken it"
    );
    assert_eq!(world.machine.accounts()[&pn].calls.state(&id), Some("ringing"), "it goes on");
}

#[test]
fn only_the_device_that_has_taken_a_call_and_the_one_that_calls_end_it() {
    let mut world = World::new();
    let (ada, other, bob, sibling) =
        (world.linked("ada"), world.linked("ada"), world.linked("bob"), world.linked("bob"));
    let (caller, called, pn) = (world.lid(ada), world.lid(bob), world.device(ada).pn);
    let device = world.probes[ada].lid.clone().expect("paired");
    let state = |world: &World| world.machine.accounts()[&pn].calls.state("c");
    let end = || Builder::new("terminate");
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("offer")), None);
    assert_eq!(says(&mut world, bob, &device, &caller, Builder::new("accept")), None);
    assert_eq!(says(&mut world, sibling, &device, &caller, end()), Some(410), "it has not taken it");
    assert_eq!(says(&mut world, other, &called, &caller, end()), Some(403), "another device calls");
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("accept")), Some(403), "it is her own");
    assert_eq!((state(&world), heard(&world, ada)), (Some("accepted"), vec![live("accept", "")]));
    assert_eq!(says(&mut world, bob, &device, &caller, end()), None);
    assert_eq!((state(&world), heard(&world, ada).len()), (Some("ended"), 2));
    assert_eq!(says(&mut world, ada, &called, &caller, end()), Some(410), "it is over");
}

#[test]
fn a_phone_says_of_a_call_what_is_for_its_side_and_nothing_after_the_end() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let [ada_pn, bob_pn, eve_pn] = [ada, bob, eve].map(|probe| world.device(probe).pn);
    let now = world.now;
    let why = |answer: Result<((), Vec<Effect>), PhoneError>| match answer {
        Err(PhoneError::Call(why)) => Some(why),
        _ => None,
    };
    let (id, effects) = world.machine.phone_calls(now, ada_pn, bob_pn, false).expect("it rings");
    world.carry(effects);
    let machine = &mut world.machine;
    assert_eq!(why(machine.phone_answers(now, (ada_pn, &id), eve_pn, true)), Some(Unsaid::Others));
    assert_eq!(why(machine.phone_answers(now, (ada_pn, &id), ada_pn, true)), Some(Unsaid::Own));
    let nobody = machine.phone_answers(now, (ada_pn, &id), 7, true);
    assert!(matches!(nobody, Err(PhoneError::UnknownPhone(7))), "{nobody:?}");
    let unknown = machine.phone_answers(now, (bob_pn, &id), ada_pn, true);
    assert!(matches!(unknown, Err(PhoneError::UnknownCall(_))), "he has made none: {unknown:?}");
    assert_eq!(machine.accounts()[&ada_pn].calls.state(&id), Some("ringing"));
    let ((), effects) = machine.phone_answers(now, (ada_pn, &id), bob_pn, true).expect("taken");
    world.carry(effects);
    let machine = &mut world.machine;
    for takes in [true, false] {
        assert_eq!(why(machine.phone_answers(now, (ada_pn, &id), bob_pn, takes)), Some(Unsaid::Taken));
    }
    let ((), effects) = machine.phone_hangs_up(now, ada_pn, &id, "").expect("it is hers");
    world.carry(effects);
    let before = [ada, bob].map(|probe| heard(&world, probe));
    let machine = &mut world.machine;
    assert_eq!(why(machine.phone_hangs_up(now, ada_pn, &id, "")), Some(Unsaid::Over));
    assert_eq!(why(machine.phone_says_of_call(now, ada_pn, &id, "transport")), Some(Unsaid::Over));
    assert_eq!(why(machine.phone_answers(now, (ada_pn, &id), bob_pn, false)), Some(Unsaid::Over));

    let caller = world.lid(ada);
    let called = world.lid(bob);
    assert_eq!(says(&mut world, ada, &called, &caller, Builder::new("offer")), None);
    let machine = &mut world.machine;
    assert_eq!(why(machine.phone_hangs_up(now, ada_pn, "c", "")), Some(Unsaid::Others), "a companion calls");
    assert_eq!([ada, bob].map(|probe| heard(&world, probe).len()), [before[0].len(), before[1].len() + 1]);
}

#[test]
fn of_a_hundred_calls_and_links_the_oldest_alone_is_forgotten() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let (caller, called) = (world.device(ada).pn, world.device(bob).pn);
    let (mut ids, mut tokens) = (Vec::new(), Vec::new());
    for _ in 0..=100 {
        let (id, effects) = world.machine.phone_calls(world.now, caller, called, false).expect("it rings");
        world.carry(effects);
        ids.push(id);
        let made = asks(&mut world, ada, Builder::new("link_create").attr("media", "audio"));
        let made = made.child("link_create").expect("a link");
        tokens.push(made.need_text("token").expect("a token").into_owned());
    }
    let calls = &world.machine.accounts()[&caller].calls;
    assert_eq!((calls.state(&ids[0]), calls.link(&tokens[0])), (None, None));
    assert!(ids[1..].iter().all(|id| calls.state(id) == Some("ringing")));
    assert!(tokens[1..].iter().all(|token| calls.link(token).is_some()));
}

/// Asks `@call` something about links.
fn asks(world: &mut World, probe: usize, part: Builder) -> Stanza {
    let id = format!("l{}", world.probes[probe].seen.len());
    let call = Builder::new("call").attr("id", id.clone()).attr("to", Jid::new("", Server::Call));
    world.say(probe, call.children([part.build()]).build());
    acknowledged(world, probe, &id)
}

#[test]
fn a_link_to_a_call_says_to_everybody_who_made_it_and_for_which_media() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let planned = Builder::new("event").attr("start_time", 1_900_000_000u64).build();
    let create = |media: &'static str| Builder::new("link_create").attr("media", media);
    let made = asks(&mut world, ada, create("video").children([planned]));
    let made = made.child("link_create").expect("a link");
    let token = made.need_text("token").expect("a token").into_owned();
    assert_eq!(made.text("media").as_deref(), Some("video"));
    let link = world.machine.accounts()[&world.device(ada).pn].calls.link(&token).cloned();
    assert_eq!(link.and_then(|link| link.start_s), Some(1_900_000_000));
    let query = |token: &str, media: &'static str| {
        Builder::new("link_query").attr("token", token.to_owned()).attr("media", media)
    };
    for (probe, admin) in [(ada, "1"), (bob, "0")] {
        let answer = asks(&mut world, probe, query(&token, "video"));
        let about = answer.child("link_query").expect("known");
        assert_eq!(about.jid("link_creator"), Some(world.lid(ada)));
        assert_eq!(about.jid("link_creator_pn"), Some(world.account(ada)));
        let room = about.child("waiting_room").expect("nobody waits");
        assert_eq!(
            (room.text("enabled").as_deref(), room.text("is_admin").as_deref()),
            (Some("0"), Some(admin))
        );
    }
    let unplanned = create("video").children([Builder::new("event").build()]);
    for (part, code) in [
        (create("smell"), 400),
        (unplanned, 400),
        (query("unknown", "video"), 404),
        (query("", "video"), 400),
        (query(&token, "audio"), 406),
    ] {
        assert_eq!(asks(&mut world, bob, part).number("error"), Some(code));
    }
}
