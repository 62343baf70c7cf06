//! Polls as they travel: in every version that clients send, and what is kept of one to count its votes.

use waproto::whatsapp::Message;
use waproto::whatsapp::message::PollCreationMessage;

use super::meaning::owned;
use super::refuse::MAX_NAME;
use super::sealed::{MOST_OPTIONS, Secret};
use crate::api;
use crate::phash::{digest, short_digest};

/// The poll in a message, whatever its version.
pub(super) fn creation(message: &Message) -> Option<&PollCreationMessage> {
    [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ]
    .into_iter()
    .find_map(|poll| poll.as_option())
}

/// What it asks.
pub(super) fn poll(creation: &PollCreationMessage) -> api::Poll {
    api::Poll {
        question: owned(&creation.name),
        options: creation.options.iter().map(|option| owned(&option.option_name)).collect(),
        selectable: creation.selectable_options_count.unwrap_or(0),
        correct_option: right(creation),
        open: creation.allow_add_option.unwrap_or(false),
        added_options: Vec::new(),
    }
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
