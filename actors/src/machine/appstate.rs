//! App state: keeping our copies of the five collections in step with WhatsApp, and changing them for callers.
//!
//! What must hold: the copy of a collection, the events of what changed and the pages that crypto wrote are
//! one commit. One thing is done at a time, and only while the device is online; it waits for messages, never
//! they for it. A change is answered when WhatsApp has taken it and that is durable; who never hears an
//! answer may ask for the same change again, because a change says how things shall be, not by how much. A copy
//! that does not verify is read anew from the beginning, and an event says so; when that does not verify either, the phone
//! is asked for what it has.

mod events;
mod steps;
mod stored;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::appstate::{Action, Collection, Key, Recovery};
use roost_proto::phone::PeerMessage;
use roost_proto::stanza::{Read, Stanza};

use super::commit::Pending;
use super::crypto::Purpose;
use super::timer::Timer;
use super::{CryptoRequest, Effect, Machine, Reply};
use crate::device::CommandError;
use crate::port::{StateKey, StateKind};
use stored::Copy;

pub(super) use events::{millis, timestamp};
pub(super) use steps::AppliedThen;
pub use work::{AppliedPatches, Work, Worked};

/// Changes of callers that wait; more are refused as busy.
const WAITING: usize = 32;
/// How often one change is tried on top of what others changed meanwhile.
const CONFLICTS: u32 = 5;
/// The most patches that are applied in one commit.
const PATCHES: usize = 64;
/// First and longest pause after a collection could not be read.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// Keys for which one collection waits at a time.
const KEYS: usize = 16;
/// Patches behind which the whole collection is asked for instead. (A guess: no client does it.)
const FAR: u64 = 500;
/// The phone is asked again for a collection after this time: it answers when it is switched on.
const ASK_ANEW: Duration = Duration::from_secs(24 * 3600);
/// The phone is asked again for missing keys after this time, doubled each time, up to an hour.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// After so many times it is asked once a day.
const EAGER: u32 = 8;

/// What is known of the collections, and what is being done.
#[derive(Debug, Default)]
pub(super) struct AppState {
    copies: BTreeMap<Collection, Copy>,
    /// The phone has shared a key.
    keys: bool,
    /// Collections that could not be read: how often in a row, and when they are tried again.
    troubles: BTreeMap<Collection, (u32, BootTime)>,
    /// Keys that the phone was asked for, with the collections that wait for each; how often, and when it is asked again.
    missing: BTreeMap<Vec<u8>, BTreeSet<Collection>>,
    asked: (u32, Option<BootTime>),
    /// Collections that the phone was asked for, in which message (none when it has answered) and when.
    wanted: BTreeMap<Collection, (String, BootTime)>,
    /// What it has given.
    given: BTreeMap<Collection, Recovery>,
    changes: VecDeque<Change>,
    job: Option<Job>,
}

impl AppState {
    /// The keys without which a collection cannot be read now; what it waited for before it does not wait for any more.
    /// Returns whether nothing waited for one of them.
    fn set_missing(&mut self, collection: Collection, ids: &[Vec<u8>]) -> bool {
        let new = ids.iter().take(KEYS).any(|id| !self.missing.contains_key(id));
        self.missing.retain(|_, waiting| {
            waiting.remove(&collection);
            !waiting.is_empty()
        });
        for id in ids.iter().take(KEYS) {
            self.missing.entry(id.clone()).or_default().insert(collection);
        }
        new
    }
}

/// How long the phone has after it was asked for keys so many times before, and whether it may not have understood the
/// last question: each ratchet that is opened anew uses up one of its prekeys.
fn pace(times: u32) -> (Duration, bool) {
    match times {
        0..EAGER => (ASK_AGAIN.saturating_mul(2u32.pow(times.min(6))), times > 0),
        _ => (ASK_ANEW, false),
    }
}

/// A change that a caller wants.
#[derive(Debug)]
struct Change {
    token: u64,
    actions: Vec<Action>,
    tries: u32,
}

