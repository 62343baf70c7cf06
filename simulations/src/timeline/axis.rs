//! Where a moment stands in the picture.

use std::time::Duration;

/// Width of the time axis, in the picture's units.
pub(super) const WIDTH: f64 = 1180.0;
/// Room for the names of the lanes.
pub(super) const LEFT: f64 = 110.0;

/// The time axis: from the beginning of a run, at the left, to its end.
pub(super) struct Axis {
    pub(super) end: Duration,
}

impl Axis {
    pub(super) fn x(&self, at: Duration) -> f64 {
        LEFT + WIDTH * (at.as_secs_f64() / self.end.as_secs_f64())
    }

    /// Never so thin that it cannot be seen.
    pub(super) fn width(&self, from: Duration, to: Duration) -> f64 {
        (self.x(to) - self.x(from)).max(1.0)
    }

    /// Round moments, about ten of them.
    pub(super) fn ticks(&self) -> impl Iterator<Item = Duration> {
        let steps = [1, 2, 5].into_iter().cycle().zip((0..).flat_map(|power| [power; 3]));
        let mut steps = steps.map(|(digit, power)| digit * 10u64.saturating_pow(power));
        let aim = u64::try_from(self.end.as_millis() / 10).unwrap_or(u64::MAX);
        let step = steps.find(|step| *step >= aim).unwrap_or(u64::MAX).max(1);
        let end = self.end;
        (0..).map(move |tick: u64| Duration::from_millis(tick * step)).take_while(move |tick| *tick <= end)
    }
}
