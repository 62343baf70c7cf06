//! The doors of groups: timers that they know, links that hold, were reset or never were, and groups that are full.

use roost_proto::stanza::Server;

use super::super::groups::{MAX_MEMBERS, PersonalInvite, Role};
use super::groups::{about, code};
use super::*;

impl World {
    fn link(&mut self, probe: usize, group: &Jid, kind: &'static str) -> Result<String, Option<u64>> {
        let answer = self.group_query(probe, kind, Some(group), Builder::new("invite"));
        let invite = answer.child("invite").and_then(|invite| invite.text("code"));
        invite.map(|invite| invite.into_owned()).ok_or_else(|| code(&answer))
    }

    fn join(&mut self, probe: usize, kind: &'static str, invite: &str) -> Option<u64> {
        let invite = Builder::new("invite").attr("code", invite.to_owned());
        code(&self.group_query(probe, kind, None, invite))
    }

    /// Fills a group with people who are nobody.
    fn fill(&mut self, group: &Jid) {
        let group = self.machine.groups.get_mut(&*group.user).expect("a group");
        let free = MAX_MEMBERS - group.members.len();
        group.members.extend((1..=free as u64).map(|pn| (pn, Role::Member)));
    }
}

fn jid(answer: &Stanza) -> Jid {
    let id = answer.child("group").and_then(|group| group.text("id")).expect("a group");
    Jid::new(id.into_owned(), Server::Group)
}

#[test]
fn groups_know_four_timers_and_refuse_others_whoever_sets_them() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let group = world.group(&[ada]);
    let timer = |seconds: &str| Builder::new("ephemeral").attr("expiration", seconds.to_owned());
    let create =
        |seconds: &str| Builder::new("create").attr("subject", "Hens").children([timer(seconds).build()]);
    for bad in ["3600", "abc", "-1", ""] {
        assert_eq!(code(&world.group_query(ada, "set", Some(&group), timer(bad))), Some(400), "{bad:?}");
        assert_eq!(code(&world.group_query(ada, "set", None, create(bad))), Some(400), "{bad:?}");
    }
    let unsaid = world.group_query(ada, "set", Some(&group), Builder::new("ephemeral"));
    assert_eq!(code(&unsaid), Some(400));
    for good in ["86400", "604800", "7776000", "0"] {
        assert_eq!(code(&world.group_query(ada, "set", Some(&group), timer(good))), None, "{good}");
        assert_eq!(code(&world.group_query(ada, "set", None, create(good))), None, "{good}");
    }
    assert_eq!(code(&world.group_query(ada, "set", Some(&group), Builder::new("not_ephemeral"))), None);
}

#[test]
fn a_link_that_was_reset_is_gone_and_one_that_never_was_is_not_acceptable() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let group = world.group(&[ada]);
    let first = world.link(ada, &group, "get").expect("a link");
    let second = world.link(ada, &group, "set").expect("another");
    for kind in ["get", "set"] {
        assert_eq!(world.join(bob, kind, &first), Some(410), "{kind}");
        assert_eq!(world.join(bob, kind, "never"), Some(406), "{kind}");
    }
    assert_eq!(world.join(bob, "set", &second), None);
    assert_eq!(world.join(bob, "set", &second), Some(409), "he is in it");
}

#[test]
fn a_link_is_told_to_admins_and_another_refusal_to_members_than_to_strangers() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    for kind in ["get", "set"] {
        assert_eq!(world.link(bob, &group, kind), Err(Some(401)), "{kind}");
        assert_eq!(world.link(eve, &group, kind), Err(Some(403)), "{kind}");
        assert!(world.link(ada, &group, kind).is_ok(), "{kind}");
    }
}

#[test]
fn a_full_group_takes_nobody_by_any_door() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let create = |inside: Builder| Builder::new("create").attr("subject", "Hens").children([inside.build()]);
    let farm = jid(&world.group_query(ada, "set", None, create(Builder::new("parent"))));
    world.group_query(ada, "set", Some(&farm), about(&world, "add", bob));
    let inside = Builder::new("linked_parent").attr("jid", farm.clone());
    let barn = jid(&world.group_query(ada, "set", None, create(inside)));
    let link = world.link(ada, &barn, "get").expect("a link");
    world.fill(&barn);
    assert_eq!(world.join(bob, "set", &link), Some(419));
    let linked = Builder::new("join_linked_group").attr("jid", barn.clone()).attr("type", "sub_group");
    assert_eq!(code(&world.group_query(bob, "set", Some(&farm), linked)), Some(419));
    let (pn, by) = (world.device(bob).pn, world.device(ada).pn);
    let until_s = 1_900_000_000;
    let invite = PersonalInvite { code: "for-bob".to_owned(), by, until_s };
    let group = world.machine.groups.get_mut(&*barn.user).expect("a group");
    group.invites.insert(pn, invite);
    group.requests.insert(pn, 1);
    let accept = Builder::new("accept").attr("admin", world.lid(ada)).attr("code", "for-bob");
    let accept = accept.attr("expiration", until_s);
    assert_eq!(code(&world.group_query(bob, "set", Some(&barn), accept)), Some(419));
    let approve = about(&world, "approve", bob).build();
    let action = Builder::new("membership_requests_action").children([approve]);
    let said = world.group_query(ada, "set", Some(&barn), action);
    let said = said.child("membership_requests_action").and_then(|said| said.child("approve"));
    let outcome = said.and_then(|said| said.child("participant")).expect("an outcome");
    assert_eq!(outcome.number("error"), Some(419));
    assert!(!world.machine.groups()[&*barn.user].members.contains_key(&pn));
}

