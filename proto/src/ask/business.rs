//! What a business account tells of itself, and how it changes that: namespace `w:biz`.
//!
//! What must hold: a change names only what changes. The version of a question and that of a change differ, and
//! WhatsApp takes neither for the other.

use super::{Question, get, set};
use crate::api;
use crate::api::business_hours::{Day, Mode, Weekday};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// WhatsApp's words for the days of a week.
const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "mon"),
    (Weekday::Tuesday, "tue"),
    (Weekday::Wednesday, "wed"),
    (Weekday::Thursday, "thu"),
    (Weekday::Friday, "fri"),
    (Weekday::Saturday, "sat"),
    (Weekday::Sunday, "sun"),
];
/// WhatsApp's words for the ways to be open.
const MODES: [(Mode, &str); 3] = [
    (Mode::SpecificHours, "specific_hours"),
    (Mode::Open24h, "open_24h"),
    (Mode::AppointmentOnly, "appointment_only"),
];
/// The most ranges of hours that an answer is believed to have.
const RANGES: usize = 100;

/// Asks for the profile of a business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBusiness {
    /// Whose.
    pub of: Jid,
}

impl Question for GetBusiness {
    /// `None`: it is no business, or has no profile. What a profile does not say is empty.
    type Answer = Option<api::BusinessProfile>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let profile = Builder::new("profile").attr("jid", self.of.clone()).build();
        let asked = Builder::new("business_profile").attr("v", "244").children([profile]).build();
        get("w:biz").children([asked]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Option<api::BusinessProfile>, Missing> {
        let Some(profile) = answer.need_child("business_profile")?.child("profile") else { return Ok(None) };
        let texts = |within: &Stanza, tag: &'static str| -> Vec<String> {
            within.all_named(tag).filter_map(|child| Some(child.leaf_text()?.to_owned())).collect()
        };
        Ok(Some(api::BusinessProfile {
            description: text(profile, "description"),
            address: text(profile, "address"),
            email: text(profile, "email"),
            websites: texts(profile, "website"),
            categories: profile.child("categories").map(|list| texts(list, "category")).unwrap_or_default(),
            hours: profile.child("business_hours").map(hours),
        }))
    }
}

/// Changes the profile of the account; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateBusiness {
    /// What it is, in its own words; empty for nothing, as everywhere here.
    pub description: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Web sites.
    pub websites: Option<Vec<String>>,
    /// When it is open. Days and modes that are unspecified are left out.
    pub hours: Option<api::BusinessHours>,
}

