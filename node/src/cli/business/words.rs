//! Prices and opening hours, as people write them on a command line.

use roost_proto::api::business_hours::{Day, Mode, Weekday};

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
const ALL_DAY: &str = "all-day";
const APPOINTMENT: &str = "appointment";

/// `mon=09:00-18:00`, `sat=all-day` or `sun=appointment`.
pub(super) fn day(text: &str) -> Result<Day, String> {
    read_day(text).ok_or_else(|| {
        format!("must be as mon=09:00-18:00, sat={ALL_DAY} or sun={APPOINTMENT}; weekdays have three letters")
    })
}

fn read_day(text: &str) -> Option<Day> {
    let (name, when) = text.split_once('=')?;
    let (_, weekday) = WEEKDAYS.iter().find(|(known, _)| *known == name)?;
    let (mode, (open_minute, close_minute)) = match when {
        ALL_DAY => (Mode::Open24h, (0, 0)),
        APPOINTMENT => (Mode::AppointmentOnly, (0, 0)),
        range => {
            let (open, close) = range.split_once('-')?;
            (Mode::SpecificHours, (minute(open)?, minute(close)?))
        }
    };
    Some(Day { weekday: (*weekday).into(), mode: mode.into(), open_minute, close_minute })
}

/// `09:30` as minutes since midnight.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes): (u32, u32) = match digits(hours) && digits(minutes) {
        true => (hours.parse().ok()?, minutes.parse().ok()?),
        false => return None,
    };
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// The same words for what a profile says.
pub(super) fn of_day(day: &Day) -> String {
    let name = WEEKDAYS.iter().find(|(_, known)| *known == day.weekday()).map_or("?", |(name, _)| *name);
    let at = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    match day.mode() {
        Mode::Open24h => format!("{name} {ALL_DAY}"),
        Mode::AppointmentOnly => format!("{name} {APPOINTMENT}"),
        _ => format!("{name} {}-{}", at(day.open_minute), at(day.close_minute)),
    }
}

/// `19.90` as 19900.
pub(super) fn thousandths(text: &str) -> Result<i64, String> {
    read_thousandths(text).ok_or_else(|| "must be a number with at most three decimals, as 19.90".to_owned())
}

fn read_thousandths(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(format!("{decimals:0<3}").parse().ok()?)
}

/// 19900 as `19.90`: two decimals, or three where the third says something.
pub(super) fn decimal(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, rest) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    match rest % 10 {
        0 => format!("{sign}{whole}.{:02}", rest / 10),
        _ => format!("{sign}{whole}.{rest:03}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_as_it_is_shown() {
        for (text, amount) in [("19.90", 19_900), ("0.05", 50), ("7.00", 7000), ("0.125", 125)] {
            assert_eq!((thousandths(text), decimal(amount)), (Ok(amount), text.to_owned()));
        }
        assert_eq!(thousandths("19"), Ok(19_000));
        for bad in ["", ".5", "1.", "-1", "1.0005", "1,50", "9223372036854775807"] {
            assert!(thousandths(bad).is_err(), "{bad}");
        }
        assert_eq!(decimal(-1500), "-1.50");
    }

    #[test]
    fn hours_are_read_as_they_are_shown() {
        for text in ["mon 09:05-18:00", "sat all-day", "sun appointment"] {
            let read = day(&text.replace(' ', "=")).expect("good");
            assert_eq!(of_day(&read), text);
        }
        for bad in [
            "",
            "mon",
            "mon=",
            "monday=all-day",
            "mon=9-18",
            "mon=09:00",
            "mon=24:00-25:00",
            "mon=-1:00-2:00",
        ] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
