//! Polls as they travel: in every version that clients send, and what is kept of one to count its votes.

use waproto::whatsapp::Message;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::{PollContentType, PollCreationMessage, PollType};

use super::encode::said;
use super::meaning::owned;
use super::refuse::MAX_NAME;
use super::sealed::{MOST_OPTIONS, Secret};
use crate::api;
use crate::id::UnixMillis;
use crate::phash::{digest, short_digest};

/// The last millisecond of the year 9999, beyond which the API names no time.
const LAST: i64 = 253_402_300_799_999;
/// Ends below this are seconds: as milliseconds they would lie before March of 1973.
const MILLIS: i64 = 100_000_000_000;

/// The poll in a message, whatever its version.
pub(super) fn creation(message: &Message) -> Option<&PollCreationMessage> {
    [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ]
    .into_iter()
    .find_map(|poll| poll.as_option())
}

/// What it asks.
pub(super) fn poll(creation: &PollCreationMessage) -> api::Poll {
    let correct_option = right(creation);
    let quiz = creation.poll_type == Some(PollType::QUIZ);
    api::Poll {
        question: owned(&creation.name),
        options: creation.options.iter().map(|option| owned(&option.option_name)).collect(),
        selectable: creation.selectable_options_count.unwrap_or(0),
        answer_withheld: quiz && correct_option.is_empty(),
        correct_option,
        open: creation.allow_add_option.unwrap_or(false),
        added_options: Vec::new(),
        end_time: creation.end_time.and_then(end),
        hide_voters: creation.hide_participant_name.unwrap_or(false),
        pictured: creation.poll_content_type == Some(PollContentType::IMAGE),
    }
}

/// The same as it travels.
///
/// Of its later settings nothing is said that is not set, and no version of its own is used for them: what is there
/// makes a client that does not have it call the whole poll one that it cannot show. That, and that the end counts
/// milliseconds, is a guess after forks of Baileys; none of the clients that we know makes such polls.
pub(super) fn message(poll: &api::Poll) -> PollCreationMessage {
    let option = |name: &String| PollOption { option_name: Some(name.clone()), ..Default::default() };
    let right = said(&poll.correct_option)
        .map(|name| PollOption { option_hash: Some(digest(name.as_bytes())), option_name: Some(name) });
    let quiz = right.is_some() || poll.answer_withheld;
    let content_type = match (poll.pictured, quiz) {
        (true, _) => Some(PollContentType::IMAGE),
        (false, quiz) => quiz.then_some(PollContentType::TEXT),
    };
    PollCreationMessage {
        name: Some(poll.question.clone()),
        options: poll.options.iter().map(option).collect(),
        selectable_options_count: Some(poll.selectable),
        poll_content_type: content_type,
        poll_type: quiz.then_some(PollType::QUIZ),
        correct_answer: right.into(),
        allow_add_option: poll.open.then_some(true),
        end_time: poll.end_time.as_ref().map(millis),
        hide_participant_name: poll.hide_voters.then_some(true),
        ..Default::default()
    }
}

/// The end of a poll, in milliseconds or in seconds; `None` when it is no time.
fn end(at: i64) -> Option<api::Timestamp> {
    let millis = if at < MILLIS { at.checked_mul(1000)? } else { at };
    let nanos = i32::try_from(millis % 1000 * 1_000_000).ok()?;
    (MILLIS..=LAST).contains(&millis).then_some(api::Timestamp { seconds: millis / 1000, nanos })
}

/// Whether a poll can end then: said in milliseconds, it is no other time in seconds.
pub(super) fn is_end(at: &api::Timestamp) -> bool {
    (0..1_000_000_000).contains(&at.nanos) && (MILLIS..=LAST).contains(&millis(at))
}

fn millis(at: &api::Timestamp) -> i64 {
    at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000)
}

/// The options of a poll, in the order in which its votes name them: its own, and those that were added.
pub fn options_of(poll: &api::Poll) -> impl Iterator<Item = &String> {
    poll.options.iter().chain(&poll.added_options).take(MOST_OPTIONS)
}

/// The right option of a quiz: by its name, or as the one whose hash it says.
fn right(creation: &PollCreationMessage) -> String {
    let answer = &creation.correct_answer;
    let by_hash = || {
        let hash = answer.option_hash.as_ref()?;
        let names = creation.options.iter().filter_map(|option| option.option_name.as_ref());
        names.into_iter().find(|name| digest(name.as_bytes()).eq_ignore_ascii_case(hash)).cloned()
    };
    answer.option_name.clone().filter(|name| !name.is_empty()).or_else(by_hash).unwrap_or_default()
}

