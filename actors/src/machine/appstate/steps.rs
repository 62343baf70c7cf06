//! The steps of one job: fetch what we lack, apply it, make a patch, have WhatsApp take it, follow.
//!
//! What must hold: each step follows from the answer to the one before; whatever goes wrong ends the job with
//! our copy as it was, or behind the commit that says otherwise.

use bytes::Bytes;
use roost_proto::appstate::{ApplyError, Collection, Head, Patch, Recovery};
use roost_proto::history::Blob;
use roost_proto::media::MediaKind;
use roost_proto::stanza::{Builder, Read, Stanza, iq};

use super::stored::Copy;
use super::{AppliedPatches, CONFLICTS, EAGER, FAR, Gathering, PATCHES, PAUSES, Step, Work, Worked};
use crate::device::CommandError;
use crate::machine::commit::{After, Pending};
use crate::machine::crypto::{Purpose, with_state};
use crate::machine::files::Wants;
use crate::machine::requests::Asked;
use crate::machine::{CryptoRequest, Fetched, Fetching, Machine};
use crate::port::FileError;

impl Machine {
    pub(super) fn fetch(&mut self) {
        let copy = self.app_state.job.as_ref().map(|job| self.copy(job.collection));
        let (Some(job), Some(Copy { head, known })) = (&mut self.app_state.job, copy) else { return };
        let far = known.saturating_sub(head.version) > FAR;
        let whole = !job.asked_whole && (head == Head::EMPTY || far);
        job.asked_whole |= whole;
        job.asked_at = known;
        job.step = Step::Fetching { whole };
        let collection = job.collection;
        self.request(Asked::AppState, |id| {
            let wanted = Builder::new("collection").attr("name", collection.as_str());
            let wanted = match whole {
                true => wanted.attr("return_snapshot", "true"),
                false => wanted.attr("version", head.version).attr("return_snapshot", "false"),
            };
            ask(id, wanted.build())
        });
    }

    pub(super) fn encode_change(&mut self) {
        let head = self.app_state.job.as_ref().map(|job| self.copy(job.collection).head);
        let (Some(job), Some(head)) = (&mut self.app_state.job, head) else { return };
        let Some(change) = &job.change else { return };
        job.step = Step::Encoding;
        let (actions, at) = (change.actions.clone(), self.now.wall);
        let work = Work::Encode { collection: job.collection, head, actions, at };
        let slot = self.lane.open();
        self.ask_crypto(CryptoRequest::AppState(Box::new(work)), Purpose::AppState { slot });
    }

    /// WhatsApp's answer to a fetch or an upload.
    pub(in crate::machine) fn on_app_state(&mut self, outcome: Result<Stanza, u16>) {
        let Some(job) = &self.app_state.job else { return };
        let name = job.collection.as_str();
        let answer = outcome.and_then(|answer| {
            let collections = answer.child("sync").map(|sync| sync.all_named("collection").cloned());
            let found =
                collections.into_iter().flatten().find(|one| one.text("name").as_deref() == Some(name));
            found.ok_or(500)
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(code) => return self.give_up_job(CommandError::of(code), code != 0),
        };
        let code = answer.child("error").and_then(|error| error.number("code"));
        let failed = answer.text("type").as_deref() == Some("error");
        let code = failed.then(|| code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500));
        let uploaded = match &job.step {
            Step::Uploading { patch } => Some(patch.clone()),
            _ => None,
        };
        match (uploaded, code) {
            (Some(patch), None) => self.follow(&patch),
            (Some(_), Some(409)) => self.conflicted(&answer),
            (_, Some(code)) => self.give_up_job(CommandError::Refused(code), true),
            (None, None) => {
                let asked = matches!(job.step, Step::Fetching { whole: true });
                match answer.child("snapshot").map(|snapshot| snapshot.leaf().and_then(Blob::read)) {
                    None => {
                        let more = answer.text("has_more_patches").as_deref() == Some("true");
                        self.apply_page(&answer, more);
                    }
                    Some(Some(blob)) if asked => self.gather(&blob, Gathering::Snapshot),
                    // Nobody asked for it, or nobody can read what it is.
                    Some(_) => self.give_up_job(CommandError::Refused(500), true),
                }
            }
        }
    }

