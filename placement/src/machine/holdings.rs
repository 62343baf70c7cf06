//! The devices of this node, each with its own small machine: running, stopping, being given or freed.
//!
//! What must hold: a device is given or freed only after it has stopped; it is started only under a
//! grant that is newer than every grant this node has let go; when the outcome of a give or a release
//! is unknown, the row is read before anything else happens, so that half of a hand-off never leaves a
//! device with two owners or none. It does not choose targets and does not pace.

mod attached;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roost_proto::id::{DeviceKey, Epoch};

use super::phase::{Held, Phase, Seen, Then, Why};
use super::step::{Answer, Effect, HandOffError, Origin};
use crate::lease::BootTime;
use crate::ledger::{Desired, Grant, Ownership};
use crate::seeded::{self, Bug};

/// After the store did not answer, the row is read again this much later.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// All devices of this node.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: BTreeMap<DeviceKey, Held>,
    /// Those that are not simply running.
    busy: BTreeSet<DeviceKey>,
    /// Newest grant of each device that was let go, and the number of the first list that knows it.
    left: BTreeMap<DeviceKey, (Epoch, u64)>,
    /// Lists and looks of a lower number may know what the database has lost since.
    outdated: u64,
    /// Whether devices may be started at present.
    may_start: bool,
}

impl Holdings {
    /// Whether devices may be started from now on.
    pub(super) fn allow(&mut self, may_start: bool) {
        self.may_start = may_start;
    }

    /// How many devices this node owns, as far as it knows.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// The same, as a member says it.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }

    /// How many of them are neither running nor waiting for a place.
    pub(super) fn moving(&self) -> usize {
        self.busy.len() - self.idle().count()
    }

    pub(super) fn grant(&self, key: &DeviceKey) -> Option<&Grant> {
        self.held.get(key).map(|held| &held.grant)
    }

    /// Whether it runs and nothing else is planned for it.
    pub(super) fn phase(&self, key: &DeviceKey) -> Option<&Phase> {
        self.held.get(key).map(|held| &held.phase)
    }

