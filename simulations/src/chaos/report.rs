//! The report of a run: a table in the terminal, the same as text, and a page with a picture of each scenario.

use std::fmt::Write as _;
use std::path::Path;

use super::run::{Outcome, Ran};
use super::scenario::Scenario;
use super::verdict::Verdict;
use crate::percentiles::readable;
use crate::tally::Balance;
use crate::timeline::{escape, page};

/// Scenarios and what came of them, in the order of running.
#[derive(Default)]
pub struct Report {
    /// How to do it again.
    pub again: String,
    /// What stopped it before its end, and what was not begun by then.
    pub stopped: Option<String>,
    results: Vec<(&'static Scenario, Outcome)>,
}

impl Report {
    /// One more.
    pub fn push(&mut self, scenario: &'static Scenario, outcome: Outcome) {
        self.results.push((scenario, outcome));
    }

    /// Whether everything that was run is clean, and something was.
    pub fn is_clean(&self) -> bool {
        let mut ran = self.ran().peekable();
        ran.peek().is_some() && ran.all(|(_, ran)| ran.verdict.is_clean())
    }

    fn ran(&self) -> impl Iterator<Item = (&'static Scenario, &Ran)> {
        self.results.iter().filter_map(|(scenario, outcome)| match outcome {
            Outcome::Ran(ran) => Some((*scenario, &**ran)),
            Outcome::Skipped(_) => None,
        })
    }

    /// One line for each scenario.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<22} {:<8} {:>6} {:>5} {:>4} {:>4} {:>5} {:>9} {:>18} {:>18} {:>9}",
            "scenario",
            "verdict",
            "sent",
            "lost",
            "2x",
            "key",
            "order",
            "2 conn.",
            "take-over p50/p99",
            "hand-off p50/p99",
            "recovery"
        );
        for (scenario, outcome) in &self.results {
            let _ = match outcome {
                Outcome::Skipped(missing) => writeln!(text, "{:<22} not run: needs {missing}", scenario.name),
                Outcome::Ran(ran) => writeln!(text, "{:<22} {}", scenario.name, row(&ran.verdict)),
            };
        }
        if let Some(stopped) = &self.stopped {
            let _ = writeln!(text, "{stopped}");
        }
        text
    }

    /// Everything in words.
    pub fn text(&self) -> String {
        let mut text = self.table();
        for (scenario, ran) in self.ran() {
            let _ = write!(text, "\n{} ({})\n{}", scenario.name, readable(ran.took), ran.verdict.text());
            if let Some(logs) = &ran.logs {
                let _ = writeln!(text, "  logs of the nodes: {}", logs.display());
            }
        }
        let _ = writeln!(text, "\nagain: {}", self.again);
        text
    }

    /// Everything as a page.
    pub fn html(&self) -> String {
        let mut parts = vec![self.overview()];
        for (_, ran) in self.ran() {
            parts.push(ran.timeline.section());
            parts.push(details(&ran.verdict));
        }
        page("Roost under chaos", &parts)
    }

    /// Writes the page, and the text beside it.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.html())?;
        std::fs::write(path.with_extension("txt"), self.text())
    }

    fn overview(&self) -> String {
        let mut text = format!("<p>{}</p>\n", escape(&self.again));
        if let Some(stopped) = &self.stopped {
            let _ = writeln!(text, "<p class=\"stopped\">{}</p>", escape(stopped));
        }
        text.push_str("<table><tr>");
        for head in ["scenario", "verdict", "sent", "lost", "doubled", "reordered", "key reuse", "recovery"] {
            let _ = write!(text, "<th>{head}</th>");
        }
        text.push_str("</tr>\n");
        for (scenario, outcome) in &self.results {
            let _ = write!(text, "<tr><td title=\"{}\">{}</td>", escape(scenario.about), scenario.name);
            match outcome {
                Outcome::Skipped(missing) => {
                    let _ = write!(text, "<td colspan=\"7\">not run: needs {}</td>", escape(missing));
                }
                Outcome::Ran(ran) => {
                    let verdict = &ran.verdict;
                    let (class, word) = judged(verdict);
                    let _ = write!(text, "<td class=\"{class}\">{word}</td>");
                    let Balance { sent, doubled, .. } = verdict.balance;
                    let _ = write!(text, "<td>{sent}</td><td>{}</td>", lost(verdict));
                    for number in [doubled, verdict.reordered, verdict.key_reuse] {
                        let _ = write!(text, "<td>{number}</td>");
                    }
                    let recovery = verdict.recovery.map_or("-".to_owned(), readable);
                    let _ = write!(text, "<td>{recovery}</td>");
                }
            }
            text.push_str("</tr>\n");
        }
        text.push_str("</table>");
        text
    }
}