    /// Others were faster: what they did comes first, then the change is tried again.
    fn conflicted(&mut self, answer: &Stanza) {
        let Some(change) = self.app_state.job.as_mut().and_then(|job| job.change.as_mut()) else { return };
        change.tries += 1;
        if change.tries > CONFLICTS {
            return self.give_up_job(CommandError::Refused(409), true);
        }
        match answer.child("patches") {
            // There may be more than one page; the next answer says so.
            Some(_) => self.apply_page(answer, true),
            None => self.fetch(),
        }
    }

    fn apply_page(&mut self, answer: &Stanza, more: bool) {
        let Some(job) = &self.app_state.job else { return };
        let ours = self.copy(job.collection).head.version;
        let patches = answer.child("patches").map(Read::all).unwrap_or_default();
        let leaves = patches.iter().filter_map(|patch| patch.leaf().map(Bytes::copy_from_slice));
        // What cannot be read is found out where it is applied.
        let read = leaves.take(PATCHES).map(|bytes| (Patch::read(&bytes).ok(), bytes));
        let mut page: Vec<(Option<Patch>, Bytes)> = read.collect();
        let known = |patch: &Option<Patch>| patch.as_ref().is_some_and(|patch| patch.version() <= ours);
        page.retain(|(patch, _)| !known(patch));
        let in_file = |(patch, _): &(Option<Patch>, Bytes)| patch.as_ref().and_then(Patch::external);
        let here = page.iter().take_while(|patch| in_file(patch).is_none()).count();
        match (page.first(), page.first().and_then(in_file)) {
            (None, _) if more => self.fetch(),
            (None, _) => self.in_step(),
            // One at a time, so that one file is in memory; what is behind it is asked for again.
            (Some((_, bytes)), Some(blob)) => self.gather(&blob, Gathering::Patch(bytes.clone())),
            (Some(_), None) => {
                let more = more || here < page.len();
                let patches = page.into_iter().take(here).map(|(_, bytes)| bytes).collect();
                self.apply(patches, Step::Applying { more });
            }
        }
    }

    /// What comes next is in a file.
    fn gather(&mut self, blob: &Blob, what: Gathering) {
        let Some(job) = &mut self.app_state.job else { return };
        match blob.file(MediaKind::AppState) {
            Some(file) => {
                job.step = Step::Gathering(what);
                self.fetch_file(Fetching::Whole(Box::new(file)), Wants::AppState);
            }
            None => self.read_anew("nothing says how to fetch its file"),
        }
    }

    pub(in crate::machine) fn on_app_state_file(&mut self, outcome: Result<Fetched, FileError>) {
        let Some(job) = &mut self.app_state.job else { return };
        let step = std::mem::replace(&mut job.step, Step::Fetching { whole: false });
        let Step::Gathering(what) = step else { return job.step = step };
        let collection = job.collection;
        let head = self.copy(collection).head;
        let bytes = match outcome {
            Ok(Fetched::Whole(bytes)) => bytes,
            Ok(_) => unreachable!("app state is fetched whole"),
            Err(FileError::Unavailable(_)) => return self.give_up_job(CommandError::Unavailable, true),
            // It will not be there later either, and a whole collection has all that is in it.
            Err(error) => return self.read_anew(&error.to_string()),
        };
        match what {
            Gathering::Snapshot => {
                self.work(Work::Replace { collection, head, snapshot: bytes }, Step::Applying { more: true });
            }
            Gathering::Patch(patch) => {
                match Patch::read(&patch).and_then(|patch| patch.with_mutations(&bytes)) {
                    Ok(patch) => self.apply(vec![patch.to_bytes().into()], Step::Applying { more: true }),
                    Err(_) => self.read_anew("a file of it cannot be read"),
                }
            }
        }
    }

    /// Our copy is of no use any more.
    fn read_anew(&mut self, why: &str) {
        let Some(collection) = self.app_state.job.as_ref().map(|job| job.collection) else { return };
        let (head, error) = (self.copy(collection).head, Some(ApplyError::Mismatch(why.to_owned())));
        let nothing = AppliedPatches { error, ..AppliedPatches::nothing(head) };
        let slot = self.lane.open();
        self.on_applied(slot, nothing);
    }

