//! Programs that know nothing of Roost, as child processes: whatsmeow, Baileys and whatsapp-rust through their
//! drivers, and a gRPC client in Python.
//!
//! What must hold: a library here is unmodified and at a pinned version; a missing tool is an error that names
//! it, never a skipped test; every wait has a bound and says what was seen; no process outlives its handle.
//! What the lines between us and a driver mean stands in `simulations/interop/README.md`.

mod cast;
mod client;
mod cluster;
mod event;
mod files;
mod matrix;
mod mortal;
mod reader;
mod recode;
mod stage;
mod tools;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wa::SimServer;

pub use cast::Cast;
pub use client::RealClient;
pub use cluster::{Cluster, Victim};
pub use event::{ClientEvent, ReceivedFile, ReceivedMessage, Said, Shown};
pub use files::{fetch, upload};
pub use matrix::{CLIENTS, Matrix, Row, Way};
pub use reader::Reader;
pub use stage::{Failure, Person, Stage};
pub use tools::{baileys_driver, python, whatsapp_rust_driver, whatsmeow_driver};
pub use trouble::Trouble;

/// Which real client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    /// The Go library.
    Whatsmeow,
    /// The Node.js library.
    Baileys,
    /// The Rust library.
    WhatsappRust,
}

impl Library {
    /// As its authors write it.
    pub fn name(self) -> &'static str {
        match self {
            Library::Whatsmeow => "whatsmeow",
            Library::Baileys => "Baileys",
            Library::WhatsappRust => "whatsapp-rust",
        }
    }
}

/// Where a real client finds the simulated WhatsApp, and what it must trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `wss://host:port`.
    pub url: String,
    /// PEM file with the authority behind the simulator's TLS certificate, which covers `web.whatsapp.com`.
    pub ca: PathBuf,
    /// Public root key of the certificates inside the Noise handshake.
    pub noise_root: [u8; 32],
    /// The PostgreSQL database (`postgres://…`) where whatsmeow keeps its one device, instead of in a file.
    pub database: Option<String>,
}

impl Endpoint {
    /// Of this simulated WhatsApp; its certificate goes into the folder.
    ///
    /// # Errors
    /// Those of writing that file.
    pub fn of(sim: &SimServer, folder: &Path) -> std::io::Result<Endpoint> {
        let ca = folder.join("whatsapp-ca.pem");
        std::fs::write(&ca, sim.ca_pem())?;
        Ok(Endpoint { url: sim.url(), ca, noise_root: sim.root(), database: None })
    }
}

/// What went wrong with a foreign program.
#[derive(Debug, thiserror::Error)]
pub enum InteropError {
    /// The machine lacks a tool, or has it too old.
    #[error("{tool} {need} is needed, {found}; `.ci/test` installs it")]
    MissingTool {
        /// Its name.
        tool: &'static str,
        /// The version that is needed.
        need: &'static str,
        /// What is there instead, in words.
        found: String,
    },
    /// A driver could not be built, or its libraries could not be fetched.
    #[error("{what} failed:\n{output}")]
    Build {
        /// The step.
        what: &'static str,
        /// The end of what the tool said.
        output: String,
    },
    /// The operating system refused a file or a process.
    #[error("{what}")]
    Os {
        /// What we wanted.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
    /// What a test waits for did not come in time.
    #[error("{client} did not say {what} within {within:?}; it said last:\n{seen}")]
    Late {
        /// Who.
        client: String,
        /// What was expected.
        what: String,
        /// The bound.
        within: Duration,
        /// The last events and the end of the log.
        seen: String,
    },
    /// The program ended while something was expected of it.
    #[error("{client} ended before it said {what}; it said last:\n{seen}")]
    Ended {
        /// Who.
        client: String,
        /// What was expected.
        what: String,
        /// The last events and the end of the log.
        seen: String,
    },
    /// The library refused a command.
    #[error("{client} could not {what}: {message}")]
    Refused {
        /// Who.
        client: String,
        /// Which command.
        what: String,
        /// The library's words.
        message: String,
    },
}
