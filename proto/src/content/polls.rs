//! Polls as they travel: in every version that clients send, and what is kept of one to count its votes.

use waproto::whatsapp::Message;
use waproto::whatsapp::message::PollCreationMessage;

use super::meaning::owned;
use super::sealed::Secret;
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
    }
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
    /// What names the poll of this secret where its votes are kept: the same however its author is named. The id and
    /// the options are in it, so that a poll with a secret that was copied from another one is counted apart. `None`
    /// when it is that of no poll.
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
