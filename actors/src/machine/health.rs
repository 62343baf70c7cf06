//! How WhatsApp judges the account: locked for new chats, at the end of its quota, and what it refused.
//!
//! What must hold: what is known stands in the device's row, so the next owner knows it too; while new chats are
//! barred none is begun, neither by a new call nor by a message that waits; after a refusal nothing is tried again
//! before WhatsApp has said how long it lasts, because each try makes it worse; however many callers want to know it
//! anew, WhatsApp is asked once a minute.

mod refresh;

use std::time::Duration;

use roost_proto::api;
use roost_proto::api::account_health::{Capping, Nack, TimeLock, capping};
use roost_proto::api::event::Payload;
use roost_proto::ask::Question as _;
use roost_proto::ask::health::{self, CappingStatus, GetCapping, GetTimeLock, Told};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Stanza;

use super::appstate::{millis, timestamp};
use super::requests::Asked;
use super::timer::Timer;
use super::{Effect, Machine};
use crate::device::Bar;

/// The code of a message that begins a chat although the account may not; also when the receiver's privacy asks for
/// a token that was not sent.
const LOCKED: u32 = 463;
/// The code of a message that begins a chat beyond the quota.
const CAPPED: u32 = 475;
/// How long a lock lasts of which WhatsApp says no end; WhatsApp Web takes it for as long.
const LOCK: Duration = Duration::from_secs(60);
/// How long a used-up quota lasts while WhatsApp has not said it.
const CYCLE: Duration = Duration::from_secs(3600);
/// Refusals are counted for so many different codes.
const CODES: usize = 16;

/// What is known of the account.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) now: api::AccountHealth,
    logged: u64,
    fresh: refresh::Fresh,
}

impl Machine {
    /// What the last owner has left.
    pub(super) fn health_load(&mut self) {
        self.health.now = self.status.left().map(|left| left.health.clone()).unwrap_or_default();
        self.plan_health();
    }

    /// Of another account nothing is known yet.
    pub(super) fn health_reset(&mut self) {
        if self.health.now != api::AccountHealth::default() {
            self.health.now = api::AccountHealth::default();
            self.save_health(true);
        }
    }

    /// Why no new chat may be begun now.
    pub(super) fn bar(&self) -> Option<Bar> {
        let now = self.now.wall;
        let lock = self.health.now.time_lock.as_ref();
        if let Some(until) = lock.and_then(|lock| millis(lock.until.as_ref())).filter(|until| *until > now) {
            return Some(Bar::TimeLock { until });
        }
        let quota = self.health.now.capping.as_ref().filter(|quota| is_capped(quota))?;
        let until = millis(quota.cycle_end.as_ref()).filter(|until| *until > now)?;
        Some(Bar::Capped { until, used: quota.used, total: quota.total })
    }

    /// After a login: a bar that was known may be gone.
    pub(super) fn check_health(&mut self) {
        match self.bar() {
            Some(Bar::TimeLock { .. }) => self.ask_time_lock(),
            Some(Bar::Capped { .. }) => self.ask_capping(),
            None => {}
        }
    }

    /// WhatsApp has refused a message with this code.
    pub(super) fn note_nack(&mut self, code: u32) {
        let at = Some(timestamp(self.now.wall));
        let nacks = &mut self.health.now.nacks;
        match nacks.iter_mut().find(|nack| nack.code == code) {
            Some(nack) => (nack.count, nack.last_time) = (nack.count + 1, at),
            None => {
                nacks.push(Nack { code, count: 1, last_time: at });
                nacks.truncate(CODES);
            }
        }
        match code {
            LOCKED => {
                let known = matches!(self.bar(), Some(Bar::TimeLock { .. }));
                if !known {
                    self.set_lock(Some(health::TimeLock { until: None, reason: String::new() }));
                }
                self.ask_time_lock();
            }
            CAPPED => {
                if self.bar().is_none() {
                    let known = self.health.now.capping.unwrap_or_default();
                    let capped = CappingStatus::Capped;
                    let (total, used) = (known.total, known.used);
                    self.set_capping(&health::Capping { status: capped, total, used, cycle_end: None });
                }
                self.ask_capping();
            }
            _ => {}
        }
        self.save_health(false);
    }

    /// A notification of type `mex`.
    pub(super) fn on_mex(&mut self, notification: &Stanza) {
        match health::told(notification) {
            Some(Told::TimeLock(lock)) => self.set_lock(lock),
            Some(Told::Capping(quota)) => self.set_capping(&quota),
            None => {}
        }
    }

    pub(super) fn on_time_lock(&mut self, answer: Result<Stanza, u16>) {
        if let Some(lock) = answer.ok().and_then(|answer| GetTimeLock.read(&answer).ok()) {
            self.set_lock(lock);
        }
    }

