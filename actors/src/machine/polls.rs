//! Votes that are kept, so that a poll can be counted.
//!
//! What must hold: a vote is kept with its event, or, when it is ours, no later than that WhatsApp has it; which of two
//! votes of one voter stands is decided by the store, so none is read to be written. What cannot be opened is not
//! counted.

use roost_proto::api;
use roost_proto::content::{self, Meaning, Parties, Ref, Sealed, Secret, options_of};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;

use super::Machine;
use super::appstate::timestamp;
use super::commit::Pending;
use super::inbound::{bounded, person};
use super::secrets::{Need, Sought, secret_name};
use crate::port::{CastVote, NewMessage, Vote};

/// Who votes, and when.
#[derive(Debug)]
pub(super) struct Voter {
    pub(super) person: api::Person,
    pub(super) from_me: bool,
    /// By the voter's clock; 0 when that is not said.
    pub(super) cast: i64,
    /// When it came.
    pub(super) came: UnixMillis,
}

/// A vote of ours that WhatsApp has, while the secret of its poll is looked for.
#[derive(Debug)]
pub(super) struct SentVote {
    about: Ref,
    sealed: Sealed,
    author: Vec<String>,
    voter: Voter,
}

/// A vote as it is kept: the options by their places, and of those that the poll does not have how many.
pub(super) fn counted(
    secret: &Secret,
    id: &str,
    voter: Voter,
    (options, unknown): &(Vec<String>, Vec<Vec<u8>>),
) -> Option<CastVote> {
    let ballot = secret.ballot(id)?;
    let places = (0..).zip(options_of(secret.poll.as_ref()?));
    let said = api::poll_results::Vote {
        from_me: voter.from_me,
        options: places.filter(|(_, option)| options.contains(option)).map(|(place, _)| place).collect(),
        unknown_options: u32::try_from(unknown.len()).unwrap_or(u32::MAX),
        time: Some(timestamp(voter.came)),
        voter: Some(voter.person.clone()),
    };
    let api::Person { lid, phone_number } = voter.person;
    let name = if lid.is_empty() { phone_number } else { lid };
    let cast = UnixMillis(if voter.cast > 0 { voter.cast } else { voter.came.0 });
    Some(CastVote { ballot, vote: Vote { voter: bounded(name), cast, said } })
}

impl Machine {
    /// A message of ours is with WhatsApp: it counts when it is a vote.
    pub(super) fn count_sent(&mut self, outcome: &mut Pending, message: &NewMessage, at: UnixMillis) {
        let Ok(Meaning::Voted(about, sealed, cast)) = content::read(&message.content) else { return };
        // As in `accept_answer`, which has sealed it.
        let author = match &*about.participant {
            _ if about.of_the_sender => self.own_names(),
            "" => vec![message.chat.clone()],
            author if self.is_us(author) => self.own_names(),
            author => vec![author.to_owned()],
        };
        let names: Vec<String> = author.iter().map(|author| secret_name(author, &about.id)).collect();
        let own = author.iter().any(|author| self.is_us(author));
        let id = about.id.clone();
        let voter = Voter { person: self.ourselves(), from_me: true, cast, came: at };
        let vote = SentVote { about, sealed, author, voter };
        match self.secrets.find(&names) {
            Some(secret) => outcome.batch.votes.extend(self.opened(vote, &secret)),
            None => {
                let slot = self.lane.open_first();
                self.seek_secret(Sought::new(names, id, own, Need::Counting(slot, Box::new(vote))));
            }
        }
    }

    /// The secret of the poll that we have voted in, if anybody here has it.
    pub(super) fn on_secret_of_sent(&mut self, slot: u64, vote: SentVote, secret: Option<Secret>) {
        let mut outcome = Pending::default();
        outcome.batch.votes.extend(secret.and_then(|secret| self.opened(vote, &secret)));
        self.lane.fill(slot, outcome);
    }

    fn opened(&self, vote: SentVote, secret: &Secret) -> Option<CastVote> {
        let SentVote { about, sealed, author, voter } = vote;
        let answerer = self.own_names();
        let parties = Parties { id: &about.id, author: &author, answerer: &answerer };
        let opened = content::open_vote(&sealed, secret, parties)?;
        counted(secret, &about.id, voter, &opened)
    }

    /// This account, as a person.
    pub(super) fn ourselves(&self) -> api::Person {
        let account = self.account.as_ref();
        let lid = account.and_then(|account| account.lid.as_ref().map(Jid::to_non_ad));
        person(&[lid, account.map(|account| account.pn.to_non_ad())])
    }
}
