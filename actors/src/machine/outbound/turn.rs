//! The turn of a message: whether it begins a chat, and whether it may do so now.
//!
//! What must hold: a message takes one turn of the pace, however often its way begins anew, and gives it back if it
//! expires or is taken back before it has bytes; while new chats are barred none of its bytes reach the wire, also when they were made before.

use std::time::Duration;

use roost_placement::lease::BootTime;

use super::{Item, Stage};
use crate::machine::crypto::Purpose;
use crate::machine::pacing::Taken;
use crate::machine::timer::Timer;
use crate::machine::{Effect, Machine};

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It may begin a chat, or not.
    Unknown,
    /// The store is asked.
    Asking,
    /// It begins one.
    ReachOut,
    /// There is a chat, or it is no chat with one person.
    Reply,
}

/// Its share of the pace.
#[derive(Debug, PartialEq, Eq)]
enum Share {
    /// It has none yet.
    Due,
    /// It was counted, by this much.
    Taken(Taken),
    /// It has bytes for the wire, so it stays counted.
    Spent,
}

/// The turn of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    kind: Kind,
    share: Share,
    /// Since when it is held back.
    held: Option<BootTime>,
}

impl Turn {
    pub(super) fn new(may_begin: bool) -> Turn {
        let kind = if may_begin { Kind::Unknown } else { Kind::Reply };
        Turn { kind, share: Share::Due, held: None }
    }

    pub(super) fn is_reply(&self) -> bool {
        self.kind == Kind::Reply
    }

    /// Whether it waits for new chats to be allowed; that is noted.
    pub(super) fn is_barred(&mut self, barred: bool, now: BootTime) -> bool {
        let is_barred = barred && self.kind == Kind::ReachOut;
        if is_barred {
            self.held.get_or_insert(now);
        }
        is_barred
    }

    /// It has bytes, so its turn stays counted. Returns whether it begins a chat.
    pub(super) fn spend(&mut self) -> bool {
        self.share = Share::Spent;
        self.kind == Kind::ReachOut
    }
}

impl Machine {
    /// Whether a message may set out now. Held back, it is looked at again when it may.
    pub(super) fn has_its_turn(&mut self, ordinal: i64, barred: bool) -> bool {
        self.look_whether_it_begins(ordinal);
        let (now, wall) = (self.now.boot, self.now.wall);
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return false };
        let begins = match item.turn.kind {
            Kind::Unknown | Kind::Asking => return false,
            Kind::ReachOut => true,
            Kind::Reply => false,
        };
        if item.turn.is_barred(barred, now) {
            return false;
        }
        if item.turn.share == Share::Due {
            match self.pacing.turn(begins, wall) {
                Ok(taken) => item.turn.share = Share::Taken(taken),
                Err(wait) => {
                    item.turn.held.get_or_insert(now);
                    item.stage = Stage::Accepted(now.plus(wait));
                    return false;
                }
            }
            if let Some(since) = item.turn.held.take() {
                self.effects.push(Effect::Paced(now.since(since)));
            }
        }
        true
    }

    /// A message that ends without bytes leaves its turn to others.
    pub(super) fn give_turn_back(&mut self, ordinal: i64) {
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return };
        if let Share::Taken(taken) = std::mem::replace(&mut item.turn.share, Share::Spent) {
            self.pacing.give_back(taken);
            self.outbox_paced_anew();
        }
    }

    /// Finds out whether a message begins a chat, if that is not known.
    pub(super) fn look_whether_it_begins(&mut self, ordinal: i64) {
        let Some(item) = self.outbox.items.get(&ordinal).filter(|item| item.turn.kind == Kind::Unknown)
        else {
            return;
        };
        let chat = item.message.chat.clone();
        let kind = if self.is_remembered(&chat) { Kind::Reply } else { Kind::Asking };
        if let Some(item) = self.outbox.items.get_mut(&ordinal) {
            item.turn.kind = kind;
        }
        if kind == Kind::Asking {
            self.look_for_chat(&chat, Purpose::KnownChat { ordinal });
        }
    }

    /// The store has answered.
    pub(in crate::machine) fn on_chat(&mut self, ordinal: i64, known: bool) {
        if let Some(item) = self.outbox.items.get_mut(&ordinal) {
            item.turn.kind = if known { Kind::Reply } else { Kind::ReachOut };
        }
    }

    /// The pace is another one: who waits for the old one looks again.
    pub(in crate::machine) fn outbox_paced_anew(&mut self) {
        for item in self.outbox.items.values_mut().filter(|item| item.turn.held.is_some()) {
            if let Stage::Accepted(from) = &mut item.stage {
                *from = self.now.boot.plus(Duration::ZERO);
            }
        }
    }

    /// Wakes the machine when something in the outbox is to be looked at.
    pub(super) fn plan_next_look(&mut self) {
        let resend = self.limits.resend;
        let next = self.outbox.items.values().filter_map(|item| match &item.stage {
            Stage::Accepted(from) if *from > self.now.boot => Some(*from),
            Stage::Sending { since: Some(since), .. } => Some(since.plus(resend)),
            _ => None,
        });
        let ends = self.outbox.items.values().filter_map(Item::ends);
        if let Some(at) = next.chain(ends).min() {
            self.timers.insert(Timer::Outbox, at);
        }
    }

    pub(in crate::machine) fn on_lid(&mut self, pn: String, lid: Option<String>) {
        self.directory.set_lid(pn, lid);
        self.restart_stage(&Stage::FindingLid, Duration::ZERO);
    }

    pub(in crate::machine) fn resolved(&mut self) {
        self.restart_stage(&Stage::Resolving, Duration::ZERO);
    }

    pub(in crate::machine) fn resolving_failed(&mut self, code: u16) {
        // A lost link is nobody's fault; anything else gets time to pass.
        let pause = if code == 0 { Duration::ZERO } else { Duration::from_secs(5) };
        self.restart_stage(&Stage::Resolving, pause);
    }

    /// What waits at a stage begins anew after a pause.
    pub(super) fn restart_stage(&mut self, stage: &Stage, pause: Duration) {
        let from = self.now.boot.plus(pause);
        for item in self.outbox.items.values_mut().filter(|item| item.stage == *stage) {
            item.stage = Stage::Accepted(from);
        }
    }
}
