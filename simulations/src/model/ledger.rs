//! The ledger of the model: the statements of `ownership.md` section 3, as steps on maps.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Desired, Grant, Holder, JoinError, Ledger, Member, MemberState, NEIGHBOURS,
    Ownership, Permit, Posted, Timing, Transition, Unavailable, View, epoch_floor,
};
use roost_placement::seeded::{self, Bug};
use roost_placement::wish::{Spreading, Surveyed};
use roost_proto::id::{Age, DeviceKey, Incarnation, Life, UnixMillis};

use super::Model;
use super::tables::{MemberRow, Tables};

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

fn left(until: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(until - now).unwrap_or(0))
}

fn view(tables: &Tables, now: i64) -> View {
    let living = tables.members.iter().filter(|(_, row)| row.state != MemberState::Dead);
    let members = living.map(|(node, row)| Member {
        life: Life { node: node.clone(), incarnation: row.incarnation },
        address: row.address.clone(),
        zone: row.zone.clone(),
        weight: row.weight,
        state: row.state,
        version: row.version,
        owned: row.said.owned,
        remaining: left(row.lease_until, now),
        beats: row.beats,
        cordoned: row.cordoned,
        reach: row.said.reach,
        cut_off: row.said.cut_off,
    });
    View {
        view_epoch: tables.view_epoch,
        members: members.collect(),
        frozen: tables.frozen,
        max_version: tables.max_version,
        cluster_epoch: tables.cluster_epoch,
        blocked: left(tables.takeover_blocked_until, now),
        lapsed: false,
    }
}

fn join(
    tables: &mut Tables,
    now: i64,
    c: &Candidate,
    silent: Option<&Holder>,
    timing: &Timing,
) -> Result<Life, JoinError> {
    let living = tables.members.iter().filter(|(node, _)| **node != c.node);
    let mut living = living.filter(|(_, row)| row.state != MemberState::Dead && row.lease_until > now);
    if let Some((member, row)) = living.find(|(_, row)| row.version.abs_diff(c.version) > NEIGHBOURS) {
        return Err(JoinError::Apart { member: member.clone(), theirs: row.version, ours: c.version });
    }
    let wait = millis(timing.grace + timing.quarantine());
    let life = |incarnation| Life { node: c.node.clone(), incarnation };
    let floor = epoch_floor(tables.cluster_epoch).0;
    let (mut incarnation, mut cordoned) = (Incarnation(floor + 1), false);
    if let Some(row) = tables.members.get(&c.node) {
        let holder = Holder { life: life(row.incarnation), beats: row.beats };
        let witnessed = silent == Some(&holder) || seeded::on(Bug::JoinByDatabaseClock);
        if row.state != MemberState::Dead && !(witnessed && row.lease_until + wait < now) {
            return Err(JoinError::InUse { holder, wait: left(row.lease_until + wait, now) });
        }
        let next = i64::from(!seeded::on(Bug::IncarnationReused));
        incarnation = Incarnation(row.incarnation.0.max(floor) + next);
        cordoned = row.cordoned;
    }
    let row = MemberRow {
        incarnation,
        address: c.address.clone(),
        zone: c.zone.clone(),
        weight: c.weight.max(1),
        version: c.version,
        state: MemberState::Joining,
        lease_until: now + millis(timing.ttl),
        lease_since: now,
        granted: millis(timing.ttl),
        beats: 0,
        said: Report::default(),
        cordoned,
    };
    tables.members.insert(c.node.clone(), row);
    tables.view_epoch += 1;
    Ok(life(incarnation))
}

fn set_state(tables: &mut Tables, life: &Life, state: MemberState) -> bool {
    let Some(row) = tables.living(life) else { return false };
    row.state = state;
    tables.view_epoch += 1;
    true
}

fn bury(tables: &mut Tables, now: i64, me: &Life, victim: &Life, timing: &Timing) -> bool {
    let blocked = tables.takeover_blocked_until.max(tables.hold_off_until) >= now;
    let unbroken = |row: &MemberRow| {
        row.lease_since + millis(timing.quarantine()) < now || seeded::on(Bug::NoQuarantine)
    };
    let fit = tables.living(me).is_some_and(|row| row.lease_until > now && unbroken(row));
    let lapsed =
        |row: &MemberRow| row.lease_until + millis(timing.grace) < now || seeded::on(Bug::EarlyBurial);
    let over = tables.living(victim).is_some_and(|row| lapsed(row));
    !blocked && fit && over && set_state(tables, victim, MemberState::Dead)
}

fn may_take(tables: &mut Tables, now: i64, life: &Life, lease: i64) -> bool {
    let fit = |row: &mut MemberRow| {
        let takes = row.state == MemberState::Active || seeded::on(Bug::DrainAccepts);
        takes && !row.cordoned && row.lease_until > now + lease
    };
    tables.living(life).is_some_and(fit)
}

fn claim(tables: &mut Tables, now: i64, me: &Life, from: Option<&Life>, keys: &[DeviceKey]) -> Vec<Grant> {
    let blocked = tables.takeover_blocked_until >= now;
    if blocked || !may_take(tables, now, me, 0) || from.is_some_and(|from| !tables.is_over(from)) {
        return Vec::new();
    }
    let reason = if from.is_some() { "take-over" } else { "claim" };
    let wanted: BTreeSet<&DeviceKey> = keys.iter().collect();
    let mut won = Vec::new();
    for key in wanted {
        let row = tables.ownership.get(key).filter(|row| row.wish.allows(&me.node));
        let Some(row) = row.filter(|row| row.desired == Desired::Online) else { continue };
        let mut free = row.owner.as_ref() == from;
        if seeded::on(Bug::AntiJoinClaim) {
            let snapshot = tables.snapshot(now);
            free |= tables.owner_at(key, snapshot).map(|(owner, _)| owner) == from;
        }
        if free {
            let epoch = tables.hand(key, Some(me), reason, now);
            won.push(Grant { key: key.clone(), life: me.clone(), epoch });
        }
    }
    won
}

