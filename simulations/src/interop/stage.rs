//! A simulated WhatsApp with real clients on it: what a test of them stands on.
//!
//! Everything lives in one temporary folder and ends with the stage. It pairs as a person would: the client
//! shows a code, the phone scans it.

use std::fmt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::cluster::{LOOK, PATIENCE};
use super::{Endpoint, InteropError, Library, RealClient};
use crate::wa::{Pn, Scanner, SimOptions, SimServer};

/// Why a test failed, printed with all causes and with real line breaks.
pub struct Failure(String);

impl Failure {
    /// A failure in words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether its text has these words: a code, a reason.
    pub fn says(&self, words: &str) -> bool {
        self.0.contains(words)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(&format!("\nbecause: {inner}"));
            cause = inner.source();
        }
        Self(text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody with a phone, on the simulated WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The phone number, digits.
    pub pn: Pn,
    /// The user part of the hidden identity.
    pub lid: String,
}

impl Person {
    /// Address by phone number.
    pub fn number_jid(&self) -> String {
        format!("{}@s.whatsapp.net", self.pn)
    }

    /// Address by hidden identity.
    pub fn lid_jid(&self) -> String {
        format!("{}@lid", self.lid)
    }

    /// The first companion of the phone, as faults name it.
    pub fn first_device(&self) -> String {
        format!("{}:1", self.pn)
    }
}

/// The simulated WhatsApp and the folder of its clients.
pub struct Stage {
    /// The server.
    pub sim: SimServer,
    endpoint: Endpoint,
    folder: TempDir,
}

impl Stage {
    /// Starts a simulated WhatsApp on a free port.
    pub async fn set() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("roost-interop-").tempdir()?;
        let sim = SimServer::start(SimOptions::default()).await?;
        let endpoint = Endpoint::of(&sim, folder.path())?;
        Ok(Self { sim, endpoint, folder })
    }

    /// The whatsmeow client of this stage keeps its device in this PostgreSQL database.
    pub fn keep_device_in(&mut self, url: &str) {
        self.endpoint.database = Some(url.to_owned());
    }

    /// A phone with an account of this name; made when it is new.
    pub fn person(&self, name: &str) -> Person {
        let pn = self.sim.account(None, Some(name));
        let lid = self.sim.look(|machine| machine.accounts().get(&pn).map(|account| account.lid.clone()));
        Person { pn, lid: lid.expect("the account was made above") }
    }

    /// The phone scans a code.
    pub fn scan(&self, code: &str, person: &Person) -> Result<(), Failure> {
        self.sim.scan(code, &Scanner { pn: Some(person.pn), name: None })?;
        Ok(())
    }

    /// Message keys that were seen with two ciphertexts: the fault that must never occur.
    pub fn key_reuse(&self) -> Vec<String> {
        self.sim.ledger(|ledger| ledger.key_reuses().iter().map(|reuse| format!("{reuse:?}")).collect())
    }

    /// Where clients keep what they keep.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A store in a file of this stage, as a URL.
    pub fn sqlite(&self) -> String {
        format!("sqlite://{}", self.folder().join("roost.db").display())
    }

    /// Where the simulated WhatsApp's certificate authority is written.
    pub fn ca(&self) -> &PathBuf {
        &self.endpoint.ca
    }

    /// Waits until this is so.
    ///
    /// # Errors
    /// It was not within the patience of a caller.
    pub async fn until(&self, what: &str, mut is: impl FnMut() -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("no {what} within {PATIENCE:?}")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts a client under a name; the same name again is the same device.
    pub async fn client(&self, library: Library, name: &str) -> Result<RealClient, InteropError> {
        RealClient::start(library, name, &self.endpoint, self.folder.path()).await
    }

    /// Starts a client and links it to the person's phone. Returns it logged in.
    pub async fn paired(&self, library: Library, name: &str, person: &Person) -> Result<RealClient, Failure> {
        // It waits ten seconds for the keys that a real phone shares at once.
        if library == Library::WhatsappRust && !self.sim.look(|machine| machine.phone_shares(person.pn)) {
            self.sim.phone_remembers(person.pn, Vec::new())?;
        }
        let mut client = self.client(library, name).await?;
        client.connect().await?;
        let code = client.qr().await?;
        self.scan(&code, person)?;
        client.logged_in().await?;
        Ok(client)
    }
}
