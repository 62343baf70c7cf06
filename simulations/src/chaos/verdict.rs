//! What a run came to, and whether it is clean.
//!
//! What must hold: lost, doubled and reordered messages, a reused key, a break of the log's order, a call that
//! was refused for good, two live connections of one device for longer than WhatsApp's answer takes, and anything that
//! did not come to its end, each make it dirty. Only a scenario that takes committed data away may lose
//! messages, and says so beforehand. A run that was stopped is not clean; it is dirty only by what no later moment
//! could have mended, so a message that was still on its way is not lost.

use std::fmt::Write as _;
use std::time::Duration;

use super::findings::Findings;
use crate::percentiles::readable;
use crate::tally::Balance;

/// Two connections of one device may be seen at once for as long as the server needs to end the older.
const ONE_ROUND_TRIP: Duration = Duration::from_millis(50);

/// What a scenario may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Price {
    /// Nothing.
    #[default]
    Nothing,
    /// What was committed in the last moments before the fault: messages, but no key is used again.
    Tail,
}

/// The result of one run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// What it was allowed to cost.
    pub price: Price,
    /// The books.
    pub balance: Balance,
    /// Messages of one conversation that overtook each other.
    pub reordered: usize,
    /// Events that stood where others had been read before: a log that lost its end.
    pub rewritten: usize,
    /// Message keys that the simulated WhatsApp saw with two ciphertexts.
    pub key_reuse: usize,
    /// What became of the devices.
    pub findings: Findings,
    /// Events that consumers took, and those that came again after a confirmed acknowledgement.
    pub consumed: (u64, u64),
    /// From the end of the last fault until each device could send and receive again.
    pub recovery: Option<Duration>,
    /// What went wrong, in words.
    pub complaints: Vec<String>,
    /// It was stopped before its end.
    pub stopped: bool,
}

impl Verdict {
    /// Each line: name, value, and whether it is as it must be.
    pub fn lines(&self) -> Vec<(&'static str, String, bool)> {
        let Balance { sent, once, lost, doubled, .. } = &self.balance;
        let free = self.price == Price::Nothing;
        let open = self.stopped;
        let Findings { take_overs, hand_offs, two_connections, .. } = &self.findings;
        vec![
            ("sent", sent.to_string(), *sent > 0 || open),
            ("delivered once", once.to_string(), once == sent || !free || open),
            (if open { "on their way" } else { "lost" }, lost.to_string(), *lost == 0 || !free || open),
            ("doubled", doubled.to_string(), *doubled == 0),
            ("reordered", self.reordered.to_string(), self.reordered == 0 || !free),
            ("rewritten events", self.rewritten.to_string(), self.rewritten == 0 || !free),
            ("key reuse", self.key_reuse.to_string(), self.key_reuse == 0),
            ("two connections at once", readable(*two_connections), *two_connections <= ONE_ROUND_TRIP),
            ("consumed events", self.consumed.0.to_string(), self.consumed.0 > 0 || open),
            ("again after a confirmed ack", self.consumed.1.to_string(), self.consumed.1 == 0 || !free),
            ("take-over: detected", take_overs.detected.summary(), true),
            ("take-over: buried", take_overs.buried.summary(), true),
            ("take-over: claimed", take_overs.claimed.summary(), true),
            ("take-over: logged in", take_overs.logged_in.summary(), true),
            ("take-over: first event", take_overs.first_event.summary(), true),
            ("hand-off pause", hand_offs.summary(), true),
            ("recovery", self.recovery.map_or("-".to_owned(), readable), self.recovery.is_some() || open),
        ]
    }

    /// Everything that is wrong in words. A log that lost its end may go on with a gap.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        let gaps = (self.price == Price::Nothing).then_some(&self.balance.faults);
        self.complaints.iter().chain(gaps.into_iter().flatten()).chain(&self.findings.faults)
    }

    /// Whether it came to its end and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        !self.stopped && !self.is_dirty()
    }

    /// Whether something is wrong.
    pub fn is_dirty(&self) -> bool {
        self.lines().iter().any(|(.., good)| !*good) || self.complaints().next().is_some()
    }

    /// The table, p50 and p99 where there are many values.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value, good) in self.lines() {
            let _ = writeln!(text, "  {name:<30} {value:>22}  {}", if good { "" } else { "BAD" });
        }
        for line in self.complaints().chain(&self.findings.notes) {
            let _ = writeln!(text, "  - {line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Verdict {
        Verdict {
            balance: Balance { sent: 10, once: 10, ..Balance::default() },
            consumed: (30, 0),
            recovery: Some(Duration::from_secs(1)),
            ..Verdict::default()
        }
    }

    #[test]
    fn a_run_without_damage_is_clean() {
        assert!(good().is_clean(), "{}", good().text());
        assert!(!good().text().contains("BAD"));
    }

    #[test]
    fn each_kind_of_damage_makes_it_dirty() {
        let spoil: [fn(&mut Verdict); 13] = [
            |verdict| verdict.rewritten = 1,
            |verdict| verdict.balance.sent = 0,
            |verdict| verdict.balance.once = 9,
            |verdict| verdict.balance.lost = 1,
            |verdict| verdict.balance.doubled = 1,
            |verdict| verdict.balance.faults.push("gap".to_owned()),
            |verdict| verdict.reordered = 1,
            |verdict| verdict.key_reuse = 1,
            |verdict| verdict.findings.two_connections = Duration::from_millis(51),
            |verdict| verdict.findings.faults.push("backwards".to_owned()),
            |verdict| verdict.consumed = (0, 0),
            |verdict| verdict.recovery = None,
            |verdict| verdict.complaints.push("it did not end".to_owned()),
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let mut verdict = good();
            spoil(&mut verdict);
            assert!(!verdict.is_clean(), "{number}");
        }
    }

    #[test]
    fn a_run_that_was_stopped_is_not_clean_and_loses_nothing_that_was_on_its_way() {
        let mut verdict = Verdict { stopped: true, ..Verdict::default() };
        assert!(!verdict.is_clean() && !verdict.is_dirty(), "{}", verdict.text());
        verdict.balance = Balance { sent: 10, once: 8, lost: 2, ..Balance::default() };
        assert!(!verdict.is_clean() && !verdict.is_dirty(), "{}", verdict.text());
        assert!(verdict.text().contains("on their way") && !verdict.text().contains("lost"));
        verdict.balance.doubled = 1;
        assert!(verdict.is_dirty());
    }

    #[test]
    fn a_lost_tail_excuses_lost_messages_but_no_doubles_no_second_connection_and_no_key() {
        let mut verdict = good();
        verdict.price = Price::Tail;
        (verdict.balance.once, verdict.balance.lost) = (8, 2);
        assert!(verdict.is_clean(), "{}", verdict.text());
        verdict.key_reuse = 1;
        assert!(!verdict.is_clean());
        (verdict.key_reuse, verdict.balance.doubled) = (0, 1);
        assert!(!verdict.is_clean());
    }
}
