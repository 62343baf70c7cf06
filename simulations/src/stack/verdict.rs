//! What a run at this depth is judged by, from facts alone.
//!
//! What must hold: each line names the invariant of `design.md` section 6 that it is about. What is owed is
//! judged at the end, when all faults have been over for as long as liveness may take.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::DeviceKey;

use crate::check::Check;
use crate::history::{Fact, What};

/// How long a consumer may wait for an event, and a device that moves in quiet times for its connection, in
/// microseconds: what began later before the end is not owed yet.
const PROMPT: u64 = 5_000_000;

/// The judge of one run.
#[derive(Debug, Default)]
pub struct Verdict {
    epochs: BTreeMap<DeviceKey, i64>,
    sequences: BTreeMap<DeviceKey, i64>,
    /// When each device's log reached each length.
    logged: BTreeMap<DeviceKey, Vec<(u64, i64)>>,
    offered: BTreeMap<DeviceKey, i64>,
    online: BTreeMap<DeviceKey, u64>,
    /// When a device lost its last connection.
    offline: BTreeMap<DeviceKey, u64>,
    /// Messages that a device's log holds.
    held: BTreeSet<(DeviceKey, String)>,
    /// Which ciphertext a key was seen with: sender, receiver, key.
    keys: BTreeMap<(String, String, u64), u64>,
    accepted: BTreeMap<String, DeviceKey>,
    /// Who could read a message: message, receiver.
    reached: BTreeSet<(String, String)>,
}

/// Refuses unless it holds.
fn hold(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}

