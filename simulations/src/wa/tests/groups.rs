//! Groups: who may do what, who hears of it, and who gets which ciphertext.

use roost_proto::signal::{Chain, distribution, encrypt_for_group};

use super::*;

impl World {
    pub(super) fn group_query(
        &mut self,
        probe: usize,
        kind: &'static str,
        to: Option<&Jid>,
        child: Builder,
    ) -> Stanza {
        let to = to.cloned().unwrap_or_else(|| Jid::new(String::new(), roost_proto::stanza::Server::Group));
        let id = format!("q{}", self.probes[probe].seen.len());
        self.ask(probe, iq::request(&id, kind, "w:g2", to).children([child.build()]).build())
    }

    /// A group of these probes, made by the first.
    pub(super) fn group(&mut self, probes: &[usize]) -> Jid {
        let members = probes[1..].iter().map(|probe| {
            let jid = self.account(*probe);
            Builder::new("participant").attr("jid", jid).build()
        });
        let create = Builder::new("create").attr("subject", "Hens").children(members.collect::<Vec<_>>());
        let answer = self.group_query(probes[0], "set", None, create);
        let id = answer.child("group").and_then(|group| group.text("id")).expect("a group").into_owned();
        format!("{id}@g.us").parse().expect("a JID")
    }

    /// Says something in a group under a chain; the ack.
    fn shout(&mut self, probe: usize, group: &Jid, id: &str, chain: &mut Chain) -> Stanza {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(5);
        let bytes = encrypt_for_group(chain, b"padded", &mut rng).expect("a chain");
        self.shout_bytes(probe, group, id, bytes.to_vec())
    }

    fn shout_bytes(&mut self, probe: usize, group: &Jid, id: &str, bytes: Vec<u8>) -> Stanza {
        self.shout_kind(probe, group, (id, "text"), bytes)
    }

    fn shout_kind(
        &mut self,
        probe: usize,
        group: &Jid,
        (id, kind): (&str, &'static str),
        bytes: Vec<u8>,
    ) -> Stanza {
        let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(bytes).build();
        self.shout_with(probe, group, (id, kind), vec![enc])
    }

    /// Says something in a group under a chain, with its key for these probes; the ack.
    fn shout_to(
        &mut self,
        (probe, group): (usize, &Jid),
        id: &str,
        chain: &mut Chain,
        given: &[usize],
    ) -> Stanza {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(5);
        let bytes = encrypt_for_group(chain, b"padded", &mut rng).expect("a chain").to_vec();
        let shared = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(bytes).build();
        let keys = given.iter().map(|to| {
            let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes([1; 40]).build();
            Builder::new("to").attr("jid", self.lid(*to).with_device(1)).children([enc]).build()
        });
        let keys = Builder::new("participants").children(keys.collect::<Vec<_>>()).build();
        self.shout_with(probe, group, (id, "text"), vec![keys, shared])
    }

    fn shout_with(
        &mut self,
        probe: usize,
        group: &Jid,
        (id, kind): (&str, &'static str),
        children: Vec<Stanza>,
    ) -> Stanza {
        let message = Builder::new("message").attr("id", id.to_owned()).attr("to", group.clone());
        self.say(probe, message.attr("type", kind).children(children).build());
        let is_ack = |stanza: &&Stanza| stanza.tag == "ack" && stanza.text("id").as_deref() == Some(id);
        self.probes[probe].seen.iter().rev().find(is_ack).expect("an ack").clone()
    }

    fn heard(&self, probe: usize, tag: &str, id: &str) -> Option<Stanza> {
        let fits = |stanza: &&Stanza| stanza.tag == tag && stanza.text("id").as_deref() == Some(id);
        self.probes[probe].seen.iter().find(fits).cloned()
    }

    pub(super) fn told(&self, probe: usize, tag: &str) -> bool {
        let seen = &self.probes[probe].seen;
        seen.iter()
            .any(|stanza| stanza.text("type").as_deref() == Some("w:gp2") && stanza.child(tag).is_some())
    }
}

pub(super) fn code(answer: &Stanza) -> Option<u64> {
    answer.child("error").and_then(|error| error.number("code"))
}

fn chain() -> Chain {
    let mut chain = Chain::default();
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(4);
    distribution(&mut chain, &mut rng).expect("a chain");
    chain
}

#[test]
fn every_member_gets_the_one_ciphertext_and_strangers_get_nothing() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    assert!(world.told(bob, "create") && !world.told(eve, "create"));
    let ack = world.shout(ada, &group, "G1", &mut chain());
    assert_eq!(ack.text("error"), None);
    let got = world.heard(bob, "message", "G1").expect("delivered");
    assert_eq!(got.jid("from"), Some(group.clone()));
    let sender = world.probes[ada].lid.clone();
    assert_eq!(got.jid("participant"), sender);
    assert!(world.heard(eve, "message", "G1").is_none());
    assert!(world.heard(ada, "message", "G1").is_none());
    let refused = world.shout(eve, &group, "G2", &mut chain());
    assert_eq!(refused.text("error").as_deref(), Some("403"));
}

#[test]
fn only_admins_change_what_is_theirs_and_speak_where_only_they_may() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    let announce = || Builder::new("announcement");
    assert_eq!(code(&world.group_query(bob, "set", Some(&group), announce())), Some(403));
    assert_eq!(code(&world.group_query(eve, "get", Some(&group), Builder::new("query"))), Some(403));
    assert_eq!(code(&world.group_query(ada, "set", Some(&group), announce())), None);
    assert!(world.told(bob, "announcement"));
    let refused = world.shout(bob, &group, "G1", &mut chain());
    assert_eq!(refused.text("error").as_deref(), Some("403"));
    let unknown = "120363099999999999@g.us".parse().expect("a JID");
    assert_eq!(code(&world.group_query(ada, "get", Some(&unknown), Builder::new("query"))), Some(404));
}

