//! The connection: when to dial, when to wait, and what every ending means.
//!
//! What must hold: one link at a time; no dial while the device should not be connected; pauses grow
//! with jitter and begin anew after a stable time online; after `replaced` the database is asked before
//! anything else is done.

mod verdict;

use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use roost_placement::seeded::{self, Bug};
use roost_proto::api::device::State;
use roost_proto::login::Success;
use roost_proto::stanza::{self, Stanza};
use roost_proto::version::ProtocolVersion;

use super::timer::Timer;
use super::{DialAs, Effect, Machine};
use crate::port::{Attempt, Reached, Urgency};
use verdict::Verdict;

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// None is wanted, or a timer will dial.
    #[default]
    Idle,
    /// On the way up to Noise.
    Dialing(u64),
    /// Noise is done; WhatsApp has not said success yet.
    Greeting(u64),
    /// Logged in; `<active/>` is not confirmed yet.
    Entering(u64),
    /// Messages flow.
    Online(u64),
}

/// The connection and its history.
#[derive(Debug, Default)]
pub(super) struct Connection {
    phase: Phase,
    last_link: u64,
    failures: u32,
    conflicts: u32,
    restarts: u32,
    /// The version of WhatsApp Web that is chosen, and the one that was last dialled with.
    version: ProtocolVersion,
    dialled: ProtocolVersion,
    /// Where WhatsApp wants the next connection to go, said on each. Used once: what leads nowhere is not tried again.
    pub(super) routing: Option<Bytes>,
    /// What the ending of the present link asks for, said before the link went down.
    verdict: Option<Verdict>,
    pub(super) reached: Reached,
}

impl Connection {
    /// The link that is up or on its way.
    pub(super) fn link(&self) -> Option<u64> {
        match self.phase {
            Phase::Idle => None,
            Phase::Dialing(link) | Phase::Greeting(link) | Phase::Entering(link) | Phase::Online(link) => {
                Some(link)
            }
        }
    }

    /// The link that carries stanzas.
    pub(super) fn up(&self) -> Option<u64> {
        match self.phase {
            Phase::Idle | Phase::Dialing(_) => None,
            Phase::Greeting(link) | Phase::Entering(link) | Phase::Online(link) => Some(link),
        }
    }

    /// The link on which messages flow.
    pub(super) fn online(&self) -> Option<u64> {
        match self.phase {
            Phase::Online(link) => Some(link),
            _ => None,
        }
    }

    /// Whether WhatsApp has greeted us on the present link.
    pub(super) fn greeted(&self) -> bool {
        matches!(self.phase, Phase::Entering(_) | Phase::Online(_))
    }

    /// Dials with this version from now on.
    pub(super) fn choose(&mut self, version: ProtocolVersion) {
        self.version = version;
    }

    /// Stable for long enough: pauses begin anew.
    pub(super) fn calm(&mut self) {
        self.failures = 0;
        self.conflicts = 0;
        self.restarts = 0;
    }
}

impl Machine {
    /// After loading: connect, or say why not.
    pub(super) fn begin(&mut self) {
        match &self.account {
            None => self.set_status(State::Unpaired, "it was never paired", 0),
            Some(account) if account.logged_out => {
                let code = self.status.left().map_or(0, |left| left.code);
                self.set_status(State::LoggedOut, "WhatsApp has unlinked it", code);
            }
            Some(_) => self.dial(),
        }
    }

    /// Dials, if the device should be connected and is not.
    pub(super) fn dial(&mut self) {
        if self.connection.link().is_some() || !self.loaded {
            return;
        }
        let dial = match (&self.account, &self.attempt) {
            (Some(account), _) if !account.logged_out => match account.login() {
                Some(login) => DialAs::Login(login),
                None => return self.set_status(State::Failed, "its phone number cannot be read", 0),
            },
            (_, Some(attempt)) => attempt.dial(),
            _ => return,
        };
        let pairing = matches!(dial, DialAs::Pairing(..));
        self.connection.last_link += 1;
        let link = self.connection.last_link;
        self.connection.phase = Phase::Dialing(link);
        self.connection.verdict = None;
        let version = self.connection.version;
        self.connection.dialled = version;
        self.clear_timer(Timer::Reconnect);
        if !pairing {
            self.set_status(State::Connecting, "it is connecting", 0);
        }
        let urgency = self.urgency(pairing);
        let routing = self.connection.routing.take();
        self.effects.push(Effect::Dial { link, dial, routing, version, urgency });
    }