/// What is being done.
#[derive(Debug)]
struct Job {
    collection: Collection,
    /// Whose change it is for; none when only the copy is behind.
    change: Option<Change>,
    step: Step,
    /// WhatsApp was asked for the whole collection: once is enough.
    asked_whole: bool,
    /// Where WhatsApp was known to be when it was asked last.
    asked_at: u64,
}

impl Job {
    fn new(collection: Collection, change: Option<Change>, step: Step) -> Job {
        Job { collection, change, step, asked_whole: false, asked_at: 0 }
    }
}

#[derive(Debug)]
enum Step {
    /// WhatsApp is asked for what we lack, or for the whole collection.
    Fetching { whole: bool },
    /// What it has answered is in a file.
    Gathering(Gathering),
    /// Patches are with crypto, or their commit is on the way.
    Applying { more: bool },
    /// The change is with crypto.
    Encoding,
    /// That WhatsApp may take this patch is being committed.
    Noting { patch: Bytes },
    /// The patch is with WhatsApp.
    Uploading { patch: Bytes },
    /// WhatsApp has taken it; our copy follows.
    Following,
}

/// What is in a file.
#[derive(Debug)]
enum Gathering {
    /// The whole collection.
    Snapshot,
    /// The changes of this patch.
    Patch(Bytes),
}

impl Machine {
    /// What the last owner left.
    pub(super) fn app_state_load(&mut self, rows: &[(String, Bytes)], keys: bool) {
        let Some(pairing) = self.pairing() else { return };
        let copies = stored::read(rows, &pairing);
        self.app_state = AppState { copies, keys, ..AppState::default() };
    }

    /// The device belongs to another pairing now: nothing of the last one is compared with what comes.
    pub(super) fn app_state_reset(&mut self, outcome: &mut Pending) {
        let AppState { changes, job, .. } = std::mem::take(&mut self.app_state);
        for change in changes.into_iter().chain(job.and_then(|job| job.change)) {
            self.done(change.token, Err(CommandError::NotConnected));
        }
        let pages = Collection::ALL.into_iter().flat_map(crate::vault::collections::all_pages);
        let gone = pages.map(|name| (StateKey { kind: StateKind::AppStatePage, name }, None));
        outcome.batch.state.extend(gone);
    }

    /// What names this pairing: the account and our number in it.
    pub(super) fn pairing(&self) -> Option<String> {
        self.account.as_ref().map(|account| account.pn.to_string())
    }

    fn copy(&self, collection: Collection) -> Copy {
        self.app_state.copies.get(&collection).copied().unwrap_or(Copy::NONE)
    }

    /// Our copy has changed. What WhatsApp is known to have is a row of its own, because a notification may
    /// be committed between the steps of a job.
    fn set_head(&mut self, outcome: &mut Pending, collection: Collection, copy: Copy) {
        self.app_state.copies.insert(collection, copy);
        if let Some(pairing) = self.pairing() {
            outcome.batch.state.push(copy.head_row(collection, &pairing));
        }
    }

    /// WhatsApp is at least here.
    fn set_known(&mut self, outcome: &mut Pending, collection: Collection, known: u64) {
        let copy = Copy { known, ..self.copy(collection) };
        self.app_state.copies.insert(collection, copy);
        if let Some(pairing) = self.pairing() {
            outcome.batch.state.push(copy.known_row(collection, &pairing));
        }
    }

    /// `<collection name version/>*`: others have changed something.
    pub(super) fn on_server_sync(&mut self, stanza: &Stanza, outcome: &mut Pending) {
        for told in stanza.all_named("collection") {
            let name = told.text("name").and_then(|name| name.parse::<Collection>().ok());
            let (Some(collection), Some(version)) = (name, told.number("version")) else { continue };
            if version > self.copy(collection).known {
                self.set_known(outcome, collection, version);
            }
        }
    }

