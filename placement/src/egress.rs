//! Whether the way of a node to WhatsApp is broken while others get there: then it gives its devices to them, and it
//! takes devices again when its way works again.
//!
//! What must hold: nothing leaves while WhatsApp is away for everybody, while nothing shows that others reach it,
//! or when nobody could take a device; who has come back stays for a while, longer with each time. It decides by
//! counts that heartbeats carry, so a view that is behind costs a hand-off too many, never exclusivity.

use std::time::Duration;

use roost_proto::id::NodeId;

use crate::lease::BootTime;
use crate::ledger::{Member, MemberState, Timing, View};

/// A device fails once its attempts have not got through to WhatsApp for this long.
const LONG: Duration = Duration::from_secs(10);

/// The way of a node is broken when so many of a hundred devices that try fail; when fewer than half of that do, it
/// is broken no more.
const BROKEN_PERCENT: u64 = 30;

/// After its n-th return a node keeps its devices for 2ⁿ⁻¹ times as long as after the first, at most with this n.
const MOST_RESTS: u32 = 5;

/// How the devices of a node get through to WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Devices that are connected.
    pub connected: u32,
    /// Devices that fail: nothing but the way is to blame, and for ten seconds already.
    pub failing: u32,
    /// How long ago WhatsApp was last heard, by a device or by a probe; `None` when it never was.
    pub heard: Option<Duration>,
}

impl Reach {
    /// Counts a device in: whether it is connected at `now`, when it last heard WhatsApp, and since when its attempts
    /// fail.
    pub fn count(
        &mut self,
        connected: bool,
        heard: Option<BootTime>,
        failing: Option<BootTime>,
        now: BootTime,
    ) {
        self.connected += u32::from(connected);
        self.failing += u32::from(failing.is_some_and(|since| now.since(since) >= LONG));
        let heard = heard.filter(|_| connected).map(|at| now.since(at));
        self.heard = self.heard.into_iter().chain(heard).min();
    }

    /// Whether at least this many of a hundred devices that try fail.
    fn fails(&self, percent: u64) -> bool {
        let (failing, connected) = (u64::from(self.failing), u64::from(self.connected));
        failing > 0 && failing * 100 >= (failing + connected) * percent
    }

    /// Whether so many devices fail that the way is broken.
    pub fn is_broken(&self) -> bool {
        self.fails(BROKEN_PERCENT)
    }
}

/// What a node says of itself with each heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Devices that it owns.
    pub owned: u32,
    /// How they get through.
    pub reach: Reach,
    /// It drains because its way to WhatsApp is broken, and comes back by itself.
    pub cut_off: bool,
}

impl From<u32> for Report {
    fn from(owned: u32) -> Report {
        Report { owned, ..Report::default() }
    }
}

/// Why a node whose way is broken keeps its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// No other member could take them.
    Alone,
    /// More of the others fail as well than get there: it is WhatsApp, or everybody's way.
    AllFail,
    /// Nothing shows that one of those that could take them gets there.
    NobodyKnown,
}

fn others<'a>(view: &'a View, me: &NodeId) -> impl Iterator<Item = &'a Member> {
    view.members.iter().filter(move |member| member.life.node != *me)
}

/// Whether a member takes devices while its lease runs.
fn is_active(member: &Member) -> bool {
    member.state == MemberState::Active && !member.cordoned
}

/// Whether a member that takes devices gets through, by what was heard within this time.
pub fn is_well(member: &Member, within: Duration) -> bool {
    is_active(member)
        && !member.remaining.is_zero()
        && !member.reach.is_broken()
        && member.reach.heard.is_some_and(|heard| heard <= within)
}

/// Whether the devices of `me`, which fail, should go to others. `within`: how fresh must be what the others
/// have heard, or it may be from before WhatsApp went away for everybody.
///
/// # Errors
/// [`Keeps`]: why not.
pub fn judge(view: &View, me: &NodeId, within: Duration) -> Result<(), Keeps> {
    if !others(view, me).any(|member| is_active(member) && !member.remaining.is_zero()) {
        return Err(Keeps::Alone);
    }
    let well = others(view, me).filter(|member| is_well(member, within)).count();
    let fail = others(view, me).filter(|member| member.cut_off || member.reach.is_broken()).count();
    match (well, fail) {
        (0, 0) => Err(Keeps::NobodyKnown),
        _ if fail > well || well == 0 => Err(Keeps::AllFail),
        _ => Ok(()),
    }
}

/// How long things take; part of `Pace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two probes.
    pub probe: Duration,
    /// Probes must have succeeded for this long before a node comes back.
    pub back: Duration,
    /// For this long after its first return it does not leave again.
    pub rest: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        Patience { probe: seconds(5), back: seconds(30), rest: seconds(600) }
    }
}

/// What a node knows of its own way.
#[derive(Debug, Default)]
pub struct Egress {
    reach: Reach,
    looked: Option<BootTime>,
    broken: Option<BootTime>,
    away: bool,
    /// The last probe that got through, and since when all have.
    probed: Option<BootTime>,
    works: Option<BootTime>,
    probing: bool,
    probe_next: Option<BootTime>,
    returned: Option<BootTime>,
    returns: u32,
}

