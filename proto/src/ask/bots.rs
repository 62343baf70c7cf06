//! Bots that WhatsApp offers: which there are (namespace `bot`), and what they say of themselves (`usync`).
//!
//! Rules: the list is what whatsmeow, Baileys and whatsapp-rust agree on, profiles are whatsmeow's.

use super::business::text;
use super::numbers::usync;
use super::{Question, get};
use crate::api;
use crate::stanza::{Builder, Jid, Missing, Read as _, Stanza};

/// The most bots, or commands of one, that an answer is believed to have.
const MOST: usize = 1000;

/// Asks which bots there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListBots;

impl Question for ListBots {
    /// Each with its persona, once, in the order of the answer.
    type Answer = Vec<(Jid, String)>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get("bot").children([Builder::new("bot").attr("v", "2").build()]).build()
    }

    /// A bot may stand in any section, and in several.
    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let sections = answer.need_child("bot")?.all_named("section");
        let mut bots: Self::Answer = Vec::new();
        for bot in sections.flat_map(|section| section.all_named("bot")).take(MOST) {
            let persona = bot.text("persona_id").unwrap_or_default().into_owned();
            if let Some(jid) = bot.jid("jid").filter(|jid| bots.iter().all(|(known, _)| known != jid)) {
                bots.push((jid, persona));
            }
        }
        Ok(bots)
    }
}

/// Asks what bots say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotProfiles {
    /// Which, each with its persona.
    pub bots: Vec<(Jid, String)>,
}

impl Question for BotProfiles {
    /// Those that say something.
    type Answer = Vec<api::Bot>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let profile = Builder::new("profile").attr("v", "1").build();
        let query = [Builder::new("bot").children([profile]).build()];
        let users = self.bots.iter().map(|(jid, persona)| {
            let profile = Builder::new("profile").attr("persona_id", persona.clone()).build();
            let bot = Builder::new("bot").children([profile]).build();
            Builder::new("user").attr("jid", jid.clone()).children([bot]).build()
        });
        get("usync").children([usync("interactive", query, users)]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::Bot>, Missing> {
        let users = answer.need_child("usync")?.need_child("list")?.all_named("user");
        let bots = users.filter_map(|user| {
            let profile = user.child("bot")?.child("profile")?;
            let commands = profile.child("commands");
            let commands = commands.into_iter().flat_map(|all| all.all_named("command")).take(MOST);
            let prompts = profile.child("prompts");
            let prompts = prompts.into_iter().flat_map(|all| all.all_named("prompt")).take(MOST);
            Some(api::Bot {
                jid: user.jid("jid")?.to_string(),
                persona_id: profile.text("persona_id").unwrap_or_default().into_owned(),
                title: text(profile, "name"),
                description: text(profile, "description"),
                category: text(profile, "category"),
                is_default: profile.child("default").is_some(),
                commands: commands
                    .map(|it| api::bot::Command {
                        name: text(it, "name"),
                        description: text(it, "description"),
                    })
                    .collect(),
                prompts: prompts.map(|it| text(it, "text")).collect(),
            })
        });
        Ok(bots.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_in_several_sections_is_one() {
        let bot = |user: &str| Builder::new("bot").attr("jid", Jid::pn(user)).attr("persona_id", "p").build();
        let section = |kind: &'static str, bots: Vec<Stanza>| {
            Builder::new("section").attr("type", kind).children(bots).build()
        };
        let sections =
            [section("all", vec![bot("1"), bot("2")]), section("featured", vec![bot("2"), bot("3")])];
        let answer = Builder::new("iq").children([Builder::new("bot").children(sections).build()]).build();
        let bots = ListBots.read(&answer).expect("complete");
        assert_eq!(bots.iter().map(|(jid, _)| &*jid.user).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(ListBots.read(&Builder::new("iq").build()).is_err());
    }

    #[test]
    fn profiles_are_asked_for_by_persona_and_who_says_nothing_is_left_out() {
        let leaf = |tag: &'static str, text: &str| Builder::new(tag).bytes(text.as_bytes()).build();
        let ask = BotProfiles { bots: vec![(Jid::pn("13135550002"), "p".to_owned())] };
        let list =
            ask.request().child("usync").and_then(|usync| usync.child("list").cloned()).expect("a list");
        let asked =
            list.child("user").and_then(|user| user.child("bot")).and_then(|bot| bot.child("profile"));
        assert_eq!(asked.and_then(|profile| profile.text("persona_id")).as_deref(), Some("p"));
        let command =
            Builder::new("command").children([leaf("name", "imagine"), leaf("description", "draws")]);
        let parts = [
            leaf("name", "Meta AI"),
            Builder::new("default").build(),
            Builder::new("commands").children([command.build()]).build(),
        ];
        let profile = Builder::new("profile").attr("persona_id", "p").children(parts).build();
        let bot = Builder::new("bot").children([profile]).build();
        let user = Builder::new("user").attr("jid", Jid::pn("13135550002")).children([bot]).build();
        let mute = Builder::new("user").attr("jid", Jid::pn("13135550003")).build();
        let answer = Builder::new("iq").children([usync("interactive", [], [user, mute])]).build();
        let bots = ask.read(&answer).expect("complete");
        assert_eq!((bots.len(), bots[0].title.as_str(), bots[0].is_default), (1, "Meta AI", true));
        assert_eq!(bots[0].commands[0].name, "imagine");
    }
}
