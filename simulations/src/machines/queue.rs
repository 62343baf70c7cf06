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

/// The queue. Times are microseconds of the run.
#[derive(Default)]
pub(super) struct Queue {
    /// When, in which order at that moment, and at which place in `things`.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// What happens is large, and stays where it is while the order is kept.
    things: Vec<Option<Happening>>,
    free: Vec<usize>,
    last: u64,
}

impl Queue {
    pub(super) fn put(&mut self, at: u64, what: Happening) {
        self.last += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.things.push(None);
            self.things.len() - 1
        });
        self.things[place] = Some(what);
        self.order.push(Reverse((at, self.last, place)));
    }

    /// The next thing, if it happens by then.
    pub(super) fn take(&mut self, by: u64) -> Option<(u64, Happening)> {
        let Reverse((at, _, place)) = *self.order.peek().filter(|Reverse((at, ..))| *at <= by)?;
        self.order.pop();
        self.free.push(place);
        Some((at, self.things[place].take().expect("each place in the order has its thing")))
    }
}
