//! The timers of disappearing messages that WhatsApp knows.

use clap::ValueEnum;
use roost_proto::api;

/// After which time messages disappear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Timer {
    /// Never.
    Off,
    /// A day.
    #[value(name = "24h")]
    Day,
    /// A week.
    #[value(name = "7d")]
    Week,
    /// 90 days.
    #[value(name = "90d")]
    Quarter,
}

impl From<Timer> for api::Duration {
    fn from(timer: Timer) -> api::Duration {
        let days = match timer {
            Timer::Off => 0,
            Timer::Day => 1,
            Timer::Week => 7,
            Timer::Quarter => 90,
        };
        api::Duration { seconds: days * 86_400, nanos: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_is_one_that_the_api_takes() {
        for timer in Timer::value_variants() {
            assert!(crate::api::parse::timer("timer", Some(&(*timer).into())).is_ok(), "{timer:?}");
        }
    }
}
