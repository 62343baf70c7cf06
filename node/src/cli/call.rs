//! `roost call …`: rejecting calls, and links to them.

use clap::Subcommand;
use roost_proto::api;
use serde_json::json;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request};

/// What can be done with calls.
#[derive(Debug, Clone, Subcommand)]
pub enum CallCommand {
    /// Rejects a call on all devices of the account.
    Reject {
        /// `acme/shop` or its whole name.
        device: String,
        /// Who calls, as in the event: a phone number, or `{digits}@lid`.
        caller: String,
        /// Which call, as in the event.
        call_id: String,
    },
    /// Makes a link that people join a call by, and prints it.
    Link {
        /// `acme/shop` or its whole name.
        device: String,
        /// With pictures.
        #[arg(long)]
        video: bool,
        /// When the call is planned, in seconds since 1970.
        #[arg(long)]
        start: Option<i64>,
    },
    /// Says what a link to a call is about, without joining it.
    Preview {
        /// `acme/shop` or its whole name.
        device: String,
        /// As `https://call.whatsapp.com/video/…`.
        link: String,
    },
}

pub(super) async fn run(command: CallCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    match command {
        CallCommand::Reject { device, caller, call_id } => {
            let wanted = api::RejectCallRequest { device: device_name(&device), caller, call_id };
            repeat!(client.calls.reject_call, wanted, deadline);
        }
        // Made again, it would be another.
        CallCommand::Link { device, video, start } => {
            let start_time = start.map(|seconds| api::Timestamp { seconds, nanos: 0 });
            let wanted = api::CreateCallLinkRequest { device: device_name(&device), video, start_time };
            let url = client.calls().create_call_link(request(wanted, deadline)).await?.into_inner().url;
            match globals.output {
                Output::Json => println!("{}", json!({ "url": url })),
                Output::Table => println!("{url}"),
            }
        }
        CallCommand::Preview { device, link } => {
            let wanted = api::PreviewCallLinkRequest { device: device_name(&device), link };
            let about = repeat!(client.calls.preview_call_link, wanted, deadline);
            let creator = about.creator.as_ref();
            match globals.output {
                Output::Json => println!(
                    "{}",
                    json!({
                        "video": about.video,
                        "creator": render::json_person(creator),
                        "waitingRoom": about.waiting_room,
                        "admin": about.admin,
                    })
                ),
                Output::Table => {
                    let kind = if about.video { "video" } else { "voice" };
                    let room = if about.waiting_room { ", who comes waits to be let in" } else { "" };
                    let admin = if about.admin { ", this account lets them in" } else { "" };
                    println!("{kind} call of {}{room}{admin}", render::clean(&render::person(creator)));
                }
            }
        }
    }
    Ok(())
}
