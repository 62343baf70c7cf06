//! `roost message …`: messages that were accepted.

use std::time::Duration;

use clap::Subcommand;
use roost_proto::api;
use tonic::Request;

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
    /// Follows a message from state to state, until none comes after.
    Watch {
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
        MessageCommand::Watch { name } => return watch(&name, globals).await,
        MessageCommand::Show { name } => {
            repeat!(client.messages.get_message, api::GetMessageRequest { name }, deadline)
        }
        MessageCommand::Cancel { name } => {
            repeat!(client.messages.cancel_message, api::CancelMessageRequest { name }, deadline)
        }
    };
    show(message, globals.output);
    Ok(())
}

fn show(message: api::Message, output: Output) {
    match output {
        Output::Json => println!("{}", render::message(&message)),
        Output::Table => print!("{}", render::messages(&[message])),
    }
}

/// Prints a message as often as it changes. A stream that breaks is opened anew, and what it begins with is not said again.
async fn watch(name: &str, globals: &Globals) -> Result<(), Problem> {
    let mut last = None;
    loop {
        match follow(name, globals, &mut last).await {
            Err(problem) if problem.is_broken_stream() => {
                eprintln!("{problem}; going on");
                tokio::time::sleep(problem.retry.unwrap_or(Duration::from_secs(1))).await;
            }
            done => return done,
        }
    }
}

async fn follow(name: &str, globals: &Globals, last: &mut Option<api::Message>) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let wanted = api::WatchMessageRequest { name: name.to_owned() };
    let mut stream = client.messages().watch_message(Request::new(wanted)).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if last.replace(message.clone()).as_ref() != Some(&message) {
            show(message, globals.output);
        }
    }
    Ok(())
}
