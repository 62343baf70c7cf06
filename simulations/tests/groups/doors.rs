//! What a group allows, what is reported in it, and invites for one person; set, taken and ended by Roost and by
//! every client.

use roost_proto::api::send_message_request::Content;
use serde_json::{Value, json};

use super::*;

impl World {
    pub(super) fn client(&mut self, name: &str) -> &mut RealClient {
        match name {
            "w" => &mut self.w,
            "b" => &mut self.b,
            _ => &mut self.r,
        }
    }

    /// A client carries out a command. Returns what it says.
    pub(super) async fn has(&mut self, name: &str, command: Value) -> Result<Value, Failure> {
        Ok(self.client(name).people(command).await?)
    }

    /// Makes a group with these clients in it, or one of another kind. Returns its JID.
    pub(super) async fn made(
        &self,
        subject: &str,
        with: &[&str],
        also: api::CreateGroupRequest,
    ) -> Result<String, Failure> {
        let create = api::CreateGroupRequest {
            device: self.device.clone(),
            subject: subject.to_owned(),
            participants: with.iter().map(|name| self.stage.person(name).number_jid()).collect(),
            request_id: Uuid::new_v4().to_string(),
            ..also
        };
        Ok(self.cluster.ask(create, async |api, it| api.groups().create_group(it).await).await?.group)
    }

    /// Waits until Roost has told of a change of this group.
    pub(super) async fn told(
        &self,
        group: &str,
        what: &str,
        fits: impl Fn(&Change) -> bool,
    ) -> Result<(), Failure> {
        self.reader
            .wait(what, |payload| match payload {
                Payload::GroupChanged(it) if it.group == group => {
                    it.change.as_ref().filter(|change| fits(change)).map(|_| ())
                }
                _ => None,
            })
            .await
    }

    /// Changes members. Returns what became of the first.
    pub(super) async fn first_of(
        &self,
        action: api::update_participants_request::Action,
        group: &str,
        who: &[String],
    ) -> Result<api::update_participants_response::Outcome, Failure> {
        let change = api::UpdateParticipantsRequest {
            device: self.device.clone(),
            group: group.to_owned(),
            action: action.into(),
            participants: who.to_vec(),
            ..Default::default()
        };
        let done =
            self.cluster.ask(change, async |api, it| api.groups().update_participants(it).await).await?;
        Ok(done.outcomes[0].clone())
    }
}

