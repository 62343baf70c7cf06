//! How to run a simulated WhatsApp.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How to run a simulated WhatsApp.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Where to listen; port 0 chooses one.
    pub listen: SocketAddr,
    /// Seed of all its randomness; from the system when absent. With one seed, runs have the same keys.
    pub seed: Option<u64>,
    /// Whether phones decrypt what they get (and answer it). Off, a server carries more load.
    pub phones_read: bool,
    /// Whether the phone of each new account shares keys of app state with its companions, and a history that
    /// is empty.
    pub phones_share: bool,
    /// Where to write `ca.pem` and `root.hex` for clients.
    pub directory: Option<PathBuf>,
    /// Where to keep accounts, devices and keys across restarts.
    pub state: Option<PathBuf>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: None,
            phones_read: true,
            phones_share: false,
            directory: None,
            state: None,
        }
    }
}
