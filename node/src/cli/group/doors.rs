//! Who waits to be let into a group, and what leads into one.

use clap::Subcommand;
use roost_proto::api;
use serde_json::json;

use super::{Group, Members, outcomes, show};
use crate::cli::{Globals, Output, device_name, render};
use crate::client::{Client, Problem, request};

/// What can be done at the door of a group.
#[derive(Debug, Clone, Subcommand)]
pub enum DoorCommand {
    /// Lists who waits to be let in.
    Requests(Group),
    /// Lets people in who wait.
    Approve(Members),
    /// Turns people down who wait.
    Reject(Members),
    /// Shows what an invite code or its link leads to, without joining.
    Preview {
        /// The device that asks: `acme/shop` or its whole name.
        device: String,
        /// The code or the link.
        code: String,
    },
    /// Ends the personal invites of people who could only be invited.
    Uninvite(Members),
}

pub(super) async fn run(command: DoorCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    match command {
        DoorCommand::Requests(Group { device, group }) => {
            let wanted = api::ListJoinRequestsRequest { device: device_name(&device), group };
            let found = repeat!(client.groups.list_join_requests, wanted, deadline);
            waiting(&found.requests, globals.output);
        }
        DoorCommand::Approve(members) => answer(client, globals, members, true).await?,
        DoorCommand::Reject(members) => answer(client, globals, members, false).await?,
        DoorCommand::Preview { device, code } => {
            let wanted = api::PreviewInviteRequest { device: device_name(&device), code, personal: None };
            show(&[repeat!(client.groups.preview_invite, wanted, deadline)], globals.output);
        }
        DoorCommand::Uninvite(Members { group: Group { device, group }, members: participants }) => {
            let wanted = api::RevokeInvitesRequest { device: device_name(&device), group, participants };
            let done = client.groups().revoke_invites(request(wanted, deadline)).await?.into_inner();
            outcomes(&done, globals.output);
        }
    }
    Ok(())
}

async fn answer(client: &Client, globals: &Globals, members: Members, approve: bool) -> Result<(), Problem> {
    let Members { group: Group { device, group }, members: participants } = members;
    let wanted =
        api::AnswerJoinRequestsRequest { device: device_name(&device), group, participants, approve };
    let wanted = request(wanted, globals.deadline());
    outcomes(&client.groups().answer_join_requests(wanted).await?.into_inner(), globals.output);
    Ok(())
}

fn waiting(requests: &[api::list_join_requests_response::JoinRequest], output: Output) {
    match output {
        Output::Json => requests.iter().for_each(|request| {
            let since = render::time(request.request_time.as_ref());
            println!("{}", json!({ "person": render::json_person(request.person.as_ref()), "since": since }));
        }),
        Output::Table => {
            let rows = requests.iter().map(|request| {
                let who = render::clean(&render::person(request.person.as_ref()));
                vec![who, render::time(request.request_time.as_ref())]
            });
            print!("{}", render::columns(&["WHO", "SINCE"], &rows.collect::<Vec<_>>()));
        }
    }
}
