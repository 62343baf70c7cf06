//! What is still to happen, in the order in which it will.
//!
//! What must hold: what happens at one moment happens in the order in which it was put in, so a run depends
//! on nothing but its seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::callers::CallerEvent;
use super::context::{LinkId, ProcessId};
use super::director::Later;
use super::input::Input;
use super::whatsapp::Up;
use crate::run::Database;

/// A statement on its way to the database, and what its answer means to whoever asked.
pub(super) type Statement = Box<dyn FnOnce(&Database) -> Input>;

/// One thing that happens to one part of the world.
pub(super) enum Happening {
    /// Something reaches a process.
    Process(ProcessId, Input),
    /// A statement of a process reaches the database.
    Statement(Asked, Statement),
    /// The answer to a statement reaches who asked; none when the call has failed.
    Answer(Asked, Option<Box<Input>>),
    /// Who asked has waited for long enough.
    Late(Asked),
    /// Something reaches WhatsApp.
    WhatsApp(LinkId, Up),
    /// Something reaches the callers.
    Caller(CallerEvent),
    /// A fault ends, or a process begins.
    Later(Later),
}

/// Who asked the database what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) by: ProcessId,
    /// On which node it runs.
    pub(super) place: usize,
    /// Number of the question in that process.
    pub(super) question: u64,
    /// When the caller stops waiting.
    pub(super) until: u64,
}

struct Entry {
    at: u64,
    number: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The queue. Times are microseconds of the run.
#[derive(Default)]
pub(super) struct Queue {
    entries: BinaryHeap<Reverse<Entry>>,
    last: u64,
}

impl Queue {
    pub(super) fn put(&mut self, at: u64, what: Happening) {
        self.last += 1;
        self.entries.push(Reverse(Entry { at, number: self.last, what }));
    }

    /// The next thing, if it happens by then.
    pub(super) fn take(&mut self, by: u64) -> Option<(u64, Happening)> {
        if self.entries.peek().is_none_or(|Reverse(entry)| entry.at > by) {
            return None;
        }
        self.entries.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}