impl Secret {
    /// Whether its poll had ended by then.
    pub fn has_ended(&self, by: UnixMillis) -> bool {
        let end = self.poll.as_ref().and_then(|poll| poll.end_time.as_ref());
        end.is_some_and(|end| millis(end) <= by.0)
    }

    /// The same with one more option of its poll. `None` when it takes none: it is no poll, has this one already or too
    /// many, or is closed to everybody but its author. (That its author may always add one is a guess.)
    pub fn with_option(&self, option: &str, by_its_author: bool) -> Option<Secret> {
        let mut poll = self.poll.clone()?;
        let fits = (1..=MAX_NAME).contains(&option.len());
        let has_room = poll.options.len() + poll.added_options.len() < MOST_OPTIONS;
        let is_new = options_of(&poll).all(|known| known != option);
        if !((poll.open || by_its_author) && fits && has_room && is_new) {
            return None;
        }
        poll.added_options.push(option.to_owned());
        Some(Secret { poll: Some(poll), ..self.clone() })
    }

    /// The same with the options that were added to `known`, if that is the same poll and has more of them.
    #[must_use]
    pub fn with_options_of(&self, known: &Secret, id: &str) -> Secret {
        let mut more = self.clone();
        if let (Some(poll), Some(known_poll)) = (&mut more.poll, &known.poll)
            && known.ballot(id) == self.ballot(id)
            && known_poll.added_options.len() > poll.added_options.len()
        {
            poll.added_options.clone_from(&known_poll.added_options);
        }
        more
    }

