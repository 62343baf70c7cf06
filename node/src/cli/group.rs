//! `roost group …`

mod communities;
mod doors;
mod look;

use clap::{Args, Subcommand};
use roost_proto::api;
use roost_proto::api::update_participants_request::Action;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request, retrying};

/// What can be done with groups.
#[derive(Debug, Clone, Subcommand)]
pub enum GroupCommand {
    /// Lists those that the account is in.
    List {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
    },
    /// Shows one.
    Show(Group),
    /// Makes one.
    Create {
        /// The device whose account makes it: `acme/shop` or its whole name.
        device: String,
        /// What it is called.
        subject: String,
        /// JIDs of whom to add.
        members: Vec<String>,
        /// Makes a community.
        #[arg(long, conflicts_with = "parent")]
        community: bool,
        /// The community that it shall belong to: `{digits}@g.us`.
        #[arg(long)]
        parent: Option<String>,
        /// A UUID that makes a repetition harmless; made up when it is missing.
        #[arg(long)]
        request_id: Option<String>,
    },
    /// Changes what its members may do.
    Set(Settings),
    /// Renames one.
    Rename {
        #[command(flatten)]
        group: Group,
        /// What it shall be called.
        subject: String,
    },
    /// Adds members.
    Add(Members),
    /// Removes members.
    Remove(Members),
    /// Makes members admins.
    Promote(Members),
    /// Makes admins members.
    Demote(Members),
    /// Prints the invite code.
    Invite {
        #[command(flatten)]
        group: Group,
        /// Makes a new one, which ends the old one.
        #[arg(long)]
        reset: bool,
    },
    /// Joins by an invite code or its link.
    Join {
        /// The device whose account joins: `acme/shop` or its whole name.
        device: String,
        /// The code or the link.
        code: String,
    },
    /// Takes back that the account wants to join one.
    CancelJoin(Group),
    /// Leaves one.
    Leave(Group),
    /// Lists what members have reported to the admins.
    Reports(Group),
    /// Reports messages to the admins, where the settings of the group allow that.
    Report {
        #[command(flatten)]
        group: Group,
        /// WhatsApp's ids: 1 to 100.
        #[arg(required = true)]
        whatsapp_ids: Vec<String>,
    },
    #[command(flatten)]
    Community(communities::CommunityCommand),
    #[command(flatten)]
    Door(doors::DoorCommand),
    #[command(flatten)]
    Look(look::LookCommand),
}

/// What members of a group may do: each `true` or `false`.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    #[command(flatten)]
    group: Group,
    /// Only admins send.
    #[arg(long)]
    announce: Option<bool>,
    /// Only admins change subject, description and picture.
    #[arg(long)]
    locked: Option<bool>,
    /// Admins approve who joins.
    #[arg(long)]
    approval: Option<bool>,
    /// Every member adds others.
    #[arg(long)]
    members_add: Option<bool>,
    /// Every member invites with the link.
    #[arg(long)]
    members_link: Option<bool>,
    /// Newcomers may be given what was said before.
    #[arg(long)]
    history: Option<bool>,
    /// Every member gives it.
    #[arg(long)]
    members_share_history: Option<bool>,
    /// Members may report messages to the admins.
    #[arg(long)]
    admin_reports: Option<bool>,
    /// What was forwarded often may not be sent.
    #[arg(long)]
    no_frequently_forwarded: Option<bool>,
    /// Messages may not be exported.
    #[arg(long)]
    limit_sharing: Option<bool>,
}

impl Settings {
    fn request(self) -> api::UpdateGroupRequest {
        let Group { device, group } = self.group;
        api::UpdateGroupRequest {
            device: device_name(&device),
            group,
            announce: self.announce,
            locked: self.locked,
            approval: self.approval,
            members_add: self.members_add,
            members_link: self.members_link,
            history: self.history,
            members_share_history: self.members_share_history,
            admin_reports: self.admin_reports,
            no_frequently_forwarded: self.no_frequently_forwarded,
            limit_sharing: self.limit_sharing,
            ..Default::default()
        }
    }
}

/// A group, as one device sees it.
#[derive(Debug, Clone, Args)]
pub struct Group {
    /// The device that asks: `acme/shop` or its whole name.
    device: String,
    /// `{digits}@g.us`.
    group: String,
}

/// A group and people.
#[derive(Debug, Clone, Args)]
pub struct Members {
    #[command(flatten)]
    group: Group,
    /// JIDs.
    #[arg(required = true)]
    members: Vec<String>,
}

