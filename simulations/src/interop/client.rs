//! One real client: a driver process, its commands and what it says.
//!
//! What must hold: every event is kept, so that a test can count what came twice; a wait takes the first
//! event that fits, so that two waits never meet the same one; a dropped client is a killed process.

mod chats;
mod passkeys;
mod people;
mod posts;

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::event::{ClientEvent, ReceivedMessage, Said};
use super::tools::{baileys_driver, whatsapp_rust_driver, whatsmeow_driver};
use super::{Endpoint, InteropError, Library};

/// The longest that any step of a real client takes on a busy machine. Bounds a failure, delays no success.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events kept of one client; a driver that says more is broken.
const EVENT_LIMIT: usize = 100_000;

/// A running driver.
#[derive(Debug)]
pub struct RealClient {
    name: String,
    process: Child,
    commands: ChildStdin,
    said: Arc<Heard>,
    grown: watch::Receiver<()>,
    log: PathBuf,
    refs: u64,
}

impl RealClient {
    /// Starts a driver, building it first when necessary. `folder` keeps the device and the library's log
    /// under `name`; the same folder and name again are the same device.
    ///
    /// # Errors
    /// As the functions that build the drivers; `Os` when the process cannot be started; `Ended` or `Late`
    /// when it does not come up.
    pub async fn start(
        library: Library,
        name: &str,
        endpoint: &Endpoint,
        folder: &Path,
    ) -> Result<Self, InteropError> {
        let mut command = match library {
            Library::Whatsmeow => Command::new(whatsmeow_driver().await?),
            Library::WhatsappRust => {
                let mut driver = Command::new(whatsapp_rust_driver().await?);
                driver.args(["--name", name]);
                driver
            }
            Library::Baileys => {
                let mut node = Command::new("node");
                node.arg(baileys_driver().await?).args(["--name", name]);
                node
            }
        };
        let log = folder.join(format!("{name}.log"));
        let stderr = File::options().create(true).append(true).open(&log);
        let stderr = stderr.map_err(|source| InteropError::Os { what: log.display().to_string(), source })?;
        command
            .args(["--url", &endpoint.url, "--root", &hex::encode(endpoint.noise_root)])
            .arg("--ca")
            .arg(&endpoint.ca)
            .arg("--db")
            .arg(match (&endpoint.database, library) {
                (Some(url), Library::Whatsmeow) => PathBuf::from(url),
                _ => folder.join(format!("{name}.device")),
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true);
        let spawned = command.spawn();
        let mut process =
            spawned.map_err(|source| InteropError::Os { what: format!("starting {name}"), source })?;
        let commands = process.stdin.take().expect("standard input was asked for");
        let stdout = process.stdout.take().expect("standard output was asked for");
        let said = Arc::new(Heard::default());
        let (grow, grown) = watch::channel(());
        tokio::spawn(listen(stdout, Arc::clone(&said), grow));
        let mut client = Self { name: name.to_owned(), process, commands, said, grown, log, refs: 0 };
        client.wait("ready", |event| matches!(event, ClientEvent::Ready { .. })).await?;
        Ok(client)
    }

    /// The name that it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for a connection; does not wait for it.
    pub async fn connect(&mut self) -> Result<(), InteropError> {
        self.command(json!({ "cmd": "connect" })).await
    }

    /// Connects a stored device and waits until it is logged in. Returns its own JIDs: phone number, LID.
    pub async fn login(&mut self) -> Result<(String, String), InteropError> {
        self.connect().await?;
        self.logged_in().await
    }

    /// Waits until it is logged in. Returns its own JIDs: phone number, LID.
    pub async fn logged_in(&mut self) -> Result<(String, String), InteropError> {
        let is_connected = |event: &ClientEvent| matches!(event, ClientEvent::Connected { .. });
        match self.wait("connected", is_connected).await? {
            ClientEvent::Connected { pn, lid } => Ok((pn, lid)),
            _ => unreachable!("the wait took a connected event"),
        }
    }

    /// The next QR code.
    pub async fn qr(&mut self) -> Result<String, InteropError> {
        match self.wait("a QR code", |event| matches!(event, ClientEvent::Qr { .. })).await? {
            ClientEvent::Qr { code } => Ok(code),
            _ => unreachable!("the wait took a QR code"),
        }
    }

    /// Goes offline, keeps the device, and waits until that is so.
    pub async fn disconnect(&mut self) -> Result<(), InteropError> {
        self.command(json!({ "cmd": "disconnect" })).await?;
        self.disconnected("asked").await
    }

    /// Waits for the end of a connection for this reason.
    pub async fn disconnected(&mut self, why: &str) -> Result<(), InteropError> {
        let what = format!("disconnected ({why})");
        let fits =
            |event: &ClientEvent| matches!(event, ClientEvent::Disconnected { reason } if reason == why);
        self.wait(&what, fits).await.map(drop)
    }

    /// Sends a text to a JID and waits until the library says that it is sent. Returns the id.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn send(&mut self, to: &str, text: &str) -> Result<String, InteropError> {
        let what = format!("send {text:?} to {to}");
        match self.ask(&what, json!({ "cmd": "send", "to": to, "text": text })).await? {
            ClientEvent::Sent { id, .. } => Ok(id),
            other => unreachable!("only a send is answered with the ref of a send: {other:?}"),
        }
    }

