//! `roost message …`: messages that were accepted.

use clap::Subcommand;
use roost_proto::api;

use super::{Globals, Output, render};
use crate::client::Problem;

/// What can be done with messages.
#[derive(Debug, Clone, Subcommand)]
pub enum MessageCommand {
    /// Says how a message stands.
    Show {
        /// Its whole name, as `roost send` prints it.
        name: String,
    },
    /// Takes a message back that is not encrypted yet. What receivers have is taken back with `roost send revoke`.
    Cancel {
        /// Its whole name, as `roost send` prints it.
        name: String,
    },
}

pub(super) async fn run(command: MessageCommand, globals: &Globals) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    let message = match command {
        MessageCommand::Show { name } => {
            repeat!(client.messages.get_message, api::GetMessageRequest { name }, deadline)
        }
        MessageCommand::Cancel { name } => {
            repeat!(client.messages.cancel_message, api::CancelMessageRequest { name }, deadline)
        }
    };
    match globals.output {
        Output::Json => println!("{}", render::message(&message)),
        Output::Table => print!("{}", render::messages(&[message])),
    }
    Ok(())
}