    /// WhatsApp has taken our patch: it is the next one.
    fn follow(&mut self, patch: &Bytes) {
        let Some(job) = &self.app_state.job else { return };
        let version = self.copy(job.collection).head.version + 1;
        match Patch::read(patch) {
            Ok(patch) => self.apply(vec![patch.numbered(version).to_bytes().into()], Step::Following),
            Err(_) => self.give_up_job(CommandError::Unavailable, true),
        }
    }

    fn apply(&mut self, patches: Vec<Bytes>, step: Step) {
        let Some(collection) = self.app_state.job.as_ref().map(|job| job.collection) else { return };
        let head = self.copy(collection).head;
        self.work(Work::Apply { collection, head, patches }, step);
    }

    fn work(&mut self, work: Work, step: Step) {
        let Some(job) = &mut self.app_state.job else { return };
        job.step = step;
        let slot = self.lane.open();
        self.ask_crypto(CryptoRequest::AppState(Box::new(work)), Purpose::AppState { slot });
    }

    /// The phone's copy takes the place of ours.
    pub(super) fn recover(&mut self, collection: Collection, recovery: Recovery) {
        let head = self.copy(collection).head;
        self.work(Work::Recover { collection, head, recovery }, Step::Applying { more: true });
    }

    /// WhatsApp has nothing more for this collection.
    fn in_step(&mut self) {
        let Some(job) = &self.app_state.job else { return };
        let (collection, asked_at) = (job.collection, job.asked_at);
        let copy = self.copy(collection);
        if copy.is_behind() && copy.known > asked_at {
            // Others have changed something since it was asked.
            return self.fetch();
        }
        if copy.is_behind() {
            // It says itself where it is; a notification that promised more was of a version that is gone.
            let mut outcome = Pending::default();
            self.set_known(&mut outcome, collection, copy.head.version);
            let slot = self.lane.open();
            self.lane.fill(slot, outcome);
        }
        self.app_state.troubles.remove(&collection);
        self.app_state.set_missing(collection, &[]);
        self.app_state.wanted.remove(&collection);
        match self.app_state.job.as_ref().is_some_and(|job| job.change.is_some()) {
            true => self.encode_change(),
            false => self.app_state.job = None,
        }
    }

    pub(in crate::machine) fn on_worked(&mut self, slot: u64, worked: Worked) {
        match worked {
            Worked::Learned | Worked::Read(_) => self.lane.fill(slot, Pending::default()),
            Worked::Applied(applied) => self.on_applied(slot, *applied),
            Worked::Encoded(patch) => self.note_upload(slot, patch),
            Worked::Unchanged => {
                self.lane.fill(slot, Pending::default());
                self.answer_change(Ok(()));
            }
            Worked::NoKey => {
                self.lane.fill(slot, Pending::default());
                self.give_up_job(CommandError::NotInStep, false);
            }
        }
    }

    /// WhatsApp may take a patch whose answer nobody hears, and tells nobody but our other devices: whoever has the device
    /// then, looks. A patch that was not taken costs him one question.
    fn note_upload(&mut self, slot: u64, patch: Bytes) {
        let mut outcome = Pending::default();
        if let Some(job) = &mut self.app_state.job {
            let collection = job.collection;
            job.step = Step::Noting { patch };
            let copy = self.copy(collection);
            self.set_known(&mut outcome, collection, copy.known.max(copy.head.version + 1));
            outcome.after.push(After::AppState(AppliedThen::GoOn));
        }
        self.lane.fill(slot, outcome);
    }

    fn upload(&mut self, patch: Bytes) {
        let Some(job) = &mut self.app_state.job else { return };
        job.step = Step::Uploading { patch: patch.clone() };
        let collection = job.collection;
        let version = self.copy(collection).head.version;
        self.request(Asked::AppState, |id| {
            let patch = Builder::new("patch").bytes(patch.to_vec()).build();
            let wanted = Builder::new("collection")
                .attr("name", collection.as_str())
                .attr("version", version)
                .attr("return_snapshot", "false")
                .children([patch])
                .build();
            ask(id, wanted)
        });
    }