    /// The phone shares keys: durable with the message that brought them.
    pub(super) fn learn_keys(&mut self, keys: Vec<Key>, outcome: &mut Pending) {
        for key in &keys {
            self.app_state.missing.remove(key.id());
            let row = StateKey { kind: StateKind::AppStateKey, name: key.name() };
            outcome.batch.state.push((row, Some(key.to_bytes().into())));
        }
        if keys.is_empty() {
            return;
        }
        self.app_state.keys = true;
        self.app_state.troubles.clear();
        if self.app_state.missing.is_empty() {
            self.app_state.asked = (0, None);
        }
        let slot = self.lane.open();
        self.ask_crypto(CryptoRequest::AppState(Box::new(Work::Learn(keys))), Purpose::AppState { slot });
    }

    /// A caller wants a change; all actions are of one collection.
    pub(super) fn change(&mut self, token: u64, actions: Vec<Action>) {
        let refusal = match self.unpaired().or_else(|| self.unconnected()) {
            Some(error) => Some(error),
            None if !self.may_act() || self.commits.failing() => Some(CommandError::Unavailable),
            None if self.app_state.changes.len() >= WAITING => Some(CommandError::Busy),
            None if !self.app_state.keys => Some(CommandError::NotInStep),
            None => None,
        };
        match refusal {
            Some(error) => self.done(token, Err(error)),
            None => self.app_state.changes.push_back(Change { token, actions, tries: 0 }),
        }
    }

    /// A caller wants to know what the collections say.
    pub(super) fn read_app_state(&mut self, token: u64, collections: Vec<Collection>) {
        let request = CryptoRequest::AppState(Box::new(Work::Read(collections)));
        self.ask_crypto(request, Purpose::ReadAppState { token });
    }

    /// Begins with the next thing, when nothing is under way.
    pub(super) fn app_state_pump(&mut self) {
        let online = self.connection.online().is_some() && self.may_act() && !self.commits.failing();
        if !online || !self.app_state.keys || self.app_state.job.is_some() {
            return;
        }
        if let Some(change) = self.app_state.changes.pop_front() {
            let collection = change.actions.first().map_or(Collection::Regular, Action::collection);
            let behind = self.copy(collection).is_behind();
            self.app_state.job = Some(Job::new(collection, Some(change), Step::Encoding));
            return if behind { self.fetch() } else { self.encode_change() };
        }
        let needed =
            |(collection, _): &(Collection, Recovery)| self.app_state.troubles.contains_key(collection);
        let given = self.app_state.given.pop_first();
        if let Some((collection, recovery)) = given.filter(needed) {
            self.app_state.job = Some(Job::new(collection, None, Step::Applying { more: true }));
            return self.recover(collection, recovery);
        }
        let now = self.now.boot;
        let behind = Collection::ALL.into_iter().filter(|collection| self.copy(*collection).is_behind());
        let behind: Vec<Collection> = behind.collect();
        let waits = |collection: &Collection| self.app_state.troubles.get(collection).map(|(_, at)| *at);
        let due = behind.iter().copied().find(|collection| waits(collection).is_none_or(|at| at <= now));
        let next = behind.iter().filter_map(waits).chain(self.app_state.asked.1).min();
        if let Some(collection) = due {
            self.app_state.job = Some(Job::new(collection, None, Step::Fetching { whole: false }));
            return self.fetch();
        }
        if let Some(at) = next {
            self.timers.insert(Timer::AppState, at);
        }
        if self.app_state.asked.1.is_some_and(|at| at <= now) {
            self.ask_for_keys();
        }
    }

    /// Asks the phone for the keys that are missing.
    fn ask_for_keys(&mut self) {
        let missing: Vec<Vec<u8>> = self.app_state.missing.keys().cloned().collect();
        if missing.is_empty() {
            self.app_state.asked = (0, None);
            return;
        }
        let times = self.app_state.asked.0;
        let (pause, anew) = pace(times);
        self.app_state.asked = (times + 1, Some(self.now.boot.plus(pause)));
        self.timers.insert(Timer::AppState, self.now.boot.plus(pause));
        self.tell_phone(&PeerMessage::WantKeys(missing), anew);
    }