#[async_trait]
impl Ledger for Model {
    async fn join(
        &self,
        candidate: &Candidate,
        silent: Option<&Holder>,
        timing: &Timing,
    ) -> Result<Life, JoinError> {
        self.follow(timing);
        self.step(|tables, now| join(tables, now, candidate, silent, timing))?
    }

    async fn beat(&self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
        self.follow(timing);
        self.step(|tables, now| {
            let Some(row) = tables.beating(life) else { return Beaten::Dead };
            let lapsed = row.lease_until < now;
            if lapsed || row.lease_since > now {
                row.lease_since = now;
            }
            row.lease_until = now + millis(timing.ttl);
            row.granted = millis(timing.ttl);
            row.beats += 1;
            row.said = *said;
            tables.look_around(now, life, lapsed, timing);
            Beaten::Renewed(View { lapsed, ..view(tables, now) })
        })
    }

    async fn set_state(&self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
        self.step(|tables, _| set_state(tables, life, state))
    }

    async fn bury(&self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
        self.step(|tables, now| bury(tables, now, me, victim, timing))
    }

    async fn certify_death(&self, life: &Life) -> Result<bool, Unavailable> {
        self.step(|tables, _| set_state(tables, life, MemberState::Dead))
    }

    async fn reattach(&self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
        self.step(|tables, now| tables.attach(now, me, posts))
    }

    async fn claimable(&self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
        self.step(|tables, _| {
            let wanted = tables.ownership.values().filter(|row| row.desired == Desired::Online);
            let free = wanted.filter(|row| row.owner.as_ref().is_none_or(|owner| tables.is_over(owner)));
            let placeable = free.filter(|row| row.wish.required().is_none_or(|node| tables.takes(node)));
            placeable.take(limit).map(|row| tables.wished(row)).collect()
        })
    }

    async fn claim(
        &self,
        me: &Life,
        from: Option<&Life>,
        keys: &[DeviceKey],
    ) -> Result<Vec<Grant>, Unavailable> {
        self.step(|tables, now| claim(tables, now, me, from, keys))
    }

    async fn mine(&self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
        self.step(|tables, _| {
            let mine = tables.ownership.values().filter(|row| row.owner.as_ref() == Some(me));
            mine.map(|row| tables.wished(row)).collect()
        })
    }

    async fn permit(&self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable> {
        self.step(|tables, now| {
            tables.in_age(age)?;
            let mut permits = Vec::new();
            for grant in grants {
                let wanted = tables.ownership.get(&grant.key).map(|row| row.desired);
                if !tables.stands(grant) || wanted != Some(Desired::Online) {
                    continue;
                }
                if seeded::on(Bug::PermitByEpochAlone) {
                    permits.push(Permit { grant: grant.clone(), remaining: margin + Duration::from_secs(1) });
                } else if let Some(row) = tables.living(&grant.life)
                    && row.lease_until > now + millis(margin)
                {
                    permits.push(Permit { grant: grant.clone(), remaining: left(row.lease_until, now) });
                }
            }
            Ok(permits)
        })?
    }

    async fn give(&self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
        self.step(|tables, now| {
            let giver = tables.living(&grant.life).is_some();
            let allowed = tables.ownership.get(&grant.key).is_some_and(|row| row.wish.allows(&to.node));
            if !giver || !allowed || !tables.stands(grant) || !may_take(tables, now, to, 500) {
                return None;
            }
            let epoch = tables.hand(&grant.key, Some(to), "give", now);
            Some(Grant { key: grant.key.clone(), life: to.clone(), epoch })
        })
    }

    async fn release(&self, grant: &Grant) -> Result<bool, Unavailable> {
        self.step(|tables, now| {
            let stands = tables.living(&grant.life).is_some() && tables.stands(grant);
            if stands {
                tables.hand(&grant.key, None, "release", now);
            }
            stands
        })
    }

    async fn survey(
        &self,
        of: Option<&Life>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Surveyed>, Unavailable> {
        self.step(|tables, now| {
            let rows = tables.ownership.values().filter(|row| row.desired == Desired::Online);
            let rows = rows.filter(|row| after.is_none_or(|after| row.key > *after));
            let rows = rows.map(|row| tables.wished(row)).filter(|row| {
                of.is_none_or(|of| row.owner.as_ref() == Some(of)) || row.wish.spread == Spreading::Strict
            });
            let surveyed = rows.map(|row| {
                let last = tables.history.get(&row.key).and_then(|lines| lines.last());
                let given = last.filter(|line| line.reason == "give").map(|line| left(now, line.at.0));
                let active = tables.devices.get(&row.key).map_or(0, |device| device.last_at);
                Surveyed { row, active: UnixMillis(active), given }
            });
            surveyed.take(limit).collect()
        })
    }

    async fn ownership(&self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
        self.step(|tables, _| tables.ownership.get(key).map(|row| tables.wished(row)))
    }

    async fn history(&self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
        self.step(|tables, _| {
            let lines = tables.history.get(key).into_iter().flatten();
            lines.rev().take(limit).cloned().collect()
        })
    }
}
