//! Percentiles of spans, as the demo and the benchmarks print them.
//!
//! Nearest rank on all values, no interpolation: what is printed is a span that really occurred.

use std::time::Duration;

/// Spans in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Spans(Vec<Duration>);

impl Extend<Duration> for Spans {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, spans: T) {
        self.0.extend(spans);
    }
}

impl Spans {
    /// One more.
    pub fn push(&mut self, span: Duration) {
        self.0.push(span);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest span that `percent` of all do not exceed; `None` without spans.
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// `p50 / p99` for people, or a dash.
    pub fn summary(&self) -> String {
        match (self.percentile(50), self.percentile(99)) {
            (Some(half), Some(most)) => format!("{} / {}", readable(half), readable(most)),
            _ => "-".to_owned(),
        }
    }
}

/// A span in the unit that suits it: `840 µs`, `12 ms`, `2.31 s`.
pub fn readable(span: Duration) -> String {
    let micros = span.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_spans_that_occurred() {
        let mut spans = Spans::default();
        for millis in [50, 10, 40, 20, 30] {
            spans.push(Duration::from_millis(millis));
        }
        assert_eq!(spans.percentile(50), Some(Duration::from_millis(30)));
        assert_eq!(spans.percentile(99), Some(Duration::from_millis(50)));
        assert_eq!(spans.percentile(1), Some(Duration::from_millis(10)));
        assert_eq!(Spans::default().percentile(50), None);
    }

    #[test]
    fn a_span_is_written_in_the_unit_that_suits_it() {
        assert_eq!(readable(Duration::from_micros(840)), "840 µs");
        assert_eq!(readable(Duration::from_millis(12)), "12 ms");
        assert_eq!(readable(Duration::from_millis(2310)), "2.31 s");
    }
}
