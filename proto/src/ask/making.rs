//! What is made at WhatsApp once, however often it is asked for: how it is asked for, and how it is found when the
//! answer to that was lost.

use super::Question as _;
use super::groups::{CreateGroup, ListGroups};
use super::newsletters::{CreateNewsletter, ListNewsletters};
use crate::api::update_participants_response;
use crate::stanza::{Jid, Missing, Stanza};

/// By so much the clocks of WhatsApp and of a node may differ, in seconds.
pub(super) const SKEW: i64 = 60;

/// Something to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum New {
    /// A group or a community.
    Group(CreateGroup),
    /// A newsletter.
    Newsletter(CreateNewsletter),
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Its JID.
    pub jid: String,
    /// Who should be in it and could not be added; nobody when the answer that said so was lost.
    pub left_out: Vec<update_participants_response::Outcome>,
}

impl Made {
    /// This, and nobody was left out as far as is known.
    pub fn of(jid: impl Into<String>) -> Made {
        Made { jid: jid.into(), left_out: Vec::new() }
    }
}

impl New {
    /// The `<iq>` that makes it, without an id. Where WhatsApp tells what was made for whom, it names `key`.
    pub fn request(&self, key: &str) -> Stanza {
        match self {
            New::Group(group) => group.request(key),
            New::Newsletter(newsletter) => newsletter.request(),
        }
    }

    /// What was made, by the answer to that.
    ///
    /// # Errors
    /// [`Missing`]: WhatsApp's answer lacks what the protocol promises.
    pub fn made(&self, answer: &Stanza) -> Result<Made, Missing> {
        match self {
            New::Group(group) => group.made(answer),
            New::Newsletter(newsletter) => newsletter.made(answer).map(Made::of),
        }
    }

    /// The `<iq>` that asks for all of its kind, without an id.
    pub fn look(&self) -> Stanza {
        match self {
            New::Group(_) => ListGroups.request(),
            New::Newsletter(_) => ListNewsletters.request(),
        }
    }

    /// JIDs of those in the answer to that which may be it, the likeliest first: `is_own` made them, and not before
    /// `since`, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Self::made`].
    pub fn found(
        &self,
        all: &Stanza,
        since: i64,
        is_own: impl Fn(&Jid) -> bool,
    ) -> Result<Vec<String>, Missing> {
        match self {
            New::Group(group) => group.found(all, since, is_own),
            New::Newsletter(newsletter) => newsletter.found(all, since),
        }
    }
}