#[test]
fn who_was_removed_hears_of_it_and_of_nothing_after_it() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let group = world.group(&[ada, bob]);
    let member = Builder::new("participant").attr("jid", world.lid(bob)).build();
    let answer = world.group_query(ada, "set", Some(&group), Builder::new("remove").children([member]));
    let outcome = answer.child("remove").and_then(|remove| remove.child("participant")).expect("an outcome");
    assert_eq!(outcome.number("type"), Some(200));
    assert!(world.told(bob, "remove"));
    world.shout(ada, &group, "G1", &mut chain());
    assert!(world.heard(bob, "message", "G1").is_none());
}

#[test]
fn an_invite_lets_people_in_or_makes_them_wait_for_an_admin() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada]);
    let answer = world.group_query(ada, "get", Some(&group), Builder::new("invite"));
    let invite = answer.child("invite").and_then(|invite| invite.text("code")).expect("a code").into_owned();
    let join = || Builder::new("invite").attr("code", invite.clone());
    let joined = world.group_query(bob, "set", None, join());
    assert_eq!(joined.child("group").and_then(|joined| joined.jid("jid")), Some(group.clone()));
    let on = Builder::new("group_join").attr("state", "on").build();
    let approval = Builder::new("membership_approval_mode").children([on]);
    world.group_query(ada, "set", Some(&group), approval);
    let waits = world.group_query(eve, "set", None, join());
    assert!(waits.child("membership_approval_request").is_some());
    let asks = world.probes[ada]
        .seen
        .iter()
        .find_map(|it| it.child("created_membership_requests")?.child("requested_user"));
    assert_eq!(asks.and_then(|asks| asks.jid("jid")), Some(world.lid(eve)));
    let member = Builder::new("participant").attr("jid", world.lid(eve)).build();
    let approve = Builder::new("approve").children([member]).build();
    let action = Builder::new("membership_requests_action").children([approve]);
    world.group_query(ada, "set", Some(&group), action);
    assert!(world.told(eve, "create"));
}

