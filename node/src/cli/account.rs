//! `roost account …`: what the account of a device shows of itself.

mod privacy;
mod records;

use std::path::PathBuf;

use clap::Subcommand;
use roost_proto::api;
use serde_json::json;

use super::push::{self, PushCommand};
use super::{Globals, Output, device_name, media, render};
use crate::client::Problem;

/// What can be set.
#[derive(Debug, Clone, Subcommand)]
pub enum AccountCommand {
    /// Sets the name that others see.
    Name {
        /// `acme/shop` or its whole name.
        device: String,
        /// 1 to 100 characters.
        name: String,
    },
    /// Sets the about text; without one there is none.
    About {
        /// `acme/shop` or its whole name.
        device: String,
        /// At most 139 characters.
        #[arg(default_value = "")]
        text: String,
    },
    /// Sets the profile picture, or removes it.
    Picture {
        /// `acme/shop` or its whole name.
        device: String,
        /// A JPEG of at most 512 KiB, square.
        #[arg(required_unless_present = "remove")]
        file: Option<PathBuf>,
        /// Removes it.
        #[arg(long, conflicts_with = "file")]
        remove: bool,
    },
    /// Has WhatsApp tell a push service when something comes while the device is not connected.
    #[command(subcommand)]
    Push(PushCommand),
    #[command(flatten)]
    Privacy(privacy::PrivacyCommand),
    #[command(flatten)]
    Record(records::RecordCommand),
}

pub(super) async fn run(command: AccountCommand, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    // Each says how it shall be, so it may be said again.
    match command {
        AccountCommand::Name { device, name } => {
            let wanted = api::SetPushNameRequest { parent: device_name(&device), push_name: name };
            repeat!(client.settings.set_push_name, wanted, deadline);
        }
        AccountCommand::About { device, text } => {
            let wanted = api::SetAboutRequest { device: device_name(&device), text };
            repeat!(client.accounts.set_about, wanted, deadline);
        }
        AccountCommand::Push(command) => push::run(command, globals).await?,
        AccountCommand::Picture { device, file, remove: _ } => {
            let read = |path: PathBuf| std::fs::read(&path).map_err(|error| media::on_disk(&path, &error));
            let jpeg = file.map(read).transpose()?.unwrap_or_default();
            let wanted = api::SetProfilePictureRequest { device: device_name(&device), jpeg };
            let id = repeat!(client.accounts.set_profile_picture, wanted, deadline).id;
            match globals.output {
                Output::Json => println!("{}", json!({ "id": id })),
                Output::Table => println!("{}", render::clean(&id)),
            }
        }
        AccountCommand::Privacy(command) => privacy::run(command, &client, globals).await?,
        AccountCommand::Record(command) => records::run(command, &client, globals).await?,
    }
    Ok(())
}