    /// Another version was chosen. One that WhatsApp has refused is not waited with any longer; one that it
    /// takes stays until the next login.
    pub(super) fn on_version(&mut self, version: ProtocolVersion) {
        self.connection.choose(version);
        if self.status.now.state == State::Outdated && version != self.connection.dialled {
            self.dial();
        }
    }

    fn urgency(&self, pairing: bool) -> Urgency {
        let recent = i64::try_from(self.limits.recent.as_millis()).unwrap_or(i64::MAX);
        match self.active {
            _ if pairing || !self.outbox.is_empty() => Urgency::Urgent,
            Some(active) if self.now.wall.0.saturating_sub(active.0) < recent => Urgency::Recent,
            _ => Urgency::Idle,
        }
    }

    pub(super) fn on_link_up(&mut self, link: u64) {
        if self.connection.phase != Phase::Dialing(link) {
            return;
        }
        self.connection.phase = Phase::Greeting(link);
        self.heard();
        self.set_timer(Timer::Greeting, self.limits.connect);
    }

    pub(super) fn on_success(&mut self, success: Success) {
        if let Phase::Greeting(link) = self.connection.phase {
            self.connection.phase = Phase::Entering(link);
            self.clear_timer(Timer::Greeting);
            self.effects.push(Effect::Report(Attempt::Accepted));
            self.learn_lid(success.lid);
            self.enter();
        }
    }

    /// Messages flow from now on.
    pub(super) fn set_online(&mut self) {
        let (Phase::Entering(link) | Phase::Online(link)) = self.connection.phase else { return };
        self.connection.phase = Phase::Online(link);
        self.set_timer(Timer::Stable, self.limits.stable);
        self.awaited_online();
        self.set_status(State::Online, "it is connected", 0);
    }

    /// Closes the present link ourselves and waits the usual pause.
    pub(super) fn drop_link(&mut self, why: &str) {
        if let Some(link) = self.connection.link() {
            self.effects.push(Effect::Close { link });
            self.on_link_down(link, why);
        }
    }

    /// Closes the present link; somebody has said already what the device does now.
    pub(super) fn close_link(&mut self) {
        self.connection.verdict = Some(Verdict::Stay);
        self.drop_link("closed");
    }

    pub(super) fn on_link_down(&mut self, link: u64, why: &str) {
        if self.connection.link() != Some(link) {
            return;
        }
        let was_online = self.connection.online().is_some();
        self.connection.phase = Phase::Idle;
        self.wire.clear();
        for timer in [Timer::Stable, Timer::Keepalive, Timer::Pong, Timer::Greeting, Timer::Qr] {
            self.clear_timer(timer);
        }
        self.forget_requests();
        self.forget_questions();
        self.outbox_link_lost();
        self.resends_link_lost();
        self.app_state_link_lost();
        self.history_link_lost();
        let verdict = self.connection.verdict.take();
        let unpaired = self.attempt.is_some() && self.account.is_none();
        if unpaired && let Some((reason, message)) = verdict::of_a_registration(verdict.as_ref(), why) {
            return self.end_attempt(reason, &message);
        }
        match verdict {
            None => {
                let reason = if was_online { "the connection was lost" } else { "it could not connect" };
                self.back_off(&format!("{reason}: {why}"), 0);
            }
            Some(Verdict::Backoff { reason, code }) => self.back_off(&reason, code),
            Some(Verdict::Restart) => {
                self.connection.restarts += 1;
                // WhatsApp asks for it once, after pairing. A server that asks for ever gets pauses.
                let again = "WhatsApp keeps asking for a restart";
                match self.connection.restarts {
                    0..=3 => self.dial(),
                    _ if unpaired => self.end_attempt("CONNECTION_LOST", again),
                    _ => self.back_off(again, 515),
                }
            }
            Some(Verdict::Wait { state, reason, code, pause }) => {
                self.set_status(state, &reason, code);
                self.set_timer(Timer::Reconnect, pause);
            }
            Some(Verdict::Replaced) if seeded::on(Bug::BlindRedial) => self.dial(),
            Some(Verdict::Replaced) => self.ask_permit(),
            Some(Verdict::LoggedOut { reason, code }) => self.logged_out(&reason, code),
            Some(Verdict::Stay) => {}
        }
    }