pub(super) async fn run(command: GroupCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    let mut groups = client.groups();
    match command {
        GroupCommand::List { device } => {
            let wanted = api::ListGroupsRequest { device: device_name(&device) };
            let found = groups.list_groups(request(wanted, deadline)).await?.into_inner();
            show(&found.groups, globals.output);
        }
        GroupCommand::Show(Group { device, group }) => {
            let wanted = api::GetGroupRequest { device: device_name(&device), group };
            show(&[groups.get_group(request(wanted, deadline)).await?.into_inner()], globals.output);
        }
        GroupCommand::Create { device, subject, members, community, parent, request_id } => {
            let wanted = api::CreateGroupRequest {
                device: device_name(&device),
                subject,
                participants: members,
                community,
                parent: parent.unwrap_or_default(),
                request_id: request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
                ..Default::default()
            };
            let made = retrying(deadline, || {
                let (mut groups, wanted) = (client.groups(), wanted.clone());
                async move { groups.create_group(request(wanted, deadline)).await }
            });
            show(&[made.await?], globals.output);
        }
        GroupCommand::Set(settings) => {
            let wanted = request(settings.request(), deadline);
            show(&[groups.update_group(wanted).await?.into_inner()], globals.output);
        }
        GroupCommand::Rename { group: Group { device, group }, subject } => {
            let (device, subject) = (device_name(&device), Some(subject));
            let wanted = api::UpdateGroupRequest { device, group, subject, ..Default::default() };
            show(&[groups.update_group(request(wanted, deadline)).await?.into_inner()], globals.output);
        }
        GroupCommand::Add(members) => change(&client, globals, members, Action::Add).await?,
        GroupCommand::Remove(members) => change(&client, globals, members, Action::Remove).await?,
        GroupCommand::Promote(members) => change(&client, globals, members, Action::Promote).await?,
        GroupCommand::Demote(members) => change(&client, globals, members, Action::Demote).await?,
        GroupCommand::Invite { group: Group { device, group }, reset } => {
            let wanted = api::GetInviteRequest { device: device_name(&device), group, reset };
            let invite = groups.get_invite(request(wanted, deadline)).await?.into_inner();
            match globals.output {
                Output::Json => println!("{}", json_of("GetInviteResponse", &invite)),
                Output::Table => println!("{}", invite.code),
            }
        }
        GroupCommand::Join { device, code } => {
            let wanted = api::JoinGroupRequest { device: device_name(&device), code, personal: None };
            let joined = groups.join_group(request(wanted, deadline)).await?.into_inner();
            let waits = if joined.waiting { " (an admin has to approve it)" } else { "" };
            match globals.output {
                Output::Json => println!("{}", json_of("JoinGroupResponse", &joined)),
                Output::Table => println!("{}{waits}", joined.group),
            }
        }
        GroupCommand::CancelJoin(Group { device, group }) => {
            let wanted = api::CancelJoinRequestRequest { device: device_name(&device), group };
            let cancelled = repeat!(client.groups.cancel_join_request, wanted, deadline);
            match globals.output {
                Output::Json => println!("{}", json_of("CancelJoinRequestResponse", &cancelled)),
                Output::Table if cancelled.was_waiting => println!("taken back"),
                Output::Table => println!("nothing was waiting"),
            }
        }
        GroupCommand::Leave(Group { device, group }) => {
            let wanted = api::LeaveGroupRequest { device: device_name(&device), group };
            groups.leave_group(request(wanted, deadline)).await?;
        }
        GroupCommand::Reports(Group { device, group }) => {
            let wanted = api::ListReportedMessagesRequest { device: device_name(&device), group };
            let found = groups.list_reported_messages(request(wanted, deadline)).await?.into_inner();
            reported(&found.messages, globals.output);
        }
        GroupCommand::Report { group: Group { device, group }, whatsapp_ids } => {
            let wanted = api::ReportMessagesRequest { device: device_name(&device), group, whatsapp_ids };
            groups.report_messages(request(wanted, deadline)).await?;
        }
        GroupCommand::Community(command) => communities::run(command, &client, globals).await?,
        GroupCommand::Door(command) => doors::run(command, &client, globals).await?,
        GroupCommand::Look(command) => look::run(command, &client, globals).await?,
    }
    Ok(())
}

async fn change(
    client: &crate::client::Client,
    globals: &Globals,
    members: Members,
    action: Action,
) -> Result<(), Problem> {
    let Members { group: Group { device, group }, members: participants } = members;
    let (device, action) = (device_name(&device), action.into());
    let wanted = api::UpdateParticipantsRequest { device, group, action, participants, ..Default::default() };
    let done = client.groups().update_participants(request(wanted, globals.deadline())).await?.into_inner();
    outcomes(&done, globals.output);
    Ok(())
}

fn json_of<M: roost_proto::prost::Message>(kind: &str, message: &M) -> serde_json::Value {
    roost_proto::json::of(kind, message).unwrap_or_default()
}

/// What became of each.
fn outcomes(done: &api::UpdateParticipantsResponse, output: Output) {
    let kind = "UpdateParticipantsResponse.Outcome";
    match output {
        Output::Json => done.outcomes.iter().for_each(|outcome| println!("{}", json_of(kind, outcome))),
        Output::Table => {
            let rows = done.outcomes.iter().map(|outcome| {
                let who = name(outcome.person.as_ref());
                vec![who, outcome.code.to_string(), render::clean(&outcome.invite_code)]
            });
            print!("{}", render::columns(&["WHO", "CODE", "INVITE"], &rows.collect::<Vec<_>>()));
        }
    }
}

fn reported(messages: &[api::list_reported_messages_response::ReportedMessage], output: Output) {
    let kind = "ListReportedMessagesResponse.ReportedMessage";
    match output {
        Output::Json => messages.iter().for_each(|message| println!("{}", json_of(kind, message))),
        Output::Table => {
            let rows = messages.iter().map(|message| {
                let by = message.reports.iter().map(|report| name(report.reporter.as_ref()));
                vec![render::clean(&message.whatsapp_id), by.collect::<Vec<_>>().join(" ")]
            });
            print!("{}", render::columns(&["WHATSAPP ID", "REPORTED BY"], &rows.collect::<Vec<_>>()));
        }
    }
}

fn show(groups: &[api::Group], output: Output) {
    match output {
        Output::Json => groups.iter().for_each(|group| println!("{}", json_of("Group", group))),
        Output::Table => {
            let row = |group: &api::Group| {
                let owner = name(group.owner.as_ref());
                vec![group.group.clone(), group.size.to_string(), owner, render::clean(&group.subject)]
            };
            let rows: Vec<_> = groups.iter().map(row).collect();
            print!("{}", render::columns(&["GROUP", "MEMBERS", "OWNER", "SUBJECT"], &rows));
        }
    }
}

fn name(person: Option<&api::Person>) -> String {
    let person = person.cloned().unwrap_or_default();
    render::clean(if person.phone_number.is_empty() { &person.lid } else { &person.phone_number })
}