fn judged(verdict: &Verdict) -> (&'static str, &'static str) {
    match (verdict.is_dirty(), verdict.stopped) {
        (true, _) => ("dirty", "DIRTY"),
        (false, true) => ("stopped", "stopped"),
        (false, false) => ("clean", "clean"),
    }
}

/// What was on its way when a run was stopped may have arrived.
fn lost(verdict: &Verdict) -> String {
    if verdict.stopped { "-".to_owned() } else { verdict.balance.lost.to_string() }
}

fn row(verdict: &Verdict) -> String {
    let balance = &verdict.balance;
    format!(
        "{:<8} {:>6} {:>5} {:>4} {:>4} {:>5} {:>9} {:>18} {:>18} {:>9}",
        judged(verdict).1,
        balance.sent,
        lost(verdict),
        balance.doubled,
        verdict.key_reuse,
        verdict.reordered,
        readable(verdict.findings.two_connections),
        verdict.findings.take_overs.logged_in.summary(),
        verdict.findings.hand_offs.summary(),
        verdict.recovery.map_or("-".to_owned(), readable),
    )
}

fn details(verdict: &Verdict) -> String {
    let mut text = "<table>\n".to_owned();
    for (name, value, good) in verdict.lines() {
        let class = if good { "" } else { " class=\"dirty\"" };
        let _ = writeln!(text, "<tr><th>{name}</th><td{class}>{}</td></tr>", escape(&value));
    }
    text.push_str("</table>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::scenario::ALL;
    use crate::timeline::Timeline;
    use std::time::Duration;

    fn ran(verdict: Verdict) -> Outcome {
        let timeline = Timeline { title: "a scenario".to_owned(), ..Timeline::default() };
        Outcome::Ran(Box::new(Ran { verdict, timeline, took: Duration::from_secs(1), logs: None }))
    }

    #[test]
    fn a_report_is_clean_only_if_something_ran_and_nothing_was_dirty() {
        let mut report = Report::default();
        assert!(!report.is_clean());
        report.push(ALL[0], Outcome::Skipped("root".to_owned()));
        assert!(!report.is_clean());
        report.push(ALL[1], ran(Verdict::default()));
        assert!(!report.is_clean());
        let text = report.text();
        assert!(text.contains("not run: needs root") && text.contains("DIRTY"), "{text}");
        assert!(report.html().contains("class=\"dirty\">DIRTY"));
    }

    #[test]
    fn a_report_of_a_run_that_was_stopped_says_so_and_calls_nothing_lost() {
        let balance = Balance { sent: 9, once: 7, lost: 2, ..Balance::default() };
        let mut report = Report::default();
        report.push(ALL[0], ran(Verdict { stopped: true, balance, ..Verdict::default() }));
        report.stopped = Some("stopped by SIGTERM".to_owned());
        let (text, html) = (report.text(), report.html());
        assert!(!report.is_clean() && !text.contains("DIRTY"), "{text}");
        assert!(text.contains("stopped by SIGTERM") && html.contains("stopped by SIGTERM"), "{text}");
        assert!(html.contains("class=\"stopped\">stopped</td><td>9</td><td>-</td>"), "{html}");
    }
}