pub(super) async fn settings(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    use api::update_participants_request::Action::Promote;
    let names = ["w", "b", "r"];
    let group = world.made("Coop", &names, Default::default()).await?;
    let jids = names.map(|name| world.stage.person(name).number_jid());
    world.first_of(Promote, &group, &jids).await?;
    let update = api::UpdateGroupRequest {
        device: world.device.clone(),
        group: group.clone(),
        locked: Some(true),
        members_add: Some(false),
        approval: Some(true),
        members_link: Some(true),
        history: Some(true),
        members_share_history: Some(true),
        admin_reports: Some(true),
        no_frequently_forwarded: Some(true),
        limit_sharing: Some(true),
        ..Default::default()
    };
    let updated = world.cluster.ask(update, async |api, it| api.groups().update_group(it).await).await?;
    let all = api::GroupSettings {
        locked: true,
        approval: true,
        members_link: true,
        history: true,
        members_share_history: true,
        admin_reports: true,
        no_frequently_forwarded: true,
        limit_sharing: true,
        ..Default::default()
    };
    assert_eq!(updated.settings, Some(all));

    let known_to_all = json!(["approval", "locked"]);
    // Modes come as bytes, of which it reads none.
    let known_to_rust =
        json!(["admin_reports", "approval", "history", "limit_sharing", "locked", "no_frequently_forwarded"]);
    for (name, known) in [("w", &known_to_all), ("b", &known_to_all), ("r", &known_to_rust)] {
        assert_eq!(world.has(name, json!({ "cmd": "group_shows", "to": group })).await?, *known, "{name}");
    }
    let changes = [
        ("w", "locked", false, Change::Locked(false)),
        ("w", "members_add", true, Change::MembersAdd(true)),
        ("b", "announce", true, Change::Announce(true)),
        ("b", "approval", false, Change::Approval(false)),
        ("r", "announce", false, Change::Announce(false)),
        ("r", "history", false, Change::History(false)),
        ("r", "members_link", false, Change::MembersLink(false)),
        ("r", "members_share_history", false, Change::MembersShareHistory(false)),
        ("r", "no_frequently_forwarded", false, Change::NoFrequentlyForwarded(false)),
        ("r", "limit_sharing", false, Change::LimitSharing(false)),
    ];
    for (name, what, on, change) in changes {
        world.has(name, json!({ "cmd": "group_set", "to": group, "what": what, "on": on })).await?;
        world.told(&group, &format!("{what} by {name}"), |told| *told == change).await?;
    }
    for (library, _) in CLIENTS {
        matrix.row("settings of a group").seen(Way::From(library)).seen(Way::To(library));
    }

    let label = Content::MemberLabel(api::MemberLabel { label: "cock".to_owned() });
    let to = To::Group(group.clone());
    world.cluster.say(&world.device, to, label, Default::default(), WaitFor::ServerAck).await?;
    for (library, name) in CLIENTS {
        let row = matrix.row("label of a member");
        if name == "w" {
            let why = "whatsmeow has no labels of members";
            row.not_applicable(Way::From(library), why).not_applicable(Way::To(library), why);
            continue;
        }
        row.seen(Way::From(library)).seen(Way::To(library));
        world.client(name).said("member_label", "cock").await?;
        let label = format!("hen {name}");
        world.has(name, json!({ "cmd": "member_label", "to": group, "text": label })).await?;
        world.told(&group, &label, |change| *change == Change::MemberLabel(label.clone())).await?;
    }

    let id = world.say(&group, "report this", WaitFor::ServerAck).await?;
    let report = api::ReportMessagesRequest {
        device: world.device.clone(),
        group: group.clone(),
        whatsapp_ids: vec![id.clone()],
    };
    world.cluster.ask(report, async |api, it| api.groups().report_messages(it).await).await?;
    world.told(&group, "a report", |change| *change == Change::Reported(true)).await?;
    let list = api::ListReportedMessagesRequest { device: world.device.clone(), group };
    let list = world.cluster.ask(list, async |api, it| api.groups().list_reported_messages(it).await).await?;
    let reporter = list.messages[0].reports[0].reporter.clone().unwrap_or_default();
    assert_eq!((&list.messages[0].whatsapp_id, reporter.lid), (&id, world.roost.lid_jid()));
    Ok(())
}