#[test]
fn one_sender_key_with_two_ciphertexts_is_a_violation() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let group = world.group(&[ada, bob]);
    let before = chain();
    world.shout(ada, &group, "G1", &mut before.clone());
    assert_eq!(world.machine.ledger().totals().key_reuses, 0);
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(6);
    let other = encrypt_for_group(&mut before.clone(), b"another", &mut rng).expect("a chain");
    world.shout_bytes(ada, &group, "G2", other.to_vec());
    let ledger = world.machine.ledger();
    assert_eq!(ledger.totals().key_reuses, 1);
    assert_eq!(ledger.key_reuses()[0].kind, "skmsg");
}

/// A request of the first of these probes about a member.
pub(super) fn about(world: &World, tag: &'static str, probe: usize) -> Builder {
    let member = Builder::new("participant").attr("jid", world.lid(probe)).build();
    Builder::new(tag).children([member])
}

#[test]
fn who_can_only_be_invited_comes_in_by_an_invite_that_is_his_and_holds() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada]);
    let only = Builder::new("category").attr("name", "groupadd").attr("value", "none").build();
    let privacy = Builder::new("privacy").children([only]).build();
    world.ask(bob, iq::set("p", "privacy").children([privacy]).build());
    let answer = world.group_query(ada, "set", Some(&group), about(&world, "add", bob));
    let outcome = answer.child("add").and_then(|add| add.child("participant")).expect("an outcome");
    assert_eq!(outcome.number("error"), Some(403));
    let invite = outcome.child("add_request").expect("an invite").clone();
    let inviter = world.lid(ada);
    let accept = || {
        let accept = Builder::new("accept").attr("admin", inviter.clone());
        let accept = accept.attr("code", invite.text("code").expect("a code").into_owned());
        accept.attr("expiration", invite.number("expiration").expect("an end"))
    };
    assert_eq!(code(&world.group_query(eve, "set", Some(&group), accept())), Some(410));
    world.group_query(ada, "set", Some(&group), about(&world, "revoke", bob));
    assert_eq!(code(&world.group_query(bob, "set", Some(&group), accept())), Some(410));
    let answer = world.group_query(ada, "set", Some(&group), about(&world, "revoke", bob));
    let outcome = answer.child("revoke").and_then(|revoke| revoke.child("participant")).expect("an outcome");
    assert_eq!(outcome.number("error"), Some(404), "there is none any more");
}

#[test]
fn messages_are_reported_only_where_the_admins_want_that_and_only_they_see_it() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let group = world.group(&[ada, bob]);
    let report = || {
        let report = Builder::new("report").attr("message_id", "3EB0").build();
        Builder::new("reports").children([report])
    };
    assert_eq!(code(&world.group_query(bob, "set", Some(&group), report())), Some(403));
    world.group_query(ada, "set", Some(&group), Builder::new("allow_admin_reports"));
    assert!(world.told(bob, "allow_admin_reports"));
    assert_eq!(code(&world.group_query(bob, "set", Some(&group), report())), None);
    assert!(world.told(ada, "reports") && !world.told(bob, "reports"));
    assert_eq!(code(&world.group_query(bob, "get", Some(&group), Builder::new("reports"))), Some(403));
    let seen = world.group_query(ada, "get", Some(&group), Builder::new("reports"));
    let report = seen.child("reports").and_then(|reports| reports.child("report")).expect("one");
    assert_eq!(report.child("reporter").and_then(|by| by.jid("jid")), Some(world.lid(bob)));
}

