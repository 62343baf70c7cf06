//! Files of WhatsApp that the device itself reads: asked for by what needs them, fetched by the shell.
//!
//! What must hold: whoever wants a file hears of it once; the hosts are asked for first, and remembered for as
//! long as WhatsApp said. Nothing of this is stored: who still needs a file after a restart wants it again, and what
//! was to be deleted stays until WhatsApp's time for it is over.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::ask::Question as _;
use roost_proto::ask::media::{MediaHosts, WhereMediaGoes};
use roost_proto::history::{Outline, Position, Slice};
use roost_proto::media::File;
use roost_proto::stanza::{Stanza, iq};

use super::requests::Asked;
use super::{Effect, Machine};
use crate::port::{FileError, Unneeded};

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetching {
    /// A piece of history: what is in it, and from then on its messages.
    History(Box<File>),
    /// Messages of the piece that was fetched last, from this place.
    Slice(Position),
    /// A whole file.
    Whole(Box<File>),
}

/// What has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// [`Fetching::History`].
    History(Box<Outline>),
    /// [`Fetching::Slice`].
    Slice(Slice),
    /// [`Fetching::Whole`].
    Whole(Bytes),
}

/// Who wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wants {
    /// The piece of history of this name.
    History(String),
    /// The collection of app state that is being followed.
    AppState,
}

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Where files are, and until when that is good.
    hosts: Option<(MediaHosts, BootTime)>,
    /// The hosts are being asked for.
    asked: bool,
    /// Wait for the hosts.
    waiting: Vec<(Fetching, Wants)>,
    /// The same: what is to be deleted.
    unneeded: Vec<Unneeded>,
    coming: BTreeMap<u64, Wants>,
}

impl Machine {
    /// Fetches a file, or something of it. The device must be online.
    pub(super) fn fetch_file(&mut self, what: Fetching, wants: Wants) {
        let hosts = match (&what, self.known_hosts()) {
            (Fetching::Slice(_), _) => Vec::new(),
            (_, Some(known)) => known.hosts.clone(),
            (_, None) => {
                self.files.waiting.push((what, wants));
                return self.ask_for_hosts();
            }
        };
        self.begin_fetching(what, wants, hosts);
    }

    /// Has a file deleted, if that can be done now.
    pub(super) fn delete_file(&mut self, file: Box<Unneeded>) {
        if let Some(hosts) = self.known_hosts().cloned() {
            self.effects.push(Effect::Delete { hosts, file });
        } else if self.connection.online().is_some() {
            self.files.unneeded.push(*file);
            self.ask_for_hosts();
        }
    }

    fn known_hosts(&self) -> Option<&MediaHosts> {
        self.files.hosts.as_ref().filter(|(_, until)| self.now.boot < *until).map(|(hosts, _)| hosts)
    }

    fn ask_for_hosts(&mut self) {
        if !std::mem::replace(&mut self.files.asked, true) {
            self.request(Asked::MediaHosts, |id| {
                let inside = roost_proto::stanza::Builder::new("media_conn").build();
                iq::set(id, "w:m").children([inside])
            });
        }
    }

    fn begin_fetching(&mut self, what: Fetching, wants: Wants, hosts: Vec<String>) {
        let token = self.token();
        self.files.coming.insert(token, wants);
        self.effects.push(Effect::Fetch { token, hosts, what });
    }

    /// Where files are. When WhatsApp does not say it they are looked for where they usually are.
    pub(super) fn on_media_hosts(&mut self, outcome: Result<Stanza, u16>) {
        let (waiting, unneeded) =
            (std::mem::take(&mut self.files.waiting), std::mem::take(&mut self.files.unneeded));
        self.files.asked = false;
        if outcome.as_ref().is_err_and(|code| *code == 0) {
            let lost = || Err(FileError::Unavailable("the connection is lost".to_owned()));
            return waiting.into_iter().for_each(|(_, wants)| self.file_came(wants, lost()));
        }
        let told = outcome.ok().and_then(|answer| WhereMediaGoes.read(&answer).ok());
        if let Some(hosts) = &told {
            self.files.hosts = Some((hosts.clone(), self.now.boot.plus(hosts.ttl)));
            let delete = |file| Effect::Delete { hosts: hosts.clone(), file: Box::new(file) };
            self.effects.extend(unneeded.into_iter().map(delete));
        }
        let hosts = told.map(|told| told.hosts).unwrap_or_default();
        for (what, wants) in waiting {
            self.begin_fetching(what, wants, hosts.clone());
        }
    }

    pub(super) fn on_fetched(&mut self, token: u64, outcome: Result<Fetched, FileError>) {
        if let Some(wants) = self.files.coming.remove(&token) {
            self.file_came(wants, outcome);
        }
    }

    fn file_came(&mut self, wants: Wants, outcome: Result<Fetched, FileError>) {
        match wants {
            Wants::History(name) => self.on_history_file(&name, outcome),
            Wants::AppState => self.on_app_state_file(outcome),
        }
    }
}