pub(super) async fn invites(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    use api::update_participants_request::Action::Add;
    let nest = world.made("Nest", &[], Default::default()).await?;
    for (library, name) in CLIENTS {
        world.has(name, json!({ "cmd": "only_invited" })).await?;
        let person = world.stage.person(name);
        let jids = [person.number_jid()];
        let taken = |outcome: &api::update_participants_response::Outcome, inviter: &Person| {
            let until = outcome.invite_expire_time.map_or(0, |time| time.seconds).to_string();
            let (code, inviter) = (&outcome.invite_code, inviter.number_jid());
            json!({ "cmd": "invite_join", "to": nest, "sender": inviter, "text": code, "about": until })
        };
        let first = world.first_of(Add, &nest, &jids).await?;
        assert_eq!(first.code, 403, "{name} can only be invited");
        let revoke = api::RevokeInvitesRequest {
            device: world.device.clone(),
            group: nest.clone(),
            participants: jids.to_vec(),
        };
        let revoked =
            world.cluster.ask(revoke, async |api, it| api.groups().revoke_invites(it).await).await?;
        // Who asks for it twice hears that there is none any more.
        assert!(matches!(revoked.outcomes[0].code, 200 | 404));
        let before = world.stage.refused();
        let refused = world.has(name, taken(&first, &world.roost)).await;
        world.stage.refuses(
            (&person, before),
            refused,
            "w:g2 set <accept>: 410, the invite does not hold",
        )?;
        matrix.row("personal invite revoked").seen(Way::To(library));

        let second = world.first_of(Add, &nest, &jids).await?;
        if name == "w" {
            let mut look = taken(&second, &world.roost);
            look["cmd"] = json!("invite_info");
            assert_eq!(world.has(name, look).await?, json!("Nest"));
        }
        world.has(name, taken(&second, &world.roost)).await?;
        let came = |change: &Change| match change {
            Change::Participants(who) => {
                who.action() == Action::Added && who.people.iter().any(|one| one.lid == person.lid_jid())
            }
            _ => false,
        };
        world.told(&nest, &format!("{name} by an invite"), came).await?;
        matrix.row("personal invite").seen(Way::To(library));
    }
    let hide = api::SetPrivacyRequest {
        device: world.device.clone(),
        category: "groupadd".to_owned(),
        value: "contacts".to_owned(),
        exceptions: None,
    };
    world.cluster.ask(hide, async |api, it| api.accounts().set_privacy(it).await).await?;
    for (library, name) in CLIENTS {
        let group = world.client(name).group(&format!("Nest of {name}"), &[]).await?;
        let first = invited(world, name, &group).await?;
        if name == "w" {
            let why = "whatsmeow revokes no personal invites";
            matrix.row("personal invite revoked").not_applicable(Way::From(library), why);
        } else {
            let roost = world.roost.number_jid();
            world.has(name, json!({ "cmd": "invite_revoke", "to": group, "sender": roost })).await?;
            let before = world.stage.refused();
            let gone = previewed(world, &first).await;
            assert!(gone.as_ref().is_err_and(|refused| refused.says("410")), "{name}: {gone:?}");
            let why = "w:g2 get <query>: 410, the invite does not hold";
            world.stage.refuses((&world.roost, before), gone, why)?;
            matrix.row("personal invite revoked").seen(Way::From(library));
        }
        let second = invited(world, name, &group).await?;
        assert_eq!(previewed(world, &second).await?.subject, format!("Nest of {name}"));
        let join = api::JoinGroupRequest {
            device: world.device.clone(),
            personal: Some(second),
            ..Default::default()
        };
        // Whoever takes an invite twice is refused.
        let joined =
            world.cluster.ask_spared(join, async |api, it| api.groups().join_group(it).await).await?;
        assert!(joined.group == group && !joined.waiting);
        matrix.row("personal invite").seen(Way::From(library));
    }
    Ok(())
}

/// A client tries to add Roost's account, which can only be invited; the invite, as it would send it in a message.
async fn invited(world: &mut World, name: &str, group: &str) -> Result<api::PersonalInvite, Failure> {
    let roost = world.roost.clone();
    world.client(name).members(group, "add", &[roost.number_jid()]).await?;
    let id = group.trim_end_matches("@g.us").to_owned();
    let held = world.stage.sim.look(|sim| sim.groups().get(&id)?.invites.get(&roost.pn).cloned());
    let held = held.ok_or_else(|| Failure::new(format!("{name} holds no invite")))?;
    let seconds = i64::try_from(held.until_s).unwrap_or(i64::MAX);
    Ok(api::PersonalInvite {
        group: group.to_owned(),
        code: held.code,
        inviter: world.stage.person(name).lid_jid(),
        expire_time: Some(api::Timestamp { seconds, nanos: 0 }),
    })
}

async fn previewed(world: &World, invite: &api::PersonalInvite) -> Result<api::Group, Failure> {
    let preview = api::PreviewInviteRequest {
        device: world.device.clone(),
        personal: Some(invite.clone()),
        ..Default::default()
    };
    world.cluster.ask(preview, async |api, it| api.groups().preview_invite(it).await).await
}