impl Question for UpdateBusiness {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let leaf = |tag: &'static str, text: &String| Builder::new(tag).bytes(text.as_bytes()).build();
        let texts = [("address", &self.address), ("description", &self.description), ("email", &self.email)];
        let mut changed: Vec<Stanza> =
            texts.into_iter().filter_map(|(tag, text)| Some(leaf(tag, text.as_ref()?))).collect();
        match self.websites.as_deref() {
            // One without a content removes all.
            Some([]) => changed.push(Builder::new("website").build()),
            sites => changed.extend(sites.into_iter().flatten().map(|site| leaf("website", site))),
        }
        changed.extend(self.hours.as_ref().map(open));
        change(changed)
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Shows an uploaded picture above the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCover {
    /// Its number, as the upload has said, like the others.
    pub id: String,
    /// What shows that it was uploaded.
    pub token: String,
    /// When it was, Unix seconds.
    pub seconds: u64,
}

impl Question for SetCover {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let cover = Builder::new("cover_photo")
            .attr("op", "update")
            .attr("id", self.id.clone())
            .attr("ts", self.seconds)
            .attr("token", self.token.clone());
        change([cover.build()])
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Removes the picture above the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveCover {
    /// Its number.
    pub id: String,
}

impl Question for RemoveCover {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        change([Builder::new("cover_photo").attr("op", "delete").attr("id", self.id.clone()).build()])
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// `<business_profile mutation_type=delta>` in a request of its own.
fn change(changed: impl IntoIterator<Item = Stanza>) -> Stanza {
    let profile = Builder::new("business_profile").attr("v", "3").attr("mutation_type", "delta");
    set("w:biz").children([profile.children(changed).build()]).build()
}

fn open(hours: &api::BusinessHours) -> Stanza {
    let days = hours.days.iter().filter_map(|day| {
        let (_, weekday) = DAYS.iter().find(|(weekday, _)| *weekday == day.weekday())?;
        let (mode, word) = MODES.iter().find(|(mode, _)| *mode == day.mode())?;
        let range = Builder::new("business_hours_config").attr("day_of_week", *weekday).attr("mode", *word);
        Some(match mode {
            Mode::SpecificHours => {
                range.attr("open_time", day.open_minute).attr("close_time", day.close_minute).build()
            }
            _ => range.build(),
        })
    });
    Builder::new("business_hours").attr("timezone", hours.time_zone.clone()).children(days).build()
}

/// Ranges that we have no word for are left out.
fn hours(hours: &Stanza) -> api::BusinessHours {
    let days = hours.all_named("business_hours_config").filter_map(|range| {
        let (weekday, mode) = (range.text("day_of_week")?, range.text("mode")?);
        let minute = |key| range.number(key).and_then(|minute| u32::try_from(minute).ok()).unwrap_or(0);
        Some(Day {
            weekday: DAYS.iter().find(|(_, word)| *word == weekday)?.0.into(),
            mode: MODES.iter().find(|(_, word)| *word == mode)?.0.into(),
            open_minute: minute("open_time"),
            close_minute: minute("close_time"),
        })
    });
    let time_zone = hours.text("timezone").unwrap_or_default().into_owned();
    api::BusinessHours { time_zone, days: days.take(RANGES).collect() }
}

/// The text of a child; empty when there is none.
pub(super) fn text(of: &Stanza, tag: &str) -> String {
    of.child(tag).and_then(Read::leaf_text).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(tag: &'static str, text: &str) -> Stanza {
        Builder::new(tag).bytes(text.as_bytes()).build()
    }

    #[test]
    fn a_profile_is_read_and_an_account_without_one_is_none() {
        let ask = GetBusiness { of: Jid::pn("4915100000001") };
        let profile = Builder::new("profile").children([
            leaf("email", "a@example.com"),
            leaf("website", "https://one.example"),
            leaf("website", "https://two.example"),
            Builder::new("categories").children([leaf("category", "Bakery")]).build(),
        ]);
        let answer = |children: Vec<Stanza>| {
            Builder::new("iq").children([Builder::new("business_profile").children(children).build()]).build()
        };
        let read = ask.read(&answer(vec![profile.build()])).expect("complete").expect("a business");
        assert_eq!((read.email.as_str(), read.websites.len(), read.hours), ("a@example.com", 2, None));
        assert_eq!(read.categories, ["Bakery"]);
        assert_eq!(ask.read(&answer(vec![])), Ok(None));
    }

    fn bakery() -> api::BusinessHours {
        let day = |weekday: Weekday, mode: Mode, (open_minute, close_minute)| Day {
            weekday: weekday.into(),
            mode: mode.into(),
            open_minute,
            close_minute,
        };
        api::BusinessHours {
            time_zone: "Europe/Berlin".to_owned(),
            days: vec![
                day(Weekday::Monday, Mode::SpecificHours, (0, 720)),
                day(Weekday::Monday, Mode::SpecificHours, (840, 1439)),
                day(Weekday::Sunday, Mode::AppointmentOnly, (0, 0)),
                day(Weekday::Friday, Mode::Open24h, (0, 0)),
            ],
        }
    }

    #[test]
    fn hours_are_read_as_they_are_written_and_other_words_are_left_out() {
        let written = open(&bakery());
        assert_eq!(hours(&written), bakery());
        let sunday = &written.all()[2];
        assert_eq!(sunday.text("open_time"), None, "there is no range without specific hours");
        let odd = Builder::new("business_hours_config").attr("day_of_week", "mon").attr("mode", "moonlit");
        let odd = Builder::new("business_hours").children([odd.build()]).build();
        assert_eq!(hours(&odd), api::BusinessHours::default());
    }

    #[test]
    fn a_change_names_what_changes_and_nothing_else() {
        let update = UpdateBusiness { address: Some(String::new()), ..Default::default() };
        let request = update.request();
        let changed = request.child("business_profile").expect("one");
        assert_eq!(changed.text("mutation_type").as_deref(), Some("delta"));
        assert_eq!(changed.all().iter().map(|child| &*child.tag).collect::<Vec<_>>(), ["address"]);
        let websites = |sites: &[&str]| {
            let sites = Some(sites.iter().map(|site| (*site).to_owned()).collect());
            let request = UpdateBusiness { websites: sites, ..Default::default() }.request();
            let changed = request.child("business_profile").expect("one").all();
            changed.iter().map(|site| site.leaf_text().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(websites(&[]), [None], "one without a content removes all");
        assert_eq!(websites(&["a", "b"]), [Some("a".to_owned()), Some("b".to_owned())]);
    }
}