impl Egress {
    /// Whether the devices are to be elsewhere.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// How the devices here get through, counted at this moment.
    pub fn see(&mut self, reach: Reach, now: BootTime) {
        (self.reach, self.looked) = (reach, Some(now));
        if reach.is_broken() {
            self.broken.get_or_insert(now);
        } else if !reach.fails(BROKEN_PERCENT / 2) {
            self.broken = None;
        }
    }

    /// The same with what probes have heard.
    pub fn reach(&self, now: BootTime) -> Reach {
        let late = self.looked.map(|looked| now.since(looked)).unwrap_or_default();
        let devices = self.reach.heard.map(|heard| heard + late);
        let probe = self.probed.map(|probed| now.since(probed));
        Reach { heard: devices.into_iter().chain(probe).min(), ..self.reach }
    }

    /// How fresh must be what others have heard: younger than the trouble here, which is older than [`LONG`] when it is
    /// seen, and than the heartbeat that brought it.
    pub fn within(&self, timing: &Timing, now: BootTime) -> Duration {
        let trouble = self.broken.map(|broken| now.since(broken)).unwrap_or_default();
        (trouble + LONG).saturating_sub(timing.ttl)
    }

    /// Decides whether the devices are to be elsewhere; true when that has changed.
    pub fn weigh(
        &mut self,
        view: &View,
        me: &NodeId,
        timing: &Timing,
        patience: &Patience,
        now: BootTime,
    ) -> bool {
        let verdict = judge(view, me, self.within(timing, now));
        let changes = if self.away {
            let works = self.works.is_some_and(|since| now.since(since) >= patience.back);
            works || !others(view, me).any(is_active)
        } else {
            self.broken.is_some() && !self.rests(patience, now) && !view.frozen && verdict.is_ok()
        };
        if changes && self.away {
            (self.away, self.returned) = (false, Some(now));
            self.returns += 1;
            // What is known is of the time before.
            (self.broken, self.works) = (None, None);
        } else if changes {
            self.away = true;
            (self.works, self.probe_next) = (None, Some(now.plus(patience.probe)));
            let long_ago = |returned: BootTime| now.since(returned) >= self.rest(patience).saturating_mul(2);
            if self.returned.is_some_and(long_ago) {
                self.returns = 0;
            }
        }
        changes
    }

    /// Whether to try the way now: while the devices are elsewhere, and, to be known to those that fail, while
    /// others fail and no device here tells anything.
    pub fn probe(&mut self, view: &View, me: &NodeId, patience: &Patience, now: BootTime) -> bool {
        let idle = self.reach.connected == 0 && self.reach.failing == 0;
        let asked = || others(view, me).any(|member| member.reach.is_broken());
        let wanted = self.away || (idle && asked());
        if self.probing || !wanted || self.probe_next.is_some_and(|next| now < next) {
            return false;
        }
        (self.probing, self.probe_next) = (true, Some(now.plus(patience.probe)));
        true
    }

    /// What came of a probe.
    pub fn probed(&mut self, got_through: bool, now: BootTime) {
        self.probing = false;
        if got_through {
            self.probed = Some(now);
            self.works.get_or_insert(now);
        } else {
            self.works = None;
        }
    }

    /// How long it stays after its last return.
    fn rest(&self, patience: &Patience) -> Duration {
        patience.rest.saturating_mul(1 << self.returns.saturating_sub(1).min(MOST_RESTS - 1))
    }

    fn rests(&self, patience: &Patience, now: BootTime) -> bool {
        self.returned.is_some_and(|returned| now.since(returned) < self.rest(patience))
    }
}

/// What happens to a device of a member whose way is broken, for people; `None` when the way is not, or
/// something else is to be said.
pub fn next(view: &View, owner: &Member, first: Option<&NodeId>) -> Option<String> {
    let (life, reach) = (&owner.life, &owner.reach);
    if owner.cut_off {
        return Some(match first {
            Some(node) => {
                format!("{life} cannot reach WhatsApp (egress drain): it should hand the device to {node}.")
            }
            None => format!(
                "{life} cannot reach WhatsApp (egress drain), and nobody can take the device: it stays."
            ),
        });
    }
    if !reach.is_broken() || owner.state != MemberState::Active {
        return None;
    }
    let so = format!("{life} cannot reach WhatsApp for {} of its devices", reach.failing);
    Some(match judge(view, &life.node, Duration::MAX) {
        Err(Keeps::Alone) => format!("{so}; it keeps them, for no other node could take them."),
        Err(Keeps::AllFail) => format!("{so}, and neither do the others: it keeps them."),
        Err(Keeps::NobodyKnown) => format!("{so}; it keeps them until another node is known to reach it."),
        Ok(()) if view.frozen => format!("{so}; an operator has frozen placement, so it keeps them."),
        Ok(()) => format!("{so}, and others do: it should drain, unless it has done so a short time ago."),
    })
}

#[cfg(test)]
mod tests;
