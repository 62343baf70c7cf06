//! Bots that WhatsApp offers: which there are, and what they say of themselves. Nobody talks with them here.

use roost_proto::stanza::{Builder, Jid, Read as _, Stanza};

/// Number, persona, name and command of each. whatsmeow asks only for bots whose numbers look like these.
const BOTS: [(&str, &str, &str, &str); 2] = [
    ("13135550002", "867051314767696$760019659443059", "Meta AI", "imagine"),
    ("13135550003", "1234567890$1", "Cook", "recipe"),
];

/// `<bot v=2>`: the first is the default, and all are in the section of all.
pub(super) fn list() -> Stanza {
    let named = |tag: &'static str, (number, persona, ..): &(&str, &'static str, &str, &str)| {
        Builder::new(tag).attr("jid", Jid::pn(*number)).attr("persona_id", *persona).build()
    };
    let all = BOTS.iter().map(|bot| named("bot", bot));
    let all = Builder::new("section").attr("type", "all").attr("name", "All").children(all).build();
    Builder::new("bot").attr("v", "2").children([named("default", &BOTS[0]), all]).build()
}

/// What a bot says of itself, when its persona is named.
pub(super) fn profile(user: &Stanza) -> Option<Stanza> {
    let asked = user.child("bot").and_then(|bot| bot.child("profile"))?.text("persona_id")?;
    let at = BOTS.iter().position(|(number, persona, ..)| {
        *persona == asked && user.jid("jid").is_some_and(|jid| jid.user == *number)
    })?;
    let (_, persona, name, command) = BOTS[at];
    let leaf = |tag: &'static str, text: &str| Builder::new(tag).bytes(text.as_bytes()).build();
    let commands = Builder::new("command").children([leaf("name", command), leaf("description", "does it")]);
    let commands = Builder::new("commands").children([leaf("description", "what it does"), commands.build()]);
    let prompt = Builder::new("prompt").children([leaf("emoji", "🐓"), leaf("text", "Tell me of hens")]);
    let mut parts = vec![
        leaf("name", name),
        leaf("attributes", ""),
        leaf("description", "answers"),
        leaf("category", "help"),
        commands.build(),
        Builder::new("prompts").children([prompt.build()]).build(),
    ];
    if at == 0 {
        parts.push(Builder::new("default").build());
    }
    let profile = Builder::new("profile").attr("persona_id", persona).children(parts).build();
    let bot = Builder::new("bot").children([profile]).build();
    Some(Builder::new("user").attr("jid", user.jid("jid")?).children([bot]).build())
}