    /// Asks the phone for a collection, of which WhatsApp has nothing that verifies.
    pub(super) fn ask_for_collection(&mut self, collection: Collection) {
        let now = self.now.boot;
        let asked = self.app_state.wanted.get(&collection).map(|(_, at)| *at);
        if asked.is_some_and(|at| now.since(at) < ASK_ANEW) {
            return;
        }
        let question = PeerMessage::WantCollection { collection, at: self.now.wall };
        let id = self.tell_phone(&question, asked.is_some());
        self.app_state.wanted.insert(collection, (id, now));
    }

    /// The phone gives a collection. It counts when it was asked for and is still needed, once; when the phone was
    /// asked stays known, so that one whose collection does not verify either is not asked without a pause.
    pub(super) fn take_collection(&mut self, request: &str, recovery: Option<Recovery>) {
        let mut wanted = self.app_state.wanted.iter_mut();
        let asked = wanted.find(|(_, (id, _))| id == request && !id.is_empty());
        let Some((&collection, (id, _))) = asked else { return };
        id.clear();
        if self.app_state.troubles.contains_key(&collection) {
            self.app_state.given.extend(recovery.map(|recovery| (collection, recovery)));
        }
    }

    /// What callers wanted and was not begun is refused; they ask again when the device is back.
    pub(super) fn app_state_link_lost(&mut self) {
        for change in std::mem::take(&mut self.app_state.changes) {
            self.done(change.token, Err(CommandError::NotConnected));
        }
    }

    pub(super) fn on_contents(&mut self, token: u64, worked: Worked) {
        let contents = match worked {
            Worked::Read(actions) => actions,
            _ => Vec::new(),
        };
        self.effects.push(Effect::Reply { token, reply: Reply::Contents(contents) });
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::Now;
    use crate::machine::tests::alone;

    use super::*;

    #[test]
    fn keys_that_never_come_are_asked_for_once_a_day_and_not_when_nothing_waits_for_them() {
        let mut machine = alone();
        machine.app_state.set_missing(Collection::Regular, &[vec![1]]);
        machine.app_state.set_missing(Collection::RegularHigh, &[vec![1], vec![2]]);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            machine.ask_for_keys();
            pauses.push(machine.app_state.asked.1.expect("again").since(machine.now.boot));
        }
        assert!(pauses[..8].iter().all(|pause| *pause <= 64 * ASK_AGAIN), "{pauses:?}");
        assert_eq!(pauses[8..], [ASK_ANEW; 2]);
        assert_eq!([pace(0).1, pace(1).1, pace(7).1, pace(8).1], [false, true, true, false]);
        machine.app_state.set_missing(Collection::RegularHigh, &[]);
        assert_eq!(machine.app_state.missing.keys().collect::<Vec<_>>(), [&vec![1]]);
        machine.app_state.set_missing(Collection::Regular, &[]);
        machine.ask_for_keys();
        assert_eq!(machine.app_state.asked, (0, None));
    }

    #[test]
    fn a_phone_whose_collection_does_not_verify_either_is_asked_again_after_a_day() {
        let mut machine = alone();
        let (collection, now) = (Collection::Regular, machine.now);
        machine.app_state.troubles.insert(collection, (2, now.boot));
        machine.ask_for_collection(collection);
        let asked = machine.app_state.wanted[&collection].0.clone();
        assert!(!asked.is_empty());
        machine.take_collection(&asked, None);
        machine.ask_for_collection(collection);
        assert_eq!(machine.app_state.wanted[&collection], (String::new(), now.boot));
        machine.now = Now { boot: now.boot.plus(ASK_ANEW), ..now };
        machine.ask_for_collection(collection);
        assert!(!machine.app_state.wanted[&collection].0.is_empty());
    }
}
