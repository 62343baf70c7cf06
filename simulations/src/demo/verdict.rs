//! The table at the end, and whether it is green.
//!
//! Red means that something was lost, doubled or sent under a used key, that the log of a device broke
//! its order, that a call was refused for good, or that an act of the story did not come to its end.

use std::fmt::Write as _;

use crate::percentiles::Spans;
use crate::tally::Balance;

/// Everything that the table says.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    /// The books.
    pub(super) balance: Balance,
    /// Message keys that the simulated WhatsApp saw with two ciphertexts.
    pub(super) key_reuse: usize,
    /// From the kill of an owner to the login under the next one, per device.
    pub(super) take_over: Spans,
    /// From the freeze of an owner to the login under the next one, per device.
    pub(super) take_over_frozen: Spans,
    /// From the end of the old connection to the next login, per device that was drained.
    pub(super) hand_off: Spans,
    /// What went wrong, in words.
    pub(super) complaints: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub(super) fn is_green(&self) -> bool {
        let Balance { sent, lost, doubled, faults, .. } = &self.balance;
        *sent > 0
            && *lost == 0
            && *doubled == 0
            && faults.is_empty()
            && self.key_reuse == 0
            && self.complaints.is_empty()
    }

    /// The table, with colour if `colour`.
    pub(super) fn table(&self, colour: bool) -> String {
        let Balance { sent, once, lost, doubled, faults } = &self.balance;
        let rows = [
            ("sent", sent.to_string(), *sent > 0),
            ("delivered once", once.to_string(), once == sent),
            ("lost", lost.to_string(), *lost == 0),
            ("doubled", doubled.to_string(), *doubled == 0),
            ("out of order", faults.len().to_string(), faults.is_empty()),
            ("key reuse", self.key_reuse.to_string(), self.key_reuse == 0),
            ("take-over after SIGKILL p50 / p99", self.take_over.summary(), !self.take_over.is_empty()),
            ("take-over after SIGSTOP p50 / p99", self.take_over_frozen.summary(), true),
            ("hand-off in a drain p50 / p99", self.hand_off.summary(), !self.hand_off.is_empty()),
        ];
        let mut text = String::new();
        for (name, value, good) in rows {
            let (begin, end) = match (colour, good) {
                (false, _) => ("", ""),
                (true, true) => ("\x1b[32m", "\x1b[0m"),
                (true, false) => ("\x1b[31m", "\x1b[0m"),
            };
            let mark = if good { "ok" } else { "BAD" };
            let _ = writeln!(text, "  {name:<36} {begin}{value:>20}  {mark}{end}");
        }
        for complaint in faults.iter().chain(&self.complaints) {
            let _ = writeln!(text, "  - {complaint}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn good() -> Verdict {
        let mut verdict =
            Verdict { balance: Balance { sent: 10, once: 10, ..Balance::default() }, ..Verdict::default() };
        verdict.take_over.push(Duration::from_millis(300));
        verdict.hand_off.push(Duration::from_millis(200));
        verdict
    }

    #[test]
    fn a_clean_run_is_green() {
        assert!(good().is_green());
        assert!(!good().table(false).contains("BAD"));
    }

    #[test]
    fn each_kind_of_damage_is_red() {
        let spoil: [fn(&mut Verdict); 6] = [
            |verdict| verdict.balance.lost = 1,
            |verdict| verdict.balance.doubled = 1,
            |verdict| verdict.balance.faults.push("gap".to_owned()),
            |verdict| verdict.key_reuse = 1,
            |verdict| verdict.complaints.push("a drain did not end".to_owned()),
            |verdict| verdict.balance.sent = 0,
        ];
        for spoil in spoil {
            let mut verdict = good();
            spoil(&mut verdict);
            assert!(!verdict.is_green());
        }
    }
}
