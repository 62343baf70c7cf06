//! `roost sim-server`: a simulated WhatsApp as a process of its own, to try Roost without a phone.

use std::net::SocketAddr;
use std::path::PathBuf;

use roost_node::config::TelemetryConfig;
use roost_node::telemetry::{self, Targets};

use crate::wa::{SimOptions, SimServer, StartError};

/// What the command line says.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 chooses one.
    #[arg(long, env = "ROOST_SIM_LISTEN", default_value = "127.0.0.1:18443")]
    pub listen: SocketAddr,
    /// Folder for `ca.pem` and `root.hex`, which clients must trust.
    #[arg(long, env = "ROOST_SIM_DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// File that keeps accounts and devices across restarts.
    #[arg(long, env = "ROOST_SIM_STATE")]
    pub state: Option<PathBuf>,
    /// Seed of all randomness; from the system when absent.
    #[arg(long, env = "ROOST_SIM_SEED")]
    pub seed: Option<u64>,
    /// Phones take messages without reading them and share nothing, which leaves more of the machine for devices.
    #[arg(long, env = "ROOST_SIM_BLIND_PHONES")]
    pub blind_phones: bool,
    /// What is logged on standard error: a level, or targets with levels. `info` says of whatever is refused why.
    #[arg(long, env = "ROOST_SIM_LOG_LEVEL", default_value = "info")]
    pub log_level: Targets,
}

/// Serves until the process is told to end (interrupt or termination).
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn run(args: Args) -> Result<(), StartError> {
    telemetry::install(&TelemetryConfig { json: false, level: args.log_level });
    roost_node::descriptors::raise_limit();
    let server = SimServer::start(SimOptions {
        listen: args.listen,
        seed: args.seed,
        phones_read: !args.blind_phones,
        phones_share: !args.blind_phones,
        directory: args.directory,
        state: args.state,
    })
    .await?;
    println!("{}", serde_json::json!({ "url": server.url(), "root": server.root_hex() }));
    told_to_end().await;
    server.stop().await;
    Ok(())
}

async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without a handler the default action ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
