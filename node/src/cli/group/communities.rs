//! Communities: their groups and their people.

use clap::{Args, Subcommand};
use roost_proto::api;

use super::{Group, name, show};
use crate::cli::{Globals, Output, device_name, render};
use crate::client::{Client, Problem, request};

/// What can be done with communities.
#[derive(Debug, Clone, Subcommand)]
pub enum CommunityCommand {
    /// Lists the groups of a community.
    Subgroups(Group),
    /// Shows a group of a community, as those of the community see it who are not in the group.
    PreviewSubgroup(Subgroup),
    /// Joins a group of a community that the account is in.
    JoinSubgroup(Subgroup),
    /// Links a group to a community, which is named first.
    Link {
        #[command(flatten)]
        community: Group,
        /// The group: `{digits}@g.us`.
        member: String,
        /// Ends that.
        #[arg(long)]
        unlink: bool,
    },
    /// Ends a community; its groups stay.
    Deactivate(Group),
    /// Lists the people of a community, whichever of its groups they are in.
    People(Group),
}

/// A group of a community, which is named first.
#[derive(Debug, Clone, Args)]
pub struct Subgroup {
    #[command(flatten)]
    community: Group,
    /// The group: `{digits}@g.us`.
    member: String,
}

impl Subgroup {
    fn request(self) -> api::SubgroupRequest {
        let Group { device, group: community } = self.community;
        api::SubgroupRequest { device: device_name(&device), community, group: self.member }
    }
}

pub(super) async fn run(
    command: CommunityCommand,
    client: &Client,
    globals: &Globals,
) -> Result<(), Problem> {
    let (mut groups, deadline) = (client.groups(), globals.deadline());
    match command {
        CommunityCommand::Subgroups(Group { device, group: community }) => {
            let wanted = api::ListSubgroupsRequest { device: device_name(&device), community };
            let found = groups.list_subgroups(request(wanted, deadline)).await?.into_inner();
            show(&found.groups, globals.output);
        }
        CommunityCommand::PreviewSubgroup(of) => {
            show(&[repeat!(client.groups.preview_subgroup, of.request(), deadline)], globals.output);
        }
        CommunityCommand::JoinSubgroup(of) => {
            show(
                &[groups.join_subgroup(request(of.request(), deadline)).await?.into_inner()],
                globals.output,
            );
        }
        CommunityCommand::Link { community: Group { device, group: community }, member: group, unlink } => {
            let device = device_name(&device);
            let wanted = api::LinkGroupRequest { device, community, group, unlink, ..Default::default() };
            groups.link_group(request(wanted, deadline)).await?;
        }
        CommunityCommand::Deactivate(Group { device, group: community }) => {
            let wanted = api::DeactivateCommunityRequest { device: device_name(&device), community };
            groups.deactivate_community(request(wanted, deadline)).await?;
        }
        CommunityCommand::People(Group { device, group: community }) => {
            let wanted = api::ListCommunityParticipantsRequest { device: device_name(&device), community };
            let found = repeat!(client.groups.list_community_participants, wanted, deadline);
            found.people.iter().for_each(|person| match globals.output {
                Output::Json => println!("{}", render::json_person(Some(person))),
                Output::Table => println!("{}", name(Some(person))),
            });
        }
    }
    Ok(())
}