impl Check for Verdict {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Granted { key, epoch, .. } => {
                let before = self.epochs.insert(key.clone(), epoch.0).unwrap_or(0);
                hold(epoch.0 > before, || format!("epochs-grow: {epoch} follows {before} at {key}"))
            }
            What::Committed(commit) => {
                let (key, epoch) = (&commit.grant.key, commit.grant.epoch.0);
                let now = self.epochs.get(key).copied().unwrap_or(0);
                self.held.extend(commit.holds.iter().map(|message| (key.clone(), message.clone())));
                hold(now == epoch, || format!("fenced: {key} was written at {epoch} and stands at {now}"))?;
                let last = self.sequences.entry(key.clone()).or_default();
                for event in &commit.events {
                    let follows = std::mem::replace(last, event.sequence.0);
                    hold(event.sequence.0 == follows + 1, || {
                        format!("gapless: {} follows {follows} at {key}", event.sequence)
                    })?;
                }
                let logged = (fact.at, *last);
                self.logged.entry(key.clone()).or_default().push(logged);
                Ok(())
            }
            What::Settled { key, message } => {
                let held = self.held.contains(&(key.clone(), message.clone()));
                hold(held, || format!("ack-after-commit: {message} is settled and not in the log of {key}"))
            }
            What::Ciphertext { from, to, key, digest } => {
                let before = self.keys.insert((from.clone(), to.clone(), *key), *digest).unwrap_or(*digest);
                hold(before == *digest, || format!("no-key-reuse: {from} to {to} under {key:x}"))
            }
            What::Reached { receiver, message, .. } => {
                let first = self.reached.insert((message.clone(), receiver.clone()));
                // A device of ours is a name with slashes, a phone is a number.
                let name = if receiver.contains('/') { "ack-after-commit" } else { "send-once" };
                hold(first, || format!("{name}: {message} reached {receiver} twice"))
            }
            What::Online { grant, connection } => {
                self.online.insert(grant.key.clone(), *connection);
                Ok(())
            }
            What::Offline { key, connection, .. } => {
                if self.online.get(key) == Some(connection) {
                    self.online.remove(key);
                    self.offline.insert(key.clone(), fact.at);
                }
                Ok(())
            }
            What::Accepted { key, message, .. } => {
                self.accepted.insert(message.clone(), key.clone());
                Ok(())
            }
            What::Offered { key, sequence, .. } => {
                let offered = self.offered.entry(key.clone()).or_default();
                *offered = sequence.0.max(*offered);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, at: u64) -> Result<(), String> {
        let owed = at.saturating_sub(PROMPT);
        for key in self.epochs.keys() {
            let just_lost = self.offline.get(key).is_some_and(|lost| *lost > owed);
            let connected = self.online.contains_key(key) || just_lost;
            hold(connected, || format!("converge: {key} is not connected"))?;
        }
        for (key, logged) in &self.logged {
            let before = logged.iter().rev().find(|(at, _)| *at <= owed);
            let last = before.map_or(0, |(_, sequence)| *sequence);
            let offered = self.offered.get(key).copied().unwrap_or(0);
            hold(offered >= last, || format!("deliver: {key} was offered up to {offered} of {last}"))?;
        }
        let reached: BTreeSet<&str> = self.reached.iter().map(|(message, _)| message.as_str()).collect();
        for (message, key) in &self.accepted {
            hold(reached.contains(message.as_str()), || format!("send-once: {message} of {key} is lost"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Epoch, Incarnation, Life, Sequence};

    use super::*;
    use crate::history::{Commit, History, How, Logged};

    fn key() -> DeviceKey {
        "tenants/t1/devices/d1".parse().expect("a key")
    }

    fn granted(epoch: i64) -> What {
        What::Granted { key: key(), epoch: Epoch(epoch), owner: None, how: How::Claim }
    }

    fn committed(epoch: i64, sequence: i64) -> What {
        let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
        let grant = roost_placement::ledger::Grant { key: key(), life, epoch: Epoch(epoch) };
        What::Committed(Box::new(Commit {
            grant,
            events: vec![Logged { sequence: Sequence(sequence), message: None }],
            holds: Vec::new(),
            ratchets: Vec::new(),
            wires: Vec::new(),
            accepts: Vec::new(),
        }))
    }

    fn judged(facts: impl IntoIterator<Item = What>) -> Option<String> {
        let mut history = History::new(vec![Box::<Verdict>::default()], true);
        facts.into_iter().for_each(|what| history.record(0, what));
        history.violation().map(|violation| violation.seen.clone())
    }

    #[test]
    fn each_break_is_seen_and_named() {
        assert_eq!(judged([granted(1), committed(1, 1), committed(1, 2), granted(2)]), None);
        let reached = || What::Reached {
            receiver: "1".to_owned(),
            sender: "2".to_owned(),
            message: "3EB0".to_owned(),
            content: 0,
        };
        let cipher = |digest| What::Ciphertext { from: "1".to_owned(), to: "2".to_owned(), key: 3, digest };
        let settled = What::Settled { key: key(), message: "3EB0".to_owned() };
        for (name, facts) in [
            ("epochs-grow", vec![granted(1), granted(1)]),
            ("fenced", vec![granted(1), granted(2), committed(1, 1)]),
            ("gapless", vec![granted(1), committed(1, 2)]),
            ("ack-after-commit", vec![settled]),
            ("no-key-reuse", vec![cipher(1), cipher(2)]),
            ("send-once", vec![reached(), reached()]),
        ] {
            let seen = judged(facts).unwrap_or_default();
            assert!(seen.starts_with(name), "{name}: {seen}");
        }
    }

    #[test]
    fn an_event_is_owed_to_its_consumer_soon_and_not_at_once() {
        let late = |end| {
            let mut history = History::new(vec![Box::<Verdict>::default()], true);
            let grant = roost_placement::ledger::Grant {
                key: key(),
                life: Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) },
                epoch: Epoch(1),
            };
            history.record(0, granted(1));
            history.record(0, What::Online { grant, connection: 1 });
            history.record(1_000, committed(1, 1));
            history.end(end);
            history.violation().map(|violation| violation.seen.clone()).unwrap_or_default()
        };
        assert_eq!(late(2_000), "");
        assert!(late(1_000 + PROMPT).starts_with("deliver"), "{}", late(1_000 + PROMPT));
    }
}
