//! What the simulated WhatsApp saw of an account's companion devices: logins, ends of connections, keys.
//!
//! Times are the ledger's Unix milliseconds; the server runs in this process, so they compare with this
//! process's wall clock. Nothing here changes anything.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wa::{KeyReuse, SimServer};

pub use crate::wa::ConnectionRecord as Connection;

/// Devices that are connected now.
pub fn connected(sim: &SimServer) -> usize {
    sim.ledger(|ledger| {
        let companions = ledger.devices().iter().filter(|(device, _)| device.device != 0);
        let last = companions.filter_map(|(_, record)| record.connections.back());
        last.filter(|connection| connection.ended_at.is_none()).count()
    })
}

/// The connection that each connected companion has now, by device. Twice the same: nobody's has ended.
pub fn living(sim: &SimServer) -> BTreeMap<String, u64> {
    sim.ledger(|ledger| {
        let companions = ledger.devices().iter().filter(|(device, _)| device.device != 0);
        let last = companions.filter_map(|(device, record)| Some((device, record.connections.back()?)));
        let open = last.filter(|(_, connection)| connection.ended_at.is_none());
        open.map(|(device, connection)| (device.to_string(), connection.connection)).collect()
    })
}

/// What a phone number's companions did with the message of this id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    /// How often it was written to their connections.
    pub delivered: u32,
    /// How many of them have settled it.
    pub settled: usize,
    /// How many were to get it, as far as it was written to them.
    pub receivers: usize,
}

/// How far a message has come with the companions of a phone number.
pub fn handling(sim: &SimServer, message: &str, phone_number: &str) -> Handling {
    let mut handling = Handling::default();
    sim.ledger(|ledger| {
        let records = ledger.messages().iter().filter(|((_, id), _)| id == message);
        for (device, receiver) in records.flat_map(|(_, record)| &record.receivers) {
            let companion =
                device.split_once(':').filter(|(pn, number)| *pn == phone_number && *number != "0");
            if companion.is_some() {
                handling.receivers += 1;
                handling.delivered += receiver.delivered;
                handling.settled += usize::from(receiver.settled_at.is_some());
            }
        }
    });
    handling
}

/// First login of a companion of this phone number at or after `from`.
pub fn first_login(sim: &SimServer, phone_number: &str, from: SystemTime) -> Option<SystemTime> {
    let from = millis(from);
    let logins = connections(sim, phone_number).into_iter().map(|c| c.login_at).filter(|at| *at >= from);
    logins.min().map(time)
}

/// From the end of the connection that ended first at or after `from` to the next login of that phone
/// number's companion.
pub fn gap(sim: &SimServer, phone_number: &str, from: SystemTime) -> Option<Duration> {
    let from = millis(from);
    let all = connections(sim, phone_number);
    let ended = all.iter().filter_map(|c| c.ended_at).filter(|at| *at >= from).min()?;
    let login = all.iter().map(|c| c.login_at).filter(|at| *at >= from).min()?;
    // A new connection may begin before the old one has been seen to end.
    Some(Duration::from_millis(u64::try_from(login - ended).unwrap_or(0)))
}

/// The first message keys that were seen with two ciphertexts, in words.
pub fn reused_keys(sim: &SimServer, most: usize) -> Vec<String> {
    let words = |reuse: &KeyReuse| {
        let KeyReuse { sender, receiver, ratchet, counter, kind, message, at, .. } = reuse;
        let chain = ratchet.get(..8).unwrap_or(ratchet);
        format!(
            "reused: {kind} key {counter} of chain {chain} from {sender} to {receiver}, for {message} at {at}"
        )
    };
    sim.ledger(|ledger| ledger.key_reuses().iter().take(most).map(words).collect())
}

/// Message keys that were seen with two ciphertexts.
pub fn key_reuse(sim: &SimServer) -> usize {
    sim.ledger(|ledger| usize::try_from(ledger.totals().key_reuses).unwrap_or(usize::MAX))
}

/// All connections of a phone number's companion that are still remembered, oldest first.
pub fn connections(sim: &SimServer, phone_number: &str) -> Vec<Connection> {
    let Ok(pn) = phone_number.parse::<u64>() else { return Vec::new() };
    sim.ledger(|ledger| {
        let own = ledger.devices().iter().filter(|(device, _)| device.pn == pn && device.device != 0);
        own.flat_map(|(_, record)| record.connections.iter().cloned()).collect()
    })
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
