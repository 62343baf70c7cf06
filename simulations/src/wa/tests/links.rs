//! Links to accounts, and bots.

use super::*;

fn refused(answer: &Stanza) -> Option<u64> {
    answer.child("error").and_then(|error| error.number("code"))
}

fn link(world: &mut World, probe: usize, action: &'static str) -> String {
    let qr = Builder::new("qr").attr("type", "contact").attr("action", action).build();
    let answer = world.ask(probe, iq::request("q", "set", "w:qr", server_jid()).children([qr]).build());
    answer.child("qr").and_then(|qr| qr.text("code").map(|code| code.into_owned())).expect("a code")
}

fn lead(world: &mut World, probe: usize, code: &str) -> Stanza {
    let qr = Builder::new("qr").attr("code", code.to_owned()).build();
    // As clients ask: without an address.
    let asked = Builder::new("iq").attr("id", "q").attr("type", "get").attr("xmlns", "w:qr");
    world.ask(probe, asked.children([qr]).build())
}

#[test]
fn a_link_leads_to_its_account_until_it_is_made_anew() {
    let mut world = World::new();
    let (ada, bob) = (world.linked("ada"), world.linked("bob"));
    let first = link(&mut world, ada, "get");
    assert_eq!(link(&mut world, ada, "get"), first);
    let led = lead(&mut world, bob, &first);
    assert_eq!(led.child("qr").and_then(|qr| qr.jid("jid")), Some(world.account(ada)));
    let second = link(&mut world, ada, "revoke");
    assert_eq!(refused(&lead(&mut world, bob, &first)), Some(404));
    assert_eq!(refused(&lead(&mut world, bob, &second)), None);
    let pn = world.device(ada).pn;
    let spoken = world.machine.link_with(pn, "Hello!").expect("an account");
    let led = lead(&mut world, bob, &spoken);
    let message = led.child("qr").and_then(|qr| qr.child("message"));
    assert_eq!(message.and_then(|message| message.leaf_text()), Some("Hello!"));
}

#[test]
fn a_bot_says_what_it_is_when_its_persona_is_named() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let list = Builder::new("bot").attr("v", "2").build();
    let answer = world.ask(ada, iq::request("b", "get", "bot", server_jid()).children([list]).build());
    let sections = answer.child("bot").and_then(|bot| bot.child("section")).expect("all").clone();
    let first = sections.all()[0].clone();
    let mut profile = |persona: &str| {
        let asked = Builder::new("profile").attr("persona_id", persona.to_owned()).build();
        let user = Builder::new("user").attr("jid", first.jid("jid").expect("a JID"));
        let user = user.children([Builder::new("bot").children([asked]).build()]).build();
        let query = Builder::new("query").children([Builder::new("bot").build()]).build();
        let usync = Builder::new("usync").children([query, Builder::new("list").children([user]).build()]);
        let answer =
            world.ask(ada, iq::request("u", "get", "usync", server_jid()).children([usync.build()]).build());
        let list = answer.child("usync").and_then(|usync| usync.child("list")).expect("a list").clone();
        list.child("user").and_then(|user| user.child("bot")).is_some()
    };
    assert!(profile(&first.text("persona_id").expect("a persona")));
    assert!(!profile("another"));
}