    pub(super) fn on_capping(&mut self, answer: Result<Stanza, u16>) {
        if let Some(quota) = answer.ok().and_then(|answer| GetCapping.read(&answer).ok()) {
            self.set_capping(&quota);
        }
    }

    fn ask_time_lock(&mut self) {
        self.ask_health(Asked::TimeLock, GetTimeLock.request());
    }

    fn ask_capping(&mut self) {
        self.ask_health(Asked::Capping, GetCapping.request());
    }

    fn ask_health(&mut self, asked: Asked, question: Stanza) {
        if self.connection.greeted() {
            self.request_of_ours(asked, question);
        }
    }

    fn set_lock(&mut self, lock: Option<health::TimeLock>) {
        let now = self.now.wall;
        let lock = lock.map(|lock| TimeLock {
            until: Some(timestamp(lock.until.unwrap_or_else(|| after(now, LOCK)))),
            reason: lock.reason,
        });
        let lock = lock.filter(|lock| millis(lock.until.as_ref()).is_some_and(|until| until > now));
        if self.health.now.time_lock != lock {
            self.health.now.time_lock = lock;
            self.save_health(true);
        }
    }

    fn set_capping(&mut self, quota: &health::Capping) {
        let status = match quota.status {
            CappingStatus::None => capping::Status::None,
            CappingStatus::FirstWarning => capping::Status::FirstWarning,
            CappingStatus::SecondWarning => capping::Status::SecondWarning,
            CappingStatus::Capped => capping::Status::Capped,
        };
        // An end that is over by our clock is none: it would be asked about without a pause.
        let cycle_end = quota.cycle_end.filter(|end| *end > self.now.wall);
        let lasting = (quota.status == CappingStatus::Capped).then(|| after(self.now.wall, CYCLE));
        let quota = Capping {
            status: status.into(),
            total: quota.total,
            used: quota.used,
            cycle_end: cycle_end.or(lasting).map(timestamp),
        };
        if self.health.now.capping.as_ref() != Some(&quota) {
            self.health.now.capping = Some(quota);
            self.save_health(true);
        }
    }

    /// A bar may be over: says so, and lets what waits go on.
    pub(super) fn health_due(&mut self) {
        let now = self.now.wall;
        let over = |at: Option<UnixMillis>| at.is_some_and(|at| at <= now);
        if over(self.health.now.time_lock.as_ref().and_then(|lock| millis(lock.until.as_ref()))) {
            self.set_lock(None);
        }
        let quota = self.health.now.capping.as_ref().filter(|quota| is_capped(quota));
        if over(quota.and_then(|quota| millis(quota.cycle_end.as_ref()))) {
            let total = quota.map_or(0, |quota| quota.total);
            let status = CappingStatus::None;
            self.set_capping(&health::Capping { status, total, used: 0, cycle_end: None });
            self.ask_capping();
        }
        self.plan_health();
    }

    fn plan_health(&mut self) {
        let lock = self.health.now.time_lock.as_ref().and_then(|lock| millis(lock.until.as_ref()));
        let quota = self.health.now.capping.as_ref().filter(|quota| is_capped(quota));
        let quota = quota.and_then(|quota| millis(quota.cycle_end.as_ref()));
        match lock.into_iter().chain(quota).min() {
            Some(at) => {
                let left = u64::try_from(at.0.saturating_sub(self.now.wall.0)).unwrap_or(0);
                self.set_timer(Timer::Health, Duration::from_millis(left + 1));
            }
            None => self.clear_timer(Timer::Health),
        }
    }

    /// Into the device's row; with an event when callers may do something else now.
    fn save_health(&mut self, changed: bool) {
        self.health.now.change_time = Some(timestamp(self.now.wall));
        let health = self.health.now.clone();
        let row = self.status.note_health(&health);
        self.effects.push(Effect::Publish(self.status.now.clone()));
        self.commits.pending().batch.status = Some(row);
        if changed {
            self.plan_health();
            self.health.logged += 1;
            let (epoch, at) = (self.opening.grant.epoch, self.now.wall.0);
            let dedupe = format!("health/{epoch}/{at}/{}", self.health.logged);
            let changed = api::AccountHealthChanged { health: Some(health) };
            let event = self.synthetic(dedupe, Payload::AccountHealthChanged(changed));
            self.commits.pending().batch.events.push(event);
        }
    }
}

fn is_capped(quota: &Capping) -> bool {
    quota.status() == capping::Status::Capped
}

fn after(at: UnixMillis, span: Duration) -> UnixMillis {
    UnixMillis(at.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}