#[test]
fn an_admin_who_joins_once_more_stays_one() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let create = |inside: Builder| Builder::new("create").attr("subject", "Hens").children([inside.build()]);
    let farm = jid(&world.group_query(ada, "set", None, create(Builder::new("parent"))));
    let inside = Builder::new("linked_parent").attr("jid", farm.clone());
    let barn = jid(&world.group_query(ada, "set", None, create(inside)));
    let linked = Builder::new("join_linked_group").attr("jid", barn.clone()).attr("type", "sub_group");
    assert_eq!(code(&world.group_query(ada, "set", Some(&farm), linked)), None);
    let pn = world.device(ada).pn;
    let role = |world: &World| world.machine.groups()[&*barn.user].members[&pn];
    assert_eq!(role(&world), Role::Owner);
    let group = world.machine.groups.get_mut(&*barn.user).expect("a group");
    group.requests.insert(pn, 1);
    let approve = about(&world, "approve", ada).build();
    let action = Builder::new("membership_requests_action").children([approve]);
    world.group_query(ada, "set", Some(&barn), action);
    assert_eq!(role(&world), Role::Owner);
}

#[test]
fn who_leaves_a_group_that_there_is_not_hears_so() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let group = world.group(&[ada]);
    let unknown: Jid = "120363099999999999@g.us".parse().expect("a JID");
    let left = |world: &mut World, probe: usize, jid: &Jid| {
        let group = Builder::new("group").attr("id", jid.clone()).build();
        let answer = world.group_query(probe, "set", None, Builder::new("leave").children([group]));
        answer.child("leave").and_then(|left| left.child("group")).expect("an outcome").number("error")
    };
    assert_eq!(left(&mut world, ada, &unknown), Some(404));
    assert_eq!(left(&mut world, bob, &group), Some(404), "he is not in it");
    assert_eq!(left(&mut world, ada, &group), None);
}

#[test]
fn a_part_of_a_request_that_is_refused_has_its_reason_in_the_ledger() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    world.group_query(ada, "set", Some(&group), about(&world, "promote", bob));
    let nobody = Jid::pn("4999");
    let person = |jid: &Jid| Builder::new("participant").attr("jid", jid.clone()).build();
    let add_nobody = Builder::new("add").children([person(&nobody)]);
    let create_with = Builder::new("create").attr("subject", "Ducks").children([person(&nobody)]);
    let revoke = Builder::new("revoke").children([person(&world.lid(eve))]);
    let approve = Builder::new("membership_requests_action");
    let approve = approve.children([about(&world, "approve", eve).build()]);
    let leave = Builder::new("leave");
    let leave = leave.children([Builder::new("group").attr("id", group.clone()).build()]);
    let link = Builder::new("link").attr("link_type", "sub_group");
    let link = link.children([Builder::new("group").attr("jid", group.clone()).build()]);
    let create = |inside: Builder| Builder::new("create").attr("subject", "Hens").children([inside.build()]);
    let farm = jid(&world.group_query(eve, "set", None, create(Builder::new("parent"))));
    for (probe, to, child, tag, reason) in [
        (ada, Some(&group), add_nobody, "add participant", "404, no account"),
        (ada, Some(&group), about(&world, "add", bob), "add participant", "409, a member already"),
        (ada, Some(&group), about(&world, "remove", eve), "remove participant", "404, no member"),
        (
            bob,
            Some(&group),
            about(&world, "demote", ada),
            "demote participant",
            "406, the owner of the group",
        ),
        (ada, Some(&group), approve, "approve participant", "404, who has not asked to join"),
        (ada, Some(&group), revoke, "revoke participant", "404, who was not invited"),
        (ada, None, create_with, "create participant", "404, no account"),
        (eve, None, leave, "leave group", "404, who is no member"),
        (
            eve,
            Some(&farm),
            Builder::new("links").children([link.build()]),
            "link group",
            "403, who is no admin",
        ),
    ] {
        world.group_query(probe, "set", to, child);
        let refused = world.machine.ledger().refusals().next_back().expect("it is kept");
        assert_eq!((&*refused.tag, refused.device.clone()), (tag, Some(world.device(probe).to_string())));
        assert!(refused.reason.starts_with(reason), "{tag}: {}", refused.reason);
    }
    let bundles = world.probes[ada].ask_bundles(std::slice::from_ref(&nobody));
    let token = Builder::new("token").attr("jid", nobody).attr("t", 1u64).attr("type", "trusted_contact");
    let tokens = Builder::new("tokens").children([token.build()]).build();
    for (request, reason) in [
        (bundles, "404, there is no device 4999@s.whatsapp.net"),
        (iq::set("t-1", "privacy").children([tokens]).build(), "404, a token for who has no account"),
    ] {
        assert_eq!(world.refusal(ada, request), (None, reason.to_owned()), "the rest is answered");
    }
    assert_eq!(world.machine.ledger().devices()[&world.device(ada)].refused_stanzas, 0);
}
