//! Drives an unmodified whatsapp-rust client by JSON lines: commands on standard input, events on standard
//! output, the library's own log on standard error. `../README.md` describes the lines.
//!
//! The library's root key of the Noise certificates is a constant, so its features that skip that check and
//! the one of TLS are on here, in a build of its own: cargo would unify them into a product beside it.

mod beside;
mod business;
mod calls;
mod chats;
mod details;
mod driver;
mod events;
mod files;
mod flags;
mod groups;
mod http;
mod kinds;
mod log;
mod newsletters;
mod passkeys;
mod people;
mod shop;

use std::sync::Arc;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::driver::Driver;
use crate::events::{Emitter, Said};
use crate::flags::Flags;

/// A command line. Which fields count depends on `cmd`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Command {
    cmd: String,
    r#ref: String,
    to: String,
    kind: String,
    text: String,
    about: String,
    phone: String,
    chat: String,
    sender: String,
    ids: Vec<String>,
    subject: String,
    participants: Vec<String>,
    group: String,
    action: String,
    what: String,
    on: bool,
    people: Vec<String>,
    path: String,
    mime: String,
}

#[tokio::main]
async fn main() {
    let said = Emitter::default();
    if let Err(error) = run(said.clone()).await {
        said.emit(Said::Error { r#ref: "", message: error.to_string() });
        std::process::exit(1);
    }
}

async fn run(said: Emitter) -> anyhow::Result<()> {
    let flags = Flags::parse(std::env::args().skip(1))?;
    log::start(&flags.log);
    let driver = Arc::new(Driver::open(&flags, said.clone()).await?);
    said.emit(Said::Ready { client: "whatsapp-rust" });
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<Command>(&line) {
            Ok(command) if command.cmd == "quit" => break,
            Ok(command) => driver.run(command).await,
            Err(error) => said.emit(Said::Error { r#ref: "", message: error.to_string() }),
        }
    }
    driver.stop().await;
    Ok(())
}
