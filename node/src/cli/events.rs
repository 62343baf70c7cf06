//! `roost events tail`: reads the log of a tenant or a device and, when told, goes on for ever.
//!
//! What must hold: a broken stream is opened anew at the cursor that came last, so that nothing is
//! left out and nothing is printed twice.

use std::time::Duration;

use clap::Subcommand;
use roost_proto::api;
use tonic::Request;

use super::{Globals, Output, device_name, render, tenant_name};
use crate::client::Problem;

/// What can be done with events.
#[derive(Debug, Clone, Subcommand)]
pub enum EventsCommand {
    /// Prints events in order.
    Tail {
        /// `acme`, `acme/shop`, or a whole name.
        of: String,
        /// Where to go on: a cursor that this command or the API gave.
        #[arg(long, default_value = "")]
        cursor: String,
        /// Do not end at the end of the log.
        #[arg(short, long)]
        follow: bool,
        /// End after so many events; 0 means no limit.
        #[arg(long, default_value_t = 0)]
        limit: i32,
    },
}

pub(super) async fn run(command: EventsCommand, globals: &Globals) -> Result<(), Problem> {
    let EventsCommand::Tail { of, mut cursor, follow, limit } = command;
    let parent = match of.contains('/') && !is_whole_tenant(&of) {
        true => device_name(&of),
        false => tenant_name(&of),
    };
    let mut left = limit;
    loop {
        let wanted =
            api::ReadEventsRequest { parent: parent.clone(), cursor: cursor.clone(), follow, limit: left };
        match read(wanted, globals, &mut cursor, &mut left, limit > 0).await {
            Ok(()) => break,
            Err(problem) if follow && problem.is_broken_stream() => {
                eprintln!("{problem}; going on");
                tokio::time::sleep(problem.retry.unwrap_or(Duration::from_secs(1))).await;
            }
            Err(problem) => return Err(problem),
        }
    }
    if !cursor.is_empty() {
        eprintln!("cursor {cursor}");
    }
    Ok(())
}

async fn read(
    wanted: api::ReadEventsRequest,
    globals: &Globals,
    cursor: &mut String,
    left: &mut i32,
    limited: bool,
) -> Result<(), Problem> {
    let client = globals.connect().await?;
    let mut stream = client.events().read_events(Request::new(wanted)).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        for event in &answer.events {
            match globals.output {
                Output::Json => println!("{}", render::event(event)),
                Output::Table => println!("{}", render::event_line(event)),
            }
        }
        *cursor = answer.cursor;
        if limited {
            *left = left.saturating_sub(i32::try_from(answer.events.len()).unwrap_or(i32::MAX)).max(0);
            if *left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_whole_tenant(name: &str) -> bool {
    name.starts_with("tenants/") && name.matches('/').count() == 1
}