    /// Whether the grant stands, after `replaced`.
    pub(super) fn ask_permit(&mut self) {
        self.effects.push(Effect::AskPermit);
        // If no answer comes back at all, ask again.
        self.set_timer(Timer::AskPermit, self.limits.connect);
    }

    pub(super) fn on_permit(&mut self, stands: bool) {
        if self.connection.link().is_some() {
            return;
        }
        if !stands {
            let pause = self.jitter(Duration::from_secs(2));
            self.set_status(
                State::Backoff,
                "another connection was opened, and the store does not answer",
                0,
            );
            return self.set_timer(Timer::AskPermit, pause);
        }
        self.clear_timer(Timer::AskPermit);
        // Ours, and yet replaced: something outside of the cluster has the device's keys, or a frozen node
        // let out a login too late. The latter goes away by itself; with the former there is no fighting.
        let exponent = self.connection.conflicts.min(8);
        self.connection.conflicts += 1;
        let longest = self.limits.conflict.saturating_mul(4u32.pow(exponent)).min(Duration::from_secs(3600));
        let pause = longest / 2 + self.jitter(longest / 2);
        self.set_status(State::Conflict, "another connection with the keys of this device was opened", 0);
        self.set_timer(Timer::Reconnect, pause);
    }

    /// WhatsApp has unlinked the device. Its keys stay; nothing is dialled until it is paired anew.
    pub(super) fn logged_out(&mut self, reason: &str, code: u32) {
        if let Some(account) = self.account.as_mut()
            && !account.logged_out
        {
            account.logged_out = true;
            let change = (super::pairing::account_key(), Some(account.to_bytes()));
            self.commits.pending().batch.state.push(change);
        }
        self.set_status(State::LoggedOut, reason, code);
        self.clear_timer(Timer::Reconnect);
        self.attempt_failed("LOGGED_OUT", reason);
        self.close_link();
    }

    fn back_off(&mut self, reason: &str, code: u32) {
        let (first, longest) = self.limits.backoff;
        let exponent = self.connection.failures.min(16);
        self.connection.failures += 1;
        let ceiling = first.saturating_mul(2u32.pow(exponent)).min(longest);
        // Half of it for certain, the rest at random: no two devices come back together.
        let pause = ceiling / 2 + self.jitter(ceiling / 2);
        self.set_status(State::Backoff, reason, code);
        self.set_timer(Timer::Reconnect, pause);
    }

    /// A random span up to `longest`.
    pub(super) fn jitter(&mut self, longest: Duration) -> Duration {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        longest.mul_f64(share)
    }

    /// Puts a stanza on the wire of the present link that depends on no commit.
    pub(super) fn send(&mut self, stanza: &Stanza) {
        if let Some(link) = self.connection.up()
            && let Some(bytes) = encode(stanza)
        {
            self.wire.push_back((link, bytes));
        }
    }
}

/// A stanza of ours as bytes. `None` when a JID that a peer gave us cannot be written.
pub(super) fn encode(stanza: &Stanza) -> Option<Bytes> {
    stanza::say(stanza).ok()
}
