//! What people show each other while they are there, whom they block, and pictures.

use super::groups::code;
use super::*;

impl World {
    /// The last presence that a probe was told.
    fn shown(&self, probe: usize) -> (bool, Option<String>) {
        let is = |stanza: &&Stanza| stanza.tag == "presence";
        let presence = self.probes[probe].seen.iter().rev().find(is).expect("a presence");
        let there = presence.text("type").as_deref() != Some("unavailable");
        (there, presence.text("last").map(|last| last.into_owned()))
    }

    fn presences(&self, probe: usize) -> usize {
        self.probes[probe].seen.iter().filter(|stanza| stanza.tag == "presence").count()
    }

    fn hides(&mut self, probe: usize, category: &'static str, value: &'static str) {
        let category = Builder::new("category").attr("name", category).attr("value", value).build();
        let privacy = Builder::new("privacy").children([category]).build();
        let answer = self.ask(probe, iq::set(value, "privacy").children([privacy]).build());
        assert!(iq::outcome(answer).is_ok());
    }

    fn block(&mut self, probe: usize, action: &'static str, jid: Jid, number: Option<Jid>) -> Option<u64> {
        let item = Builder::new("item").attr("action", action).attr("jid", jid);
        let item = number.into_iter().fold(item, |item, number| item.attr("pn_jid", number));
        let id = format!("b{}", self.probes[probe].seen.len());
        code(&self.ask(probe, iq::set(&id, "blocklist").children([item.build()]).build()))
    }
}

fn comes(kind: &'static str) -> Stanza {
    Builder::new("presence").attr("type", kind).build()
}

#[test]
fn when_somebody_was_there_last_is_told_unless_he_hides_it_or_never_was() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let look = Builder::new("presence").attr("type", "subscribe").attr("to", world.lid(bob)).build();
    world.say(ada, look.clone());
    assert_eq!(world.shown(ada), (false, None));
    world.say(bob, comes("available"));
    assert_eq!(world.shown(ada), (true, None));
    world.now.0 += 5_000;
    world.say(bob, comes("unavailable"));
    let at = (world.now.0 / 1000).to_string();
    world.now.0 += 60_000;
    world.say(ada, look.clone());
    assert_eq!(world.shown(ada), (false, Some(at)), "and not now");
    world.hides(bob, "last", "none");
    world.say(ada, look.clone());
    assert_eq!(world.shown(ada), (false, Some("deny".to_owned())));
    world.say(bob, comes("available"));
    assert_eq!(world.shown(ada), (true, None), "that he is there now he does not hide");
    world.hides(bob, "online", "match_last_seen");
    let told = world.presences(ada);
    for kind in ["unavailable", "available"] {
        world.say(bob, comes(kind));
    }
    assert_eq!(world.presences(ada), told, "nothing is told of it any more");
    world.say(ada, look);
    assert_eq!(world.shown(ada), (false, Some("deny".to_owned())));
}

#[test]
fn typing_in_a_group_is_told_to_the_other_members_and_strangers_cannot() {
    let mut world = World::new();
    let (ada, bob, eve) = (world.linked("ada"), world.linked("bob"), world.linked("eve"));
    let group = world.group(&[ada, bob]);
    let types = |to: &Jid| {
        let composing = Builder::new("composing").build();
        Builder::new("chatstate").attr("to", to.clone()).children([composing]).build()
    };
    let told = |world: &World, probe: usize| {
        world.probes[probe].seen.iter().find(|stanza| stanza.tag == "chatstate").cloned()
    };
    world.say(eve, types(&group));
    assert!(told(&world, ada).is_none() && told(&world, bob).is_none());
    assert_eq!(world.machine.ledger().devices()[&world.device(eve)].refused_stanzas, 1);
    world.say(ada, types(&"120363099999999999@g.us".parse().expect("a JID")));
    assert_eq!(world.machine.ledger().devices()[&world.device(ada)].refused_stanzas, 1);
    world.say(ada, types(&group));
    let state = told(&world, bob).expect("he is a member");
    assert_eq!((state.jid("from"), state.jid("participant")), (Some(group), world.probes[ada].lid.clone()));
    assert!(state.child("composing").is_some());
    assert!(told(&world, ada).is_none() && told(&world, eve).is_none());
}

#[test]
fn people_are_blocked_by_their_hidden_identities_with_the_number_beside() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let (lid, number) = (world.lid(bob), world.account(bob));
    for action in ["block", "unblock"] {
        assert_eq!(world.block(ada, action, number.clone(), None), Some(400), "{action}");
    }
    assert_eq!(world.block(ada, "block", lid.clone(), None), Some(400));
    assert_eq!(world.block(ada, "block", lid.clone(), Some(number)), None);
    let pn = world.device(ada).pn;
    assert_eq!(world.machine.accounts()[&pn].blocked.len(), 1);
    assert_eq!(world.block(ada, "unblock", lid, None), None);
    assert!(world.machine.accounts()[&pn].blocked.is_empty());
}

#[test]
fn a_picture_that_is_no_jpeg_is_refused() {
    let mut world = World::new();
    let ada = world.linked("ada");
    for (bytes, refused) in
        [(&b"GIF89a"[..], Some(406)), (&[][..], Some(406)), (&[0xff, 0xd8, 0xff, 0xe0][..], None)]
    {
        let picture = Builder::new("picture").attr("type", "image").bytes(bytes.to_vec()).build();
        let id = format!("p{}", bytes.len());
        let answer = world.ask(ada, iq::set(&id, "w:profile:picture").children([picture]).build());
        assert_eq!(code(&answer), refused, "{bytes:?}");
    }
}
