//! What became of the devices in a run, read afterwards: who owned what when (the ownership log), who was
//! connected when (the ledger of the simulated WhatsApp), and when readers saw the first message (the books).
//!
//! What must hold: nothing here is taken from the nodes' own words. All spans are between moments of this
//! machine's clocks; a database elsewhere adds the difference of its clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diary::Diary;
use super::watch::Death;
use crate::percentiles::Spans;
use crate::sightings::{self, Connection};
use crate::timeline::{Bar, Kind};
use crate::world::{Failed, Owner, World};

/// One line of the ownership log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// Device, as its resource name.
    pub device: String,
    /// The epoch that began.
    pub epoch: i64,
    /// Owner; empty when it was released.
    pub node: String,
    /// How the owner came to it: `claim`, `take-over`, `give`, `release`.
    pub reason: String,
    /// Since when, in the run.
    pub from: Duration,
}

/// Spans of the phases of take-overs, each from the fault that caused it.
#[derive(Debug, Clone, Default)]
pub struct TakeOvers {
    /// Until its lease was over, or its death was certified.
    pub detected: Spans,
    /// Until the life was no longer among the living.
    pub buried: Spans,
    /// Until the device had its next owner.
    pub claimed: Spans,
    /// Until it was logged in again.
    pub logged_in: Spans,
    /// Until a reader saw the first message that it received.
    pub first_event: Spans,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Who had what when.
    pub bars: Vec<Bar>,
    /// Changes of owner after a death.
    pub take_overs: TakeOvers,
    /// From the end of the old connection to the next login, for planned moves.
    pub hand_offs: Spans,
    /// The longest time in which two connections of one device were logged in.
    pub two_connections: Duration,
    /// Breaks of the ownership log's order, in words.
    pub faults: Vec<String>,
    /// What else is known of what went wrong.
    pub notes: Vec<String>,
}

/// The query whose answer [`tenures`] reads.
pub const OWNERSHIP: &str = "SELECT 'tenants/' || business_id || '/devices/' || device_id, epoch, \
     coalesce(owner_node, ''), reason, at FROM ownership_log ORDER BY 1, 2";

/// Reads the answer of [`OWNERSHIP`].
pub fn tenures(answer: &str, diary: &Diary) -> Result<Vec<Tenure>, Failed> {
    let read = |line: &str| {
        let [device, epoch, node, reason, at] = line.split('|').collect::<Vec<_>>()[..] else { return None };
        Some(Tenure {
            device: device.to_owned(),
            epoch: epoch.parse().ok()?,
            node: node.to_owned(),
            reason: reason.to_owned(),
            from: diary.place_of(at.parse().ok()?),
        })
    };
    let all: Option<Vec<_>> = answer.lines().map(read).collect();
    all.ok_or_else(|| "the ownership log has another form than expected".into())
}

/// Adds it all up. `deaths` are nodes and how they ended.
pub fn find(world: &World, diary: &Diary, log: &[Tenure], deaths: &[(String, Death)]) -> Findings {
    let mut findings = Findings::default();
    let end = diary.elapsed();
    let mut by_device: BTreeMap<&str, Vec<&Tenure>> = BTreeMap::new();
    for tenure in log {
        by_device.entry(&tenure.device).or_default().push(tenure);
    }
    for speaker in &world.speakers {
        let connections = sightings::connections(&world.sim, &speaker.phone_number);
        findings.two_connections = findings.two_connections.max(longest_overlap(&connections));
        let Some(tenures) = by_device.get(speaker.device.as_str()) else { continue };
        let untils = tenures.iter().skip(1).map(|next| next.from).chain([end]);
        for (tenure, until) in tenures.iter().zip(untils) {
            if !tenure.node.is_empty() {
                findings.bars.push(Bar {
                    device: speaker.device.clone(),
                    node: tenure.node.clone(),
                    epoch: tenure.epoch,
                    from: tenure.from,
                    to: until,
                });
            }
        }
        let logins = |from: Duration| {
            let mut logins: Vec<Duration> = connections.iter().map(|c| diary.place_of(c.login_at)).collect();
            logins.sort_unstable();
            logins.into_iter().find(|at| *at >= from)
        };
        for pair in tenures.windows(2) {
            let [before, after] = pair else { continue };
            if after.from < before.from {
                findings.faults.push(format!(
                    "{}: epoch {} began before epoch {}",
                    speaker.device, after.epoch, before.epoch
                ));
            }
            match after.reason.as_str() {
                "take-over" => {
                    let Some(cause) = cause(diary, &before.node, after.from) else { continue };
                    let take_overs = &mut findings.take_overs;
                    take_overs.claimed.push(after.from - cause);
                    if let Some(at) = logins(after.from) {
                        take_overs.logged_in.push(at - cause);
                    }
                    let first =
                        world.books.with(|tally| tally.first_message_after(&speaker.device, before.epoch));
                    if let Some(at) = first {
                        take_overs.first_event.push(diary.place_of_instant(at).saturating_sub(cause));
                    }
                }
                "give" => findings.hand_offs.extend(gap(&connections, diary, after.from)),
                _ => {}
            }
        }
    }
    // A node that was cut off may tell of lives that others have seen end before: the first word counts.
    let mut ends: BTreeMap<(&str, Duration), (Duration, Duration)> = BTreeMap::new();
    for (node, death) in deaths {
        let [detected, buried] = [death.detected, death.buried].map(|at| diary.place_of_instant(at));
        if let Some(cause) = cause(diary, node, buried) {
            // Its lease may have been over before the last of several faults.
            let took = (detected.saturating_sub(cause), buried - cause);
            let first = ends.entry((node, cause)).or_insert(took);
            *first = (first.0.min(took.0), first.1.min(took.1));
        }
    }
    let (detected, buried): (Vec<_>, Vec<_>) = ends.into_values().unzip();
    findings.take_overs.detected.extend(detected);
    findings.take_overs.buried.extend(buried);
    findings
}

