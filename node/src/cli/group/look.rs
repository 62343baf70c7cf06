//! What a group shows of itself, and for how long its messages stay.

use std::path::PathBuf;

use clap::Subcommand;
use roost_proto::api;
use serde_json::json;

use super::{Group, show};
use crate::cli::timer::Timer;
use crate::cli::{Globals, Output, device_name, media, render};
use crate::client::{Client, Problem, request};

/// What can be changed of the look of a group.
#[derive(Debug, Clone, Subcommand)]
pub enum LookCommand {
    /// Sets the description; without one there is none.
    Describe {
        #[command(flatten)]
        group: Group,
        /// What is said of it.
        #[arg(default_value = "")]
        text: String,
    },
    /// Sets after which time new messages disappear.
    Timer {
        #[command(flatten)]
        group: Group,
        /// How long they stay.
        #[arg(value_enum)]
        timer: Timer,
    },
    /// Sets the picture, or removes it.
    Picture {
        #[command(flatten)]
        group: Group,
        /// A JPEG of at most 512 KiB, square.
        #[arg(required_unless_present = "remove")]
        file: Option<PathBuf>,
        /// Removes it.
        #[arg(long, conflicts_with = "file")]
        remove: bool,
    },
}

pub(super) async fn run(command: LookCommand, client: &Client, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    let (Group { device, group }, change) = match command {
        LookCommand::Describe { group, text } => {
            (group, api::UpdateGroupRequest { description: Some(text), ..Default::default() })
        }
        LookCommand::Timer { group, timer } => {
            (group, api::UpdateGroupRequest { disappearing: Some(timer.into()), ..Default::default() })
        }
        LookCommand::Picture { group: Group { device, group }, file, remove: _ } => {
            let read = |path: PathBuf| std::fs::read(&path).map_err(|error| media::on_disk(&path, &error));
            let jpeg = file.map(read).transpose()?.unwrap_or_default();
            let wanted = api::SetGroupPictureRequest { device: device_name(&device), group, jpeg };
            let id = client.groups().set_group_picture(request(wanted, deadline)).await?.into_inner().id;
            match globals.output {
                Output::Json => println!("{}", json!({ "id": id })),
                Output::Table => println!("{}", render::clean(&id)),
            }
            return Ok(());
        }
    };
    let wanted = api::UpdateGroupRequest { device: device_name(&device), group, ..change };
    show(&[client.groups().update_group(request(wanted, deadline)).await?.into_inner()], globals.output);
    Ok(())
}