    /// What names the poll of this secret where its votes are kept: the same however its author is named. The id and
    /// the options are in it, so that a poll with a secret that was copied from another one is counted apart; those that
    /// were added are not, as votes were cast before. `None` when it is that of no poll.
    pub fn ballot(&self, id: &str) -> Option<[u8; 16]> {
        let mut whole = self.key.clone();
        for text in std::iter::once(id).chain(self.poll.as_ref()?.options.iter().map(String::as_str)) {
            whole.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            whole.extend(text.as_bytes());
        }
        Some(short_digest(&whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::MessageContent;

    #[test]
    fn an_open_poll_takes_each_option_once_and_its_votes_are_counted_as_before() {
        let poll = api::Poll { options: vec!["yes".into(), "no".into()], open: true, ..Default::default() };
        let open = Secret { poll: Some(poll.clone()), ..Secret::bare(vec![7; 32]) };
        let more = open.with_option("later", false).expect("it is open");
        assert_eq!(more.ballot("A"), open.ballot("A"));
        let options: Vec<&String> = options_of(more.poll.as_ref().expect("a poll")).collect();
        assert_eq!(options, ["yes", "no", "later"]);
        for known in ["yes", "later", "", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(more.with_option(known, true), None, "{known:?}");
        }
        let closed = Secret { poll: Some(api::Poll { open: false, ..poll.clone() }), ..open.clone() };
        assert_eq!(closed.with_option("later", false), None);
        assert!(closed.with_option("later", true).is_some());
        let full = api::Poll { added_options: (2..MOST_OPTIONS).map(|n| n.to_string()).collect(), ..poll };
        assert_eq!(Secret { poll: Some(full), ..open }.with_option("later", true), None);
        assert_eq!(Secret::bare(vec![7; 32]).with_option("later", true), None);
    }

    #[test]
    fn a_poll_that_is_told_again_takes_over_the_options_that_were_added_and_nothing_else() {
        let poll = api::Poll { options: vec!["yes".into(), "no".into()], open: true, ..Default::default() };
        let told = Secret { poll: Some(poll.clone()), ..Secret::bare(vec![7; 32]) };
        // As an older version has kept it.
        let alone = api::Poll { added_options: vec!["later".into()], open: false, ..poll.clone() };
        let known = Secret { poll: Some(alone), ..told.clone() };
        let both = told.with_options_of(&known, "A").poll.expect("a poll");
        assert_eq!((both.open, both.added_options), (true, vec!["later".to_owned()]));
        assert_eq!(known.with_options_of(&told, "A"), known, "none is lost");
        let other = Secret { poll: Some(api::Poll { options: vec!["yes".into()], ..poll }), ..told.clone() };
        assert_eq!(other.with_options_of(&known, "A"), other, "it is another poll");
    }

    #[test]
    fn a_poll_that_cannot_be_asked_is_refused_by_the_name_of_its_field() {
        let (yes, no) = ("yes".to_owned(), "no".to_owned());
        let good =
            api::Poll { question: "?".into(), options: vec![yes, no], selectable: 1, ..Default::default() };
        let refused = |poll: api::Poll| {
            let kind = api::send_message_request::Content::Poll(poll);
            crate::content::check(&MessageContent { kind, context: api::Context::default() })
                .map_err(|invalid| invalid.field)
        };
        assert_eq!(refused(good.clone()), Ok(()));
        let ends =
            |seconds, nanos| api::Poll { end_time: Some(api::Timestamp { seconds, nanos }), ..good.clone() };
        let bad = [
            ("poll.options", api::Poll { options: vec!["a".into(), "a".into()], ..good.clone() }),
            ("poll.added_options", api::Poll { added_options: vec!["a".into()], ..good.clone() }),
            ("poll.selectable", api::Poll { selectable: 3, ..good.clone() }),
            ("poll.selectable", api::Poll { selectable: 2, correct_option: "no".into(), ..good.clone() }),
            ("poll.correct_option", api::Poll { correct_option: "never".into(), ..good.clone() }),
            ("poll.end_time", ends(0, 0)),
            ("poll.end_time", ends(-5, 0)),
            ("poll.end_time", ends(MILLIS / 1000 - 1, 0)),
            ("poll.end_time", ends(LAST / 1000 + 1, 0)),
            ("poll.end_time", ends(i64::MAX, 0)),
            ("poll.end_time", ends(1_900_000_000, -1)),
            ("poll.end_time", ends(1_900_000_000, 1_000_000_000)),
            ("poll.answer_withheld", api::Poll { answer_withheld: true, ..good.clone() }),
            ("poll.pictured", api::Poll { pictured: true, ..good.clone() }),
        ];
        for (field, poll) in bad {
            assert_eq!(refused(poll), Err(field.to_owned()));
        }
    }

    #[test]
    fn a_poll_ends_when_it_says_in_milliseconds_or_seconds() {
        let until = |at| {
            let poll = poll(&PollCreationMessage { end_time: Some(at), ..Default::default() });
            Secret { poll: Some(poll), ..Secret::bare(vec![7; 32]) }
        };
        for end in [until(1_900_000_000_000), until(1_900_000_000)] {
            assert!(
                !end.has_ended(UnixMillis(1_899_999_999_999)) && end.has_ended(UnixMillis(1_900_000_000_000))
            );
        }
        for never in [0, -1, 1_000_000, i64::MIN, i64::MAX] {
            assert!(!until(never).has_ended(UnixMillis(i64::MAX)), "{never}");
        }
        assert!(!Secret::bare(vec![7; 32]).has_ended(UnixMillis(i64::MAX)), "it is that of no poll");
    }

    #[test]
    fn a_poll_of_any_version_is_read_with_all_that_it_says() {
        use waproto::buffa::MessageField;
        use waproto::whatsapp::message::FutureProofMessage;

        use crate::content::meaning::{content, peel};
        let asked = api::Poll {
            question: "?".into(),
            options: vec!["yes".into(), "no".into()],
            end_time: Some(api::Timestamp { seconds: 1_900_000_000, nanos: 500_000_000 }),
            hide_voters: true,
            answer_withheld: true,
            pictured: true,
            ..Default::default()
        };
        let poll = || MessageField::some(message(&asked));
        let third = Message { poll_creation_message_v3: poll(), ..Default::default() };
        let fourth = FutureProofMessage { message: third.clone().into() };
        for version in [
            third,
            Message { poll_creation_message_v4: fourth.into(), ..Default::default() },
            Message { poll_creation_message_v6: poll(), ..Default::default() },
        ] {
            let read = content(peel(&version)).map(|(content, _)| content);
            assert_eq!(read, Some(api::message_received::Content::Poll(asked.clone())));
        }
    }

    #[test]
    fn a_poll_is_counted_apart_from_one_with_another_id_or_other_options_under_the_same_secret() {
        let poll = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            let poll = Some(api::Poll { options, ..Default::default() });
            Secret { poll, ..Secret::bare(vec![7; 32]) }
        };
        let yes_or_no = poll(&["yes", "no"]);
        assert_eq!(yes_or_no.ballot("A"), poll(&["yes", "no"]).ballot("A"));
        assert_ne!(yes_or_no.ballot("A"), yes_or_no.ballot("B"));
        assert_ne!(yes_or_no.ballot("A"), poll(&["yesno", ""]).ballot("A"));
        assert_ne!(yes_or_no.ballot("A"), Secret { key: vec![8; 32], ..yes_or_no.clone() }.ballot("A"));
        assert_eq!(Secret::bare(vec![7; 32]).ballot("A"), None, "it is that of no poll");
    }
}