    /// Sends a message of another kind: `text` is its text, `about` the id of the message that it is about.
    /// Returns its id.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn say(
        &mut self,
        to: &str,
        kind: &str,
        text: &str,
        about: &str,
    ) -> Result<String, InteropError> {
        let command = json!({ "cmd": "say", "to": to, "kind": kind, "text": text, "about": about });
        match self.ask(&format!("say {kind} {text:?} to {to}"), command).await? {
            ClientEvent::Sent { id, .. } => Ok(id),
            other => unreachable!("only a send is answered with the ref of a send: {other:?}"),
        }
    }

    /// Makes a group. Returns its JID.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn group(&mut self, subject: &str, members: &[String]) -> Result<String, InteropError> {
        let command = json!({ "cmd": "group", "subject": subject, "participants": members });
        match self.ask("make a group", command).await? {
            ClientEvent::Group { jid, .. } => Ok(jid),
            other => unreachable!("only a group is answered with the ref of a group: {other:?}"),
        }
    }

    /// Adds, removes, promotes or demotes members of a group.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn members(&mut self, group: &str, action: &str, who: &[String]) -> Result<(), InteropError> {
        let command = json!({ "cmd": "members", "group": group, "action": action, "participants": who });
        self.ask(&format!("{action} members"), command).await.map(drop)
    }

    /// Waits for something of this kind and text.
    pub async fn said(&mut self, kind: &str, text: &str) -> Result<Said, InteropError> {
        let what = format!("{kind} {text:?}");
        let fits = |event: &ClientEvent| matches!(event, ClientEvent::Said(said) if said.kind == kind && said.text == text);
        match self.wait(&what, fits).await? {
            ClientEvent::Said(said) => Ok(said),
            _ => unreachable!("the wait took what was said"),
        }
    }

    /// Waits for a received message with this text.
    pub async fn message(&mut self, text: &str) -> Result<ReceivedMessage, InteropError> {
        let what = format!("message {text:?}");
        let fits =
            |event: &ClientEvent| matches!(event, ClientEvent::Message(message) if message.text == text);
        match self.wait(&what, fits).await? {
            ClientEvent::Message(message) => Ok(message),
            _ => unreachable!("the wait took a message"),
        }
    }

    /// Waits for a receipt of this type for this id.
    pub async fn receipt(&mut self, id: &str, kind: &str) -> Result<(), InteropError> {
        let what = format!("receipt {kind} for {id}");
        let wanted = id.to_owned();
        let fits = |event: &ClientEvent| matches!(event, ClientEvent::Receipt { ids, r#type, .. } if r#type == kind && ids.contains(&wanted));
        self.wait(&what, fits).await.map(drop)
    }

    /// Marks received messages as read.
    pub async fn read(&mut self, message: &ReceivedMessage) -> Result<(), InteropError> {
        let (chat, sender, ids) = (&message.chat, &message.sender, [&message.id]);
        self.command(json!({ "cmd": "read", "chat": chat, "sender": sender, "ids": ids })).await
    }

    /// Every message so far, in order of arrival, whether a wait took it or not.
    pub fn messages(&self) -> Vec<ReceivedMessage> {
        let log = self.said.lock();
        let message = |event: &ClientEvent| match event {
            ClientEvent::Message(message) => Some(message.clone()),
            _ => None,
        };
        log.all.iter().filter_map(message).collect()
    }

    /// Everything that it has said so far, in order, whether a wait took it or not.
    pub fn events(&self) -> Vec<ClientEvent> {
        self.said.lock().all.clone()
    }

    /// Takes the first event that fits, one that was said before or the next that comes.
    ///
    /// # Errors
    /// `Late` after a minute, `Ended` when the driver is gone; both tell what it said last.
    pub async fn wait(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&ClientEvent) -> bool,
    ) -> Result<ClientEvent, InteropError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.grown.mark_unchanged();
            let ended = {
                let mut log = self.said.lock();
                if let Some(at) = log.fresh.iter().position(&mut fits) {
                    return Ok(log.fresh.remove(at).expect("the position was found under the same lock"));
                }
                log.ended
            };
            let (client, what) = (self.name.clone(), what.to_owned());
            if ended {
                return Err(InteropError::Ended { client, what, seen: self.last_words() });
            }
            match timeout_at(deadline, self.grown.changed()).await {
                // A closed channel: the listener has noted the end.
                Ok(_) => {}
                Err(_) => {
                    return Err(InteropError::Late {
                        client,
                        what,
                        within: PATIENCE,
                        seen: self.last_words(),
                    });
                }
            }
        }
    }

    /// Writes one command line.
    ///
    /// # Errors
    /// `Os` when the driver is gone.
    pub async fn command(&mut self, command: serde_json::Value) -> Result<(), InteropError> {
        let line = format!("{command}\n");
        let written = self.commands.write_all(line.as_bytes()).await;
        written.map_err(|source| InteropError::Os { what: format!("a command for {}", self.name), source })
    }

    /// Ends the driver in order, and waits for its end.
    ///
    /// # Errors
    /// `Late` when it does not end within a minute.
    pub async fn quit(mut self) -> Result<(), InteropError> {
        // A driver that is gone has nothing left to end.
        let _ = self.command(json!({ "cmd": "quit" })).await;
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let (client, what) = (self.name.clone(), "its end".to_owned());
                Err(InteropError::Late { client, what, within: PATIENCE, seen: self.last_words() })
            }
        }
    }

    /// A command that is answered by an event, or by an error, with the same ref.
    pub(super) async fn ask(
        &mut self,
        what: &str,
        mut command: serde_json::Value,
    ) -> Result<ClientEvent, InteropError> {
        self.refs += 1;
        let wanted = self.refs.to_string();
        command["ref"] = json!(wanted);
        self.command(command).await?;
        let answers = |event: &ClientEvent| match event {
            ClientEvent::Sent { r#ref, .. }
            | ClientEvent::Changed { r#ref }
            | ClientEvent::Group { r#ref, .. }
            | ClientEvent::Answer { r#ref, .. }
            | ClientEvent::Recoded { r#ref, .. }
            | ClientEvent::Error { r#ref, .. } => *r#ref == wanted,
            _ => false,
        };
        match self.wait(what, answers).await? {
            ClientEvent::Error { message, .. } => {
                Err(InteropError::Refused { client: self.name.clone(), what: what.to_owned(), message })
            }
            event => Ok(event),
        }
    }

    fn last_words(&self) -> String {
        let log = self.said.lock();
        let start = log.all.len().saturating_sub(12);
        let events: Vec<String> = log.all[start..].iter().map(|event| format!("  {event:?}")).collect();
        let stderr = std::fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(3000)..]).into_owned();
        let broken = log.broken.as_deref().unwrap_or("");
        format!("{}\n{broken}and wrote to its log:\n{end}", events.join("\n"))
    }
}

#[derive(Debug, Default)]
struct Heard(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    /// Everything but stanzas, in order.
    all: Vec<ClientEvent>,
    /// What no wait has taken yet.
    fresh: VecDeque<ClientEvent>,
    /// A line that is not an event.
    broken: Option<String>,
    ended: bool,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(stdout: ChildStdout, said: Arc<Heard>, grow: watch::Sender<()>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = said.lock();
        match serde_json::from_str::<ClientEvent>(&line) {
            Ok(event) if log.all.len() < EVENT_LIMIT => {
                // Stanzas are answers of megabytes that nobody looks at twice.
                if !matches!(event, ClientEvent::Recoded { .. }) {
                    log.all.push(event.clone());
                }
                log.fresh.push_back(event);
            }
            Ok(_) => break,
            Err(error) => {
                log.broken = Some(format!("a line that is no event ({error}): {line}\n"));
                break;
            }
        }
        drop(log);
        // The receiver lives as long as the client; without it nobody waits.
        let _ = grow.send(());
    }
    said.lock().ended = true;
}
