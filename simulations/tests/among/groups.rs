//! Groups, communities and personal invites.

use super::*;

impl Pair<'_> {
    pub(super) async fn groups(&mut self) -> Result<(), Failure> {
        let (names, jid) = (self.names.clone(), self.to.person.number_jid());
        let group = self.from.client.group(&format!("Hens, {names}"), std::slice::from_ref(&jid)).await?;
        let text = format!("in the group, {names}");
        self.from.client.send(&group, &text).await?;
        assert_eq!(self.to.client.message(&text).await?.chat, group);
        self.seen("text in a group");

        let text = format!("answer in the group, {names}");
        let id = self.to.client.send(&group, &text).await?;
        let heard = self.from.client.message(&text).await?;
        self.from.client.read(&heard).await?;
        self.to.client.receipt(&id, "read").await?;
        self.seen("read in a group");

        for (what, on) in [("members_add", false), ("locked", true), ("approval", true)] {
            self.from.does(json!({ "cmd": "group_set", "to": group, "what": what, "on": on })).await?;
        }
        let shown = self.to.does(json!({ "cmd": "group_shows", "to": group })).await?;
        assert_eq!(shown, json!(["approval", "locked"]));
        self.seen("settings of a group");

        let row = "label of a member";
        if [self.from.library, self.to.library].contains(&Library::Whatsmeow) {
            self.cannot(row, "whatsmeow has no labels of members");
        } else {
            self.from.does(json!({ "cmd": "member_label", "to": group, "text": names })).await?;
            self.to.client.said("member_label", &names).await?;
            self.seen(row);
        }

        self.from.does(json!({ "cmd": "set_picture", "to": group, "text": "JPEG" })).await?;
        let told = |event: &ClientEvent| matches!(event, ClientEvent::Contact { from, what } if *from == group && what == "picture");
        self.to.client.wait("the picture of a group", told).await?;
        self.seen("picture of a group");

        let say = async |pair: &mut Self, what: &str| {
            let text = format!("{what}, {names}");
            pair.from.client.send(&group, &text).await?;
            Ok::<_, Failure>(text)
        };
        self.from.client.members(&group, "remove", std::slice::from_ref(&jid)).await?;
        let unheard = say(self, "gone").await?;
        self.from.client.members(&group, "add", &[jid]).await?;
        let heard = say(self, "back").await?;
        self.to.client.message(&heard).await?;
        assert!(!self.to.client.messages().iter().any(|message| message.text == unheard), "{unheard}");
        self.seen("member added, member removed");
        Ok(())
    }

    pub(super) async fn communities(&mut self) -> Result<(), Failure> {
        let names = self.names.clone();
        let farm = self.from.names(json!({ "cmd": "community", "text": format!("Farm, {names}") })).await?;
        let members = [self.to.person.number_jid()];
        let barn = json!({ "cmd": "subgroup", "to": farm, "text": "Barn", "participants": members });
        let barn = self.from.names(barn).await?;
        let yard = self.from.client.group(&format!("Yard, {names}"), &[]).await?;
        self.from.does(json!({ "cmd": "link", "to": farm, "group": yard, "on": true })).await?;
        if self.to.library == Library::WhatsappRust {
            for (group, subject) in [(&barn, "Barn".to_owned()), (&yard, format!("Yard, {names}"))] {
                let linked = json!({ "cmd": "linked_group", "to": farm, "group": group });
                assert_eq!(self.to.does(linked).await?, json!(subject));
            }
        } else {
            let shown = self.to.does(json!({ "cmd": "subgroups", "to": farm })).await?;
            let shown = shown.as_array().cloned().unwrap_or_default();
            assert!(shown.contains(&json!(barn)) && shown.contains(&json!(yard)), "{shown:?}");
        }
        self.seen("community and its groups");

        let row = "group of a community joined";
        if self.to.library == Library::WhatsappRust {
            self.to.does(json!({ "cmd": "join_subgroup", "to": farm, "group": yard })).await?;
            let text = format!("welcome to the yard, {names}");
            self.from.client.send(&yard, &text).await?;
            self.to.client.message(&text).await?;
            self.seen_back(row);
        }
        let row_of_end = "community deactivated";
        if self.from.library == Library::WhatsappRust {
            self.from.does(json!({ "cmd": "deactivate", "to": farm })).await?;
            let before = self.stage.refused();
            let shown = self.to.does(json!({ "cmd": "subgroups", "to": farm })).await;
            // Baileys looks at the community first.
            let asked = if self.to.library == Library::Baileys { "query" } else { "sub_groups" };
            let gone = format!("w:g2 get <{asked}>: 404, no such group");
            self.stage.refuses((&self.to.person, before), shown, &gone)?;
            self.seen(row_of_end);
            return Ok(());
        }
        self.cannot(row, &format!("{} joins no groups of communities", self.from.library.name()));
        self.cannot(row_of_end, &format!("{} deactivates no communities", self.from.library.name()));
        Ok(())
    }

    /// Everybody can only be invited now.
    pub(super) async fn invites(&mut self) -> Result<(), Failure> {
        let nest = self.from.client.group(&format!("Nest, {}", self.names), &[]).await?;
        let row = "personal invite revoked";
        let first = self.invited(&nest).await?;
        if self.from.library == Library::Whatsmeow {
            self.cannot(row, "whatsmeow revokes no personal invites");
        } else {
            let invited = self.to.person.number_jid();
            self.from.does(json!({ "cmd": "invite_revoke", "to": nest, "sender": invited })).await?;
            let before = self.stage.refused();
            let late = self.to.does(first).await;
            let why = "w:g2 set <accept>: 410, the invite does not hold";
            self.stage.refuses((&self.to.person, before), late, why)?;
            self.seen(row);
        }
        let second = self.invited(&nest).await?;
        self.to.does(second).await?;
        let text = format!("in the nest, {}", self.names);
        self.from.client.send(&nest, &text).await?;
        self.to.client.message(&text).await?;
        self.seen("personal invite");
        Ok(())
    }

    /// One tries to add the other. Returns the command by which that one takes the invite.
    async fn invited(&mut self, group: &str) -> Result<Value, Failure> {
        let pn = self.to.person.pn;
        self.from.client.members(group, "add", &[self.to.person.number_jid()]).await?;
        let id = group.trim_end_matches("@g.us");
        let held = self.stage.sim.look(|machine| machine.groups().get(id)?.invites.get(&pn).cloned());
        let held = held.ok_or_else(|| Failure::new("nobody was invited"))?;
        let (inviter, until) = (self.from.person.number_jid(), held.until_s.to_string());
        Ok(json!({ "cmd": "invite_join", "to": group, "sender": inviter, "text": held.code, "about": until }))
    }
}