#[test]
fn a_community_is_changed_by_its_admins_and_ends_without_its_groups() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let create = |name: &'static str, inside: Builder| {
        Builder::new("create").attr("subject", name).children([inside.build()])
    };
    let jid = |answer: &Stanza| -> Jid {
        let id = answer.child("group").and_then(|group| group.text("id")).expect("a group");
        format!("{id}@g.us").parse().expect("a JID")
    };
    let farm = jid(&world.group_query(ada, "set", None, create("Farm", Builder::new("parent"))));
    let inside = || Builder::new("linked_parent").attr("jid", farm.clone());
    assert_eq!(code(&world.group_query(bob, "set", None, create("Barn", inside()))), Some(403));
    let barn = jid(&world.group_query(ada, "set", None, create("Barn", inside())));
    world.group_query(ada, "set", Some(&barn), about(&world, "add", bob));
    let end = || Builder::new("delete_parent");
    assert_eq!(code(&world.group_query(bob, "set", Some(&farm), end())), Some(403));
    let look = || Builder::new("sub_groups");
    assert_eq!(code(&world.group_query(eve, "get", Some(&farm), look())), Some(403));
    let seen = world.group_query(bob, "get", Some(&farm), look());
    assert_eq!(seen.child("sub_groups").map(|groups| groups.all().len()), Some(2), "with the announcements");
    let first = seen.child("sub_groups").and_then(|groups| {
        groups.all().iter().find(|sub| sub.child("default_sub_group").is_some())?.text("id")
    });
    let announcements = format!("{}@g.us", first.expect("the announcements")).parse().expect("a JID");
    let mut says = |id, kind| world.shout_kind(bob, &announcements, (id, kind), vec![1; 40]);
    assert_eq!(says("G1", "text").text("error").as_deref(), Some("403"), "admins speak there");
    assert_eq!(says("G2", "reaction").text("error"), None, "and members react");
    world.group_query(ada, "set", Some(&farm), end());
    assert!(world.told(bob, "unlink") && world.told(bob, "delete"));
    assert_eq!(code(&world.group_query(ada, "get", Some(&farm), look())), Some(404));
    assert_eq!(code(&world.group_query(bob, "get", Some(&barn), Builder::new("query"))), None);
}

#[test]
fn what_is_said_after_a_removal_under_a_key_that_the_removed_one_has_is_counted() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob, eve]);
    let mut known = chain();
    world.shout_to((ada, &group), "G1", &mut known, &[bob, eve]);
    let eves = about(&world, "remove", eve);
    world.group_query(ada, "set", Some(&group), eves);
    let counted = |world: &World| world.machine.ledger().devices()[&world.device(ada)].old_chains;
    world.shout(ada, &group, "G2", &mut known);
    assert_eq!(counted(&world), 1);
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(6);
    let mut new = Chain::default();
    distribution(&mut new, &mut rng).expect("a chain");
    world.shout_to((ada, &group), "G3", &mut new, &[bob]);
    world.shout(ada, &group, "G4", &mut new);
    assert_eq!(counted(&world), 1);
}

#[test]
fn who_comes_and_goes_without_the_key_of_a_chain_ends_it_for_nobody() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    let mut known = chain();
    world.shout_to((ada, &group), "G1", &mut known, &[bob]);
    for action in ["add", "remove"] {
        let eves = about(&world, action, eve);
        assert_eq!(code(&world.group_query(ada, "set", Some(&group), eves)), None);
    }
    world.shout(ada, &group, "G2", &mut known);
    assert_eq!(world.machine.ledger().devices()[&world.device(ada)].old_chains, 0);
}

#[test]
fn what_is_sent_again_in_a_group_is_for_a_device_of_a_member_and_carries_a_ciphertext() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    let device = |world: &World, probe: usize| world.lid(probe).with_device(1);
    let whom = [device(&world, eve), Jid::lid("1"), world.lid(bob).with_device(9), device(&world, bob)];
    let codes: Vec<Option<String>> = whom
        .into_iter()
        .enumerate()
        .map(|(place, to)| {
            let id = format!("A{place}");
            let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes([1; 40]).build();
            let again = Builder::new("message").attr("id", id.as_str()).attr("to", group.clone());
            world.say(ada, again.attr("participant", to).attr("type", "text").children([enc]).build());
            let ack = world.heard(ada, "ack", &id).expect("every message is acknowledged");
            ack.text("error").map(|code| code.into_owned())
        })
        .collect();
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(codes, [code("403"), code("404"), code("404"), code("400")]);
    assert!(world.heard(bob, "message", "A3").is_none());
}