    fn on_applied(&mut self, slot: u64, applied: AppliedPatches) {
        let AppliedPatches { changes, head, mutations, anew, error } = applied;
        let mut outcome = with_state(changes);
        let Some(collection) = self.app_state.job.as_ref().map(|job| job.collection) else {
            return self.lane.fill(slot, outcome);
        };
        let before = self.copy(collection);
        self.note_changes(&mut outcome, collection, anew, mutations);
        let mut copy = Copy { head, known: before.known.max(head.version) };
        if let Some(ApplyError::Mismatch(_) | ApplyError::Version { .. }) = &error {
            copy.head = Head::EMPTY;
            self.set_known(&mut outcome, collection, before.known.max(1));
        }
        if copy.head != before.head {
            self.set_head(&mut outcome, collection, copy);
        }
        if let Some(error) = &error {
            self.note_trouble(&mut outcome, collection, error);
        }
        let after = if error.is_some() { AppliedThen::Stop } else { AppliedThen::GoOn };
        outcome.after.push(After::AppState(after));
        self.lane.fill(slot, outcome);
    }

    /// A patch could not be applied.
    fn note_trouble(&mut self, outcome: &mut Pending, collection: Collection, error: &ApplyError) {
        if let ApplyError::MissingKeys(ids) = error {
            let new = self.app_state.set_missing(collection, ids);
            let (times, next) = self.app_state.asked;
            if next.is_none() || new && times >= EAGER {
                self.app_state.asked = (0, Some(self.now.boot));
            }
        } else {
            self.app_state.set_missing(collection, &[]);
            self.note_resync(outcome, collection, &error.to_string());
            // The first time it is read anew at once.
            if !self.app_state.troubles.contains_key(&collection) {
                self.app_state.troubles.insert(collection, (1, self.now.boot));
                return;
            }
            self.ask_for_collection(collection);
        }
        self.pause_collection(collection);
    }

    fn pause_collection(&mut self, collection: Collection) {
        let times = self.app_state.troubles.get(&collection).map_or(0, |(times, _)| *times);
        let pause = PAUSES.0.saturating_mul(4u32.pow(times.min(8))).min(PAUSES.1);
        self.app_state.troubles.insert(collection, (times + 1, self.now.boot.plus(pause)));
    }

    /// Patches and what they changed are durable, or that there may be another one.
    pub(in crate::machine) fn app_state_durable(&mut self, then: AppliedThen) {
        let Some(job) = &self.app_state.job else { return };
        match (&job.step, then) {
            (_, AppliedThen::Stop) => self.end_job(CommandError::NotInStep),
            (Step::Noting { patch }, AppliedThen::GoOn) => self.upload(patch.clone()),
            (Step::Following, AppliedThen::GoOn) => self.answer_change(Ok(())),
            (Step::Applying { more: false }, AppliedThen::GoOn) => self.in_step(),
            (_, AppliedThen::GoOn) => self.fetch(),
        }
    }

    fn answer_change(&mut self, result: Result<(), CommandError>) {
        if let Some(change) = self.app_state.job.take().and_then(|job| job.change) {
            self.done(change.token, result);
        }
    }

    /// The job cannot go on; the copy is as it was.
    fn give_up_job(&mut self, error: CommandError, pause: bool) {
        if pause && let Some(collection) = self.app_state.job.as_ref().map(|job| job.collection) {
            self.pause_collection(collection);
        }
        self.end_job(error);
    }

    fn end_job(&mut self, error: CommandError) {
        if let Some(change) = self.app_state.job.take().and_then(|job| job.change) {
            self.done(change.token, Err(error));
        }
    }
}

/// What follows when patches are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum AppliedThen {
    /// The next step of the job.
    GoOn,
    /// One of them was not applied: the job is over.
    Stop,
}

fn ask(id: &str, collection: Stanza) -> Builder {
    iq::set(id, "w:sync:app:state").children([Builder::new("sync").children([collection]).build()])
}
