//! Deadlines: the machine keeps them, the shell wakes it at the earliest.

use std::time::Duration;

use roost_placement::lease::BootTime;

use super::Machine;

/// What a deadline is for. One of each kind runs at a time; setting it again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Dial again.
    Reconnect,
    /// Ask the database again whether the grant stands.
    AskPermit,
    /// Online for long enough: pauses begin anew.
    Stable,
    /// Ping.
    Keepalive,
    /// The answer to a ping is late.
    Pong,
    /// WhatsApp has not said success or failure, or has not sent codes.
    Greeting,
    /// The present QR code is over.
    Qr,
    /// Look whether another signed prekey is due.
    SignedPrekey,
    /// A bar against new chats may be over.
    Health,
    /// Some request is late.
    Requests,
    /// Try the commit again.
    Commit,
    /// Look at the outbox again.
    Outbox,
    /// Look whether the node may act again.
    Held,
    /// A message that was asked for again has not come for too long.
    Awaited,
    /// Ask again for the keys of devices that wait for messages of ours.
    Resend,
    /// Look at app state again.
    AppState,
    /// A phone has not answered a question about media for too long.
    Media,
    /// Try again to fetch a file of history.
    History,
    /// The phone has not answered for too long when it was asked for older messages.
    Ranges,
}

/// How often a held machine looks whether it may act again.
const HELD: Duration = Duration::from_millis(100);

/// A tick that comes so much later than its deadline shows that the process stood still.
const LATE: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn set_timer(&mut self, timer: Timer, after: Duration) {
        self.timers.insert(timer, self.now.boot.plus(after));
    }

    /// Moves a deadline to the earlier of its old and new moments.
    pub(super) fn set_timer_at_most(&mut self, timer: Timer, after: Duration) {
        let at = self.now.boot.plus(after);
        let known = self.timers.entry(timer).or_insert(at);
        *known = (*known).min(at);
    }

    pub(super) fn clear_timer(&mut self, timer: Timer) {
        self.timers.remove(&timer);
    }

    /// What is held back by the lease alone goes on by itself when the lease runs again.
    pub(super) fn poll_while_held(&mut self) {
        let waits = !self.wire.is_empty() || self.commits.waits() || !self.outbox.is_empty();
        if waits && !self.quiesced && !self.now.may_act {
            self.set_timer(Timer::Held, HELD);
        }
    }

    pub(super) fn on_tick(&mut self) {
        let due: Vec<(Timer, BootTime)> = self
            .timers
            .iter()
            .filter(|(_, at)| **at <= self.now.boot)
            .map(|(timer, at)| (*timer, *at))
            .collect();
        for (timer, at) in due {
            self.timers.remove(&timer);
            match timer {
                // We were not running: the answer may lie unread in the socket.
                Timer::Pong if self.now.boot.since(at) > LATE => self.set_timer(timer, LATE),
                Timer::Reconnect => self.dial(),
                Timer::AskPermit => self.ask_permit(),
                Timer::Stable => {
                    self.connection.calm();
                    self.compare_keys();
                }
                Timer::Keepalive => self.ping(),
                Timer::Pong => self.drop_link("WhatsApp does not answer"),
                Timer::Greeting => self.drop_link("WhatsApp did not greet"),
                Timer::Qr => self.next_code(),
                Timer::Health => self.health_due(),
                Timer::SignedPrekey => self.rotate_signed_prekey(),
                Timer::Requests => self.expire_requests(),
                Timer::Commit => self.commit_again(),
                Timer::Awaited => self.awaited_overdue(),
                Timer::Resend => self.resend_now(),
                Timer::Media => self.expire_questions(),
                Timer::Ranges => self.give_up_ranges(),
                Timer::Outbox | Timer::Held | Timer::AppState | Timer::History => {}
            }
        }
    }
}