    pub(super) fn is_running(&self, key: &DeviceKey) -> bool {
        self.held.get(key).is_some_and(|held| held.phase == Phase::Running)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &DeviceKey> {
        self.held.keys()
    }

    /// Devices that run since before `arrived`, in order of key.
    pub(super) fn running_since_before(&self, arrived: BootTime) -> impl Iterator<Item = &Grant> {
        self.held
            .values()
            .filter(move |held| held.phase == Phase::Running && held.since <= arrived)
            .map(|held| &held.grant)
    }

    /// Devices that have stopped and wait for a place, with the targets that refused them.
    pub(super) fn idle(&self) -> impl Iterator<Item = (&Grant, u32)> {
        self.busy.iter().filter_map(|key| {
            let held = self.held.get(key)?;
            (held.phase == Phase::Idle).then_some((&held.grant, held.tries))
        })
    }

    /// A new grant, to run (with its origin) or to pass on. `arrived` is the time that later moves look at.
    pub(super) fn take(
        &mut self,
        grant: Grant,
        run: Option<Origin>,
        arrived: BootTime,
        number: u64,
        out: &mut Vec<Effect>,
    ) {
        if self.is_known(&grant) {
            return;
        }
        let phase = if run.is_some() { Phase::Running } else { Phase::Idle };
        if let Some(origin) = run {
            out.push(Effect::Start(grant.clone(), origin));
        }
        let key = grant.key.clone();
        let held = Held { grant, phase: phase.clone(), stopped: arrived, since: arrived, number, tries: 0 };
        self.held.insert(key.clone(), held);
        self.set(&key, phase);
    }

    /// Whether this grant, or a newer one, is held or was let go.
    fn is_known(&self, grant: &Grant) -> bool {
        let left = self.left.get(&grant.key).is_some_and(|(epoch, _)| *epoch >= grant.epoch);
        left || self.held.contains_key(&grant.key)
    }

    /// Orders a running device to stop, then this.
    pub(super) fn stop(&mut self, key: &DeviceKey, then: Then, now: BootTime, out: &mut Vec<Effect>) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.runs()) else { return };
        held.stopped = now;
        if held.is_requested() {
            out.push(Effect::HandedOff(key.clone(), Err(HandOffError::Lost)));
        }
        out.push(Effect::Stop(held.grant.clone()));
        if let (true, Then::Give(gift)) = (seeded::on(Bug::GiveBeforeFlush), &then) {
            out.push(Effect::Give(held.grant.clone(), gift.to.clone()));
            return self.set(key, Phase::Giving(gift.clone()));
        }
        self.set(key, Phase::Stopping(then));
    }

    /// The device has stopped.
    pub(super) fn stopped(&mut self, grant: &Grant, now: BootTime, number: u64, out: &mut Vec<Effect>) {
        let Some(held) = self.current(grant) else { return };
        match held.phase.clone() {
            Phase::Stopping(then) => self.after(&grant.key, then, number, out),
            Phase::Running | Phase::Warming(_) => {
                self.ended(grant, now, out);
            }
            _ => {}
        }
    }

    /// The device has ended by itself: the row says what to do. Returns whether it was running.
    pub(super) fn ended(&mut self, grant: &Grant, now: BootTime, out: &mut Vec<Effect>) -> bool {
        let Some(held) = self.current(grant) else { return false };
        let running = held.runs();
        if running {
            if held.is_requested() {
                out.push(Effect::HandedOff(grant.key.clone(), Err(HandOffError::Lost)));
            }
            self.set(&grant.key, Phase::Asking(Then::Release, Some(now)));
        }
        running
    }

    /// The ledger's answer to a release.
    pub(super) fn released(&mut self, grant: &Grant, answer: Answer<bool>, now: BootTime, number: u64) {
        if self.current(grant).is_none_or(|held| held.phase != Phase::Releasing) {
            return;
        }
        match answer {
            Ok(_) => self.let_go(&grant.key, number),
            Err(_) => self.set(&grant.key, Phase::Asking(Then::Release, Some(now.plus(ASK_AGAIN)))),
        }
    }

    /// Rows to read now, because the outcome of something is unknown.
    pub(super) fn questions(&mut self, now: BootTime) -> Vec<DeviceKey> {
        let mut keys = Vec::new();
        for key in &self.busy {
            let Some(held) = self.held.get_mut(key) else { continue };
            if let Phase::Asking(_, at @ Some(_)) = &mut held.phase
                && at.is_some_and(|at| at <= now)
            {
                *at = None;
                keys.push(key.clone());
            }
        }
        keys
    }

    /// A row that was read under this number of lists and looks. `run`: whether devices may be started;
    /// `keep`: whether this node takes devices at all.
    pub(super) fn row(
        &mut self,
        key: &DeviceKey,
        row: Answer<Option<&Ownership>>,
        seen: Seen<'_>,
        out: &mut Vec<Effect>,
    ) {
        let asking = match self.held.get(key).map(|held| &held.phase) {
            Some(Phase::Asking(then, None)) => Some(then.clone()),
            _ => None,
        };
        match (asking, row) {
            (Some(then), Err(_)) => self.set(key, Phase::Asking(then, Some(seen.now.plus(ASK_AGAIN)))),
            (Some(then), Ok(row)) => self.resolve(key, then, row, &seen, out),
            (None, Err(_)) => {}
            (None, Ok(Some(row))) if row.owner.as_ref() == Some(seen.me) => self.mine(row, &seen, out),
            (None, Ok(_)) => self.not_mine(key, &seen, out),
        }
    }

    /// The whole list of this node's rows, as it was at `seen.number`.
    pub(super) fn listed(&mut self, rows: &[Ownership], seen: Seen<'_>, out: &mut Vec<Effect>) {
        let listed: BTreeSet<&DeviceKey> = rows.iter().map(|row| &row.key).collect();
        let gone: Vec<DeviceKey> = self.held.keys().filter(|key| !listed.contains(key)).cloned().collect();
        for key in gone {
            self.not_mine(&key, &seen, out);
        }
        for row in rows {
            self.mine(row, &seen, out);
        }
        // Lists from now on are newer than these departures, so nothing can bring them back.
        self.left.retain(|key, (_, number)| *number > seen.number || listed.contains(key));
    }

    /// The ledger says that this node owns the device.
    fn mine(&mut self, row: &Ownership, seen: &Seen<'_>, out: &mut Vec<Effect>) {
        let grant = Grant { key: row.key.clone(), life: seen.me.clone(), epoch: row.epoch };
        let wanted = row.desired == Desired::Online;
        let Some(held) = self.held.get_mut(&row.key) else {
            if seen.number < self.outdated {
                return;
            }
            if wanted && row.epoch > seen.floor && (seen.run || seen.passing_on) {
                self.take(grant, seen.run.then_some(Origin::Given), seen.now, seen.newest, out);
            } else if !wanted && !self.is_known(&grant) {
                self.take(grant, None, seen.now, seen.newest, out);
                self.after(&row.key, Then::Release, seen.newest, out);
            }
            return;
        };
        if row.epoch > held.grant.epoch {
            match &mut held.phase {
                Phase::Running | Phase::Warming(_) => {
                    self.stop(&row.key, Then::Replace(grant), seen.now, out);
                }
                Phase::Stopping(then) => *then = Then::Replace(grant),
                Phase::Idle => held.grant = grant,
                Phase::Giving(_) | Phase::Releasing | Phase::Asking(..) => {}
            }
        } else if row.epoch == held.grant.epoch && !wanted {
            self.stop(&row.key, Then::Release, seen.now, out);
        }
    }

    /// The ledger says that this node does not own the device.
    fn not_mine(&mut self, key: &DeviceKey, seen: &Seen<'_>, out: &mut Vec<Effect>) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.number <= seen.number) else { return };
        match &mut held.phase {
            Phase::Running | Phase::Warming(_) => {
                out.push(Effect::Overtaken(held.grant.clone()));
                self.stop(key, Then::Forget, seen.now, out);
            }
            Phase::Stopping(Then::Give(gift)) if gift.why == Why::Requested => {
                out.push(Effect::HandedOff(key.clone(), Err(HandOffError::Lost)));
                self.set(key, Phase::Stopping(Then::Forget));
            }
            Phase::Stopping(then) => *then = Then::Forget,
            Phase::Idle => self.let_go(key, seen.newest),
            Phase::Giving(_) | Phase::Releasing | Phase::Asking(..) => {}
        }
    }

    /// The outcome of `then` was unknown; now the row is known.
    fn resolve(
        &mut self,
        key: &DeviceKey,
        then: Then,
        row: Option<&Ownership>,
        seen: &Seen<'_>,
        out: &mut Vec<Effect>,
    ) {
        let Some(held) = self.held.get_mut(key) else { return };
        let ours = row.filter(|row| row.owner.as_ref() == Some(seen.me) && row.epoch == held.grant.epoch);
        match (then, ours) {
            (then @ Then::Give(_), Some(_)) if !self.may_start && !seen.passing_on => {
                self.set(key, Phase::Asking(then, Some(seen.now.plus(ASK_AGAIN))));
            }
            (Then::Give(gift), Some(_)) => match gift.why {
                // Stopped devices of a draining node never start again.
                _ if seen.passing_on => {
                    held.tries += 1;
                    self.set(key, Phase::Idle);
                    if gift.why == Why::Requested {
                        out.push(Effect::HandedOff(key.clone(), Err(HandOffError::TargetRefused)));
                    }
                }
                why => {
                    out.push(Effect::Start(held.grant.clone(), Origin::Again));
                    self.set(key, Phase::Running);
                    if why == Why::Requested {
                        out.push(Effect::HandedOff(key.clone(), Err(HandOffError::TargetRefused)));
                    }
                }
            },
            (Then::Give(gift), None) => {
                let theirs = row.filter(|row| row.owner.as_ref() == Some(&gift.to));
                match theirs.filter(|row| row.epoch.0 == held.grant.epoch.0 + 1) {
                    Some(row) => {
                        let theirs = Grant { key: key.clone(), life: gift.to.clone(), epoch: row.epoch };
                        self.gone_to(theirs, &gift, seen.now, seen.newest, out);
                    }
                    None => {
                        if gift.why == Why::Requested {
                            out.push(Effect::HandedOff(key.clone(), Err(HandOffError::Lost)));
                        }
                        self.let_go(key, seen.newest);
                    }
                }
            }
            (Then::Restart, Some(_)) if seen.passing_on => self.set(key, Phase::Idle),
            (Then::Restart, Some(_)) if self.may_start => {
                out.push(Effect::Start(held.grant.clone(), Origin::Reattached));
                self.set(key, Phase::Running);
            }
            (Then::Restart, Some(_)) => {
                self.set(key, Phase::Asking(Then::Restart, Some(seen.now.plus(ASK_AGAIN))));
            }
            (_, Some(_)) => self.after(key, Then::Release, seen.newest, out),
            (_, None) => {
                out.push(Effect::Overtaken(held.grant.clone()));
                self.let_go(key, seen.newest);
            }
        }
    }

    /// How long ago it was told to stop.
    pub(super) fn pause(&self, key: &DeviceKey, now: BootTime) -> Duration {
        self.held.get(key).map_or(Duration::ZERO, |held| now.since(held.stopped))
    }

    /// A stopped device goes on its way.
    pub(super) fn after(&mut self, key: &DeviceKey, then: Then, number: u64, out: &mut Vec<Effect>) {
        let Some(held) = self.held.get(key) else { return };
        let (grant, arrived) = (held.grant.clone(), held.since);
        match then {
            Then::Give(gift) => {
                out.push(Effect::Give(grant, gift.to.clone()));
                self.set(key, Phase::Giving(gift));
            }
            Then::Release => {
                out.push(Effect::Release(grant));
                self.set(key, Phase::Releasing);
            }
            Then::Forget => self.let_go(key, number),
            // The row says whether it is still ours.
            Then::Restart => self.set(key, Phase::Asking(Then::Restart, Some(BootTime(0)))),
            Then::Replace(newer) => {
                self.let_go(key, number);
                // Otherwise the list that ends the quiet finds it.
                if self.may_start {
                    self.take(newer, Some(Origin::Given), arrived, number, out);
                }
            }
        }
    }

    pub(super) fn let_go(&mut self, key: &DeviceKey, number: u64) {
        self.busy.remove(key);
        if let Some(held) = self.held.remove(key) {
            self.left.insert(key.clone(), (held.grant.epoch, number));
        }
    }

    pub(super) fn current(&self, grant: &Grant) -> Option<&Held> {
        self.held.get(&grant.key).filter(|held| held.grant == *grant)
    }

    pub(super) fn set(&mut self, key: &DeviceKey, phase: Phase) {
        if phase == Phase::Running {
            self.busy.remove(key);
        } else {
            self.busy.insert(key.clone());
        }
        if let Some(held) = self.held.get_mut(key) {
            held.phase = phase;
        }
    }
}