/// The last fault at a node, or at all, before this moment.
fn cause(diary: &Diary, node: &str, before: Duration) -> Option<Duration> {
    let faults = diary.marks().iter().filter(|mark| mark.kind == Kind::Fault && mark.at <= before);
    faults.filter(|mark| mark.node.as_deref().is_none_or(|struck| struck == node)).map(|mark| mark.at).max()
}

/// How long two of these were logged in at once, at most. They are in the order of their logins.
fn longest_overlap(connections: &[Connection]) -> Duration {
    let overlap = |pair: &[Connection]| {
        let ended = pair[0].ended_at.unwrap_or(pair[1].login_at);
        Duration::from_millis(u64::try_from(ended - pair[1].login_at).unwrap_or(0))
    };
    connections.windows(2).map(overlap).max().unwrap_or_default()
}

/// The pause of a hand-off: around the moment of the grant, one connection ends and the next begins.
fn gap(connections: &[Connection], diary: &Diary, granted: Duration) -> Option<Duration> {
    let around = Duration::from_secs(2);
    let ended = connections.iter().filter_map(|c| c.ended_at).map(|at| diary.place_of(at));
    let ended = ended.filter(|at| *at + around >= granted && *at <= granted + around).max()?;
    let logins = connections.iter().map(|c| diary.place_of(c.login_at));
    let login = logins.filter(|at| *at + around >= granted).min()?;
    Some(login.saturating_sub(ended))
}

/// How often each device was given since then; `None` when any changed its owner in another way.
pub fn gifts<'a>(before: &'a BTreeMap<String, Owner>, log: &[Tenure]) -> Option<BTreeMap<&'a str, usize>> {
    let mut gifts: BTreeMap<&str, usize> = before.keys().map(|device| (device.as_str(), 0)).collect();
    for tenure in log {
        let Some((device, owner)) = before.get_key_value(&tenure.device) else { continue };
        if tenure.epoch > owner.epoch {
            if tenure.reason != "give" {
                return None;
            }
            *gifts.get_mut(device.as_str()).expect("it was there before") += 1;
        }
    }
    Some(gifts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(login_at: i64, ended_at: Option<i64>) -> Connection {
        Connection {
            connection: 1,
            handshake: roost_proto::noise::Pattern::Xx,
            login_at,
            ended_at,
            end: None,
        }
    }

    #[test]
    fn two_connections_at_once_are_measured() {
        let apart = [connection(0, Some(10)), connection(10, None)];
        assert_eq!(longest_overlap(&apart), Duration::ZERO);
        let twice = [connection(0, Some(30)), connection(10, Some(40)), connection(35, None)];
        assert_eq!(longest_overlap(&twice), Duration::from_millis(20));
    }

    #[test]
    fn the_cause_of_a_death_is_the_last_fault_at_that_node_or_at_all() {
        let mut diary = Diary::begin(true);
        diary.fault(Some("node-1"), "killed");
        diary.fault(Some("node-2"), "killed");
        let now = diary.elapsed();
        assert_eq!(cause(&diary, "node-1", now), Some(diary.marks()[0].at));
        diary.fault(None, "the database stops");
        assert_eq!(cause(&diary, "node-1", diary.elapsed()), Some(diary.marks()[2].at));
        assert_eq!(cause(&diary, "node-1", diary.marks()[0].at), Some(diary.marks()[0].at));
    }

    #[test]
    fn the_ownership_log_is_read_as_it_is_printed() {
        let diary = Diary::begin(true);
        let read =
            tenures("tenants/a/devices/b|3|node-1|take-over|0\ntenants/a/devices/b|4||release|5", &diary);
        let read = read.expect("it is well formed");
        assert_eq!((read[0].epoch, read[0].node.as_str(), read[1].node.as_str()), (3, "node-1", ""));
        assert!(tenures("nonsense", &diary).is_err());
    }

    #[test]
    fn only_gifts_since_the_beginning_count_and_anything_else_forbids_to_judge() {
        let owner = |epoch| Owner { node: "node-1".to_owned(), incarnation: 1, epoch };
        let tenure = |device: &str, epoch, reason: &str| {
            let (node, from) = ("node-1".to_owned(), Duration::ZERO);
            Tenure { device: device.to_owned(), epoch, node, reason: reason.to_owned(), from }
        };
        let before = BTreeMap::from([("a".to_owned(), owner(3)), ("b".to_owned(), owner(1))]);
        let mut log = vec![tenure("a", 3, "give"), tenure("a", 4, "give"), tenure("b", 1, "claim")];
        assert_eq!(gifts(&before, &log), Some(BTreeMap::from([("a", 1), ("b", 0)])));
        log.push(tenure("b", 2, "take-over"));
        assert_eq!(gifts(&before, &log), None);
    }
}
