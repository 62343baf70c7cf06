//! `roost device import`: a device that another library has paired, from that library's store into the cluster.
//!
//! What must hold: a dry run reaches neither the cluster nor WhatsApp and checks all that the node will check;
//! nothing secret is printed.

use std::error::Error as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

use super::{Globals, Output, device_name, render};
use crate::api::parse;
use crate::client::{Problem, request};
use crate::errors::ApiError;
use crate::import::{self, Found, From, ImportError, Library};

/// A large store takes longer than other calls.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is imported, and from where.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// `acme/shop` or its whole name. It must exist and be unpaired.
    device: String,
    /// The library that has paired it, and is stopped now.
    #[arg(long, value_enum)]
    from: Library,
    /// Its store: a file, a folder, or postgres://…
    source: String,
    /// Which device, where the store holds several: phone number, `number:device` or JID.
    #[arg(long)]
    phone: Option<String>,
    /// Only says what would be taken, and what not and why.
    #[arg(long)]
    dry_run: bool,
    /// The library is stopped for sure, whatever it looks like.
    #[arg(long)]
    stopped: bool,
    /// Takes it although it was imported into this cluster before. Keys of its ratchets that were used since are used again:
    /// others cannot read what is sent with them, and it is no secret any more.
    #[arg(long)]
    allow_again: bool,
}

pub(super) async fn run(args: ImportArgs, globals: &Globals) -> Result<(), Problem> {
    let ImportArgs { device, from: library, source, phone, dry_run, stopped, allow_again } = args;
    let from = From { library, place: source, phone, stopped };
    let found = import::read(&from).await.map_err(of_source)?;
    show(&found, globals.output);
    let mut parts = found.parts(&device_name(&device));
    if let Some(last) = parts.last_mut() {
        last.allow_again = allow_again;
    }
    for part in &parts {
        parse::imports::part(part).map_err(of_part)?;
    }
    if dry_run {
        return Ok(());
    }
    let deadline = Instant::now() + globals.timeout.max(PATIENCE);
    let client = globals.connect().await?;
    let taken = client.devices().import_device(request(tokio_stream::iter(parts), deadline)).await?;
    let taken = taken.into_inner();
    match globals.output {
        Output::Json => println!(
            "{}",
            json!({ "imported": { "ratchets": taken.ratchets, "identities": taken.identities,
                "lids": taken.lids, "prekeys": taken.prekeys,
                "sender_keys": taken.sender_keys, "tokens": taken.tokens } })
        ),
        Output::Table => {
            println!("Imported. If its library still runs, WhatsApp ends one of the two connections.")
        }
    }
    Ok(())
}

fn show(found: &Found, output: Output) {
    let credentials = &found.credentials;
    let counts = [
        ("ratchets", found.ratchets.len()),
        ("identity keys without a ratchet", found.identities.len()),
        ("LIDs of phone numbers", found.lids.len()),
        ("sender keys", found.sender_keys.len()),
        ("tokens of contacts", found.tokens.len()),
        ("prekeys", credentials.prekeys.len()),
        ("signed prekeys", usize::from(credentials.signed_prekey.is_some())),
    ];
    if output == Output::Json {
        let left =
            found.left.iter().map(|((what, why), count)| json!({ "what": what, "why": why, "count": count }));
        let report = json!({
            "source": credentials.source,
            "account": { "phone_number": credentials.phone_number, "lid": credentials.lid },
            "taken": counts.iter().map(|(what, count)| ((*what).to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "left": left.collect::<Vec<_>>(),
        });
        println!("{report}");
        return;
    }
    println!("{} of {}", credentials.phone_number, credentials.source);
    let mut rows: Vec<Vec<String>> = counts
        .iter()
        .map(|(what, count)| vec![(*what).to_owned(), count.to_string(), "taken".to_owned()])
        .collect();
    for ((what, why), count) in &found.left {
        rows.push(vec![(*what).to_owned(), count.to_string(), format!("left: {}", render::clean(why))]);
    }
    print!("{}", render::columns(&["WHAT", "COUNT", "AND"], &rows));
}

fn of_source(error: ImportError) -> Problem {
    let (code, reason) = match &error {
        ImportError::InUse(_) => (Code::FailedPrecondition, Some("SOURCE_IN_USE")),
        ImportError::Unknown(_) => (Code::FailedPrecondition, Some("SOURCE_SCHEMA_UNKNOWN")),
        ImportError::File { .. } | ImportError::Database(_) => (Code::Unavailable, Some("SOURCE_UNREADABLE")),
        ImportError::NoDevice(_) => (Code::NotFound, Some("SOURCE_HAS_NO_DEVICE")),
        ImportError::SeveralDevices(_) | ImportError::Malformed { .. } => (Code::InvalidArgument, None),
    };
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let message = format!("{error}{cause}");
    Problem { code, reason: reason.map(str::to_owned), message, fields: Vec::new(), retry: None }
}

fn of_part(error: ApiError) -> Problem {
    let fields = match &error {
        ApiError::InvalidField { field, why } => vec![(field.clone(), why.clone())],
        _ => Vec::new(),
    };
    Problem {
        code: error.code(),
        reason: Some(error.reason()),
        message: error.sentence(),
        fields,
        retry: None,
    }
}
