//! `roost protocol …`: the version of WhatsApp Web that devices log in with.

use clap::Subcommand;
use roost_proto::api::{self, set_protocol_version_request as wanted};
use roost_proto::version::ProtocolVersion;
use serde_json::json;

mod latest;

use super::{Globals, Output, device_name, render};
use crate::client::{Problem, request, retrying};

/// What can be done with the version.
#[derive(Debug, Clone, Subcommand)]
pub enum ProtocolCommand {
    /// Shows what is chosen.
    Get,
    /// Asks WhatsApp Web for its present version and shows it beside what is chosen; chooses nothing.
    Latest(latest::LatestArgs),
    /// Chooses a version for all devices. Those that WhatsApp has refused because of theirs log in again.
    Set {
        /// As 2.3000.1045649367; `built-in` for the one that this program was written against.
        version: String,
    },
    /// Lets some devices log in with a version first.
    Canary {
        /// As 2.3000.1045649367; `off` when none shall any more.
        version: String,
        /// So many of a hundred devices, always the same ones.
        #[arg(long, default_value_t = 0)]
        percent: u32,
        /// A device, as `acme/shop` or its whole name; may be given more than once.
        #[arg(long = "device")]
        devices: Vec<String>,
    },
}

pub(super) async fn run(command: ProtocolCommand, globals: &Globals) -> Result<(), Problem> {
    let deadline = globals.deadline();
    let change = match command {
        ProtocolCommand::Get => {
            show(None, &chosen(globals).await?, globals.output);
            return Ok(());
        }
        ProtocolCommand::Latest(args) => {
            let found = latest::ask(&args, deadline).await?;
            show(Some(found), &chosen(globals).await?, globals.output);
            return Ok(());
        }
        ProtocolCommand::Set { version } => {
            let version = if version == "built-in" { String::new() } else { version };
            api::SetProtocolVersionRequest { version, canary: None }
        }
        ProtocolCommand::Canary { version, percent, devices } => {
            let version = if version == "off" { String::new() } else { version };
            let devices = devices.iter().map(|name| device_name(name)).collect();
            api::SetProtocolVersionRequest { version, canary: Some(wanted::Canary { percent, devices }) }
        }
    };
    let client = globals.connect().await?;
    // To choose the same again changes nothing, so a lost answer may be asked for again.
    let chosen = retrying(deadline, || {
        let (mut cluster, wanted) = (client.cluster(), request(change.clone(), deadline));
        async move { cluster.set_protocol_version(wanted).await }
    });
    show(None, &chosen.await?, globals.output);
    Ok(())
}

/// What is chosen now.
async fn chosen(globals: &Globals) -> Result<api::ProtocolVersion, Problem> {
    let client = globals.connect().await?;
    let deadline = globals.deadline();
    let asked = retrying(deadline, || {
        let mut cluster = client.cluster();
        let wanted = request(api::GetProtocolVersionRequest {}, deadline);
        async move { cluster.get_protocol_version(wanted).await }
    });
    asked.await
}

fn show(latest: Option<ProtocolVersion>, chosen: &api::ProtocolVersion, output: Output) {
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "latest": latest.map(|latest| latest.to_string()),
                "stable": chosen.stable,
                "builtIn": chosen.built_in,
                "canary": chosen.canary,
                "canaryPercent": chosen.canary_percent,
                "canaryDevices": chosen.canary_devices,
                "changeTime": chosen.change_time.as_ref().map(|at| render::time(Some(at))),
            })
        ),
        Output::Table => {
            if let Some(latest) = latest {
                println!("latest  {latest}");
            }
            let built_in = format!("{} (built in)", chosen.built_in);
            println!("stable  {}", if chosen.stable.is_empty() { &built_in } else { &chosen.stable });
            if !chosen.canary.is_empty() {
                println!("canary  {} for {} of 100 devices", chosen.canary, chosen.canary_percent);
                chosen.canary_devices.iter().for_each(|name| println!("        {name}"));
            }
        }
    }
}
