//! Votes that are kept, so that a poll can be counted, and options that are added to one.
//!
//! What must hold: both are kept with their event, or, when they are ours, no later than that WhatsApp has them; which of two
//! votes of one voter stands is decided by the store, so none is read to be written. What cannot be opened is not
//! counted.

use std::collections::BTreeSet;

use roost_proto::api;
use roost_proto::content::{self, Concealed, Meaning, Parties, Ref, Sealed, Secret, Usage, options_of};
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

impl Voter {
    /// When the vote was cast, as far as that is said.
    fn at(&self) -> UnixMillis {
        UnixMillis(if self.cast > 0 { self.cast } else { self.came.0 })
    }

    /// Whether that was after the poll had ended.
    pub(super) fn is_late(&self, secret: &Secret) -> bool {
        secret.has_ended(self.at())
    }
}

/// A vote of ours that WhatsApp has, or an option, while the secret of its poll is looked for.
#[derive(Debug)]
pub(super) struct SentToPoll {
    about: Ref,
    author: Vec<String>,
    what: ToPoll,
}

#[derive(Debug)]
enum ToPoll {
    Vote(Sealed, Voter),
    Option(Box<Concealed>),
}

/// A vote as it is kept: the options by their places, and of those that the poll does not have how many. None that is
/// late, so that it takes the place of no vote that counts. (What WhatsApp's clients make of one is not known.)
pub(super) fn counted(
    secret: &Secret,
    id: &str,
    voter: Voter,
    (options, unknown): &(Vec<String>, Vec<Vec<u8>>),
) -> Option<CastVote> {
    if voter.is_late(secret) {
        return None;
    }
    let (ballot, cast) = (secret.ballot(id)?, voter.at());
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
    Some(CastVote { ballot, vote: Vote { voter: bounded(name), cast, said } })
}

impl Machine {
    /// A message of ours is with WhatsApp: it counts when it is a vote, and an option that it adds can be chosen.
    pub(super) fn count_sent(&mut self, outcome: &mut Pending, message: &NewMessage, at: UnixMillis) {
        let (about, what) = match content::read(&message.content) {
            Ok(Meaning::Voted(about, sealed, cast)) => {
                let voter = Voter { person: self.ourselves(), from_me: true, cast, came: at };
                (about, ToPoll::Vote(sealed, voter))
            }
            Ok(Meaning::Concealed(added)) if added.usage == Usage::PollOption => {
                (added.about.clone(), ToPoll::Option(added))
            }
            _ => return,
        };
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
        let sent = SentToPoll { about, author, what };
        match self.secrets.find(&names) {
            Some(secret) => self.count(outcome, sent, &secret),
            None => {
                let slot = self.lane.open_first();
                self.seek_secret(Sought::new(names, id, own, Need::Counting(slot, Box::new(sent))));
            }
        }
    }

    /// The secret of the poll that we have answered, if anybody here has it.
    pub(super) fn on_secret_of_sent(&mut self, slot: u64, sent: SentToPoll, secret: Option<Secret>) {
        let mut outcome = Pending::default();
        if let Some(secret) = secret {
            self.count(&mut outcome, sent, &secret);
        }
        self.lane.fill(slot, outcome);
    }

    fn count(&mut self, outcome: &mut Pending, sent: SentToPoll, secret: &Secret) {
        let SentToPoll { about, author, what } = sent;
        let answerer = self.own_names();
        let parties = Parties { id: &about.id, author: &author, answerer: &answerer };
        match what {
            ToPoll::Vote(sealed, voter) => {
                let opened = content::open_vote(&sealed, secret, parties);
                outcome
                    .batch
                    .votes
                    .extend(opened.and_then(|opened| counted(secret, &about.id, voter, &opened)));
            }
            ToPoll::Option(added) => {
                let Some(Meaning::OptionAdded(_, option)) = added.reveal(secret, parties) else { return };
                let ours = author.iter().any(|author| self.is_us(author));
                if let Some(more) = secret.with_option(&option, ours) {
                    self.add_option(outcome, (&about.id, &author), &more);
                }
            }
        }
    }

    /// Keeps the secret of a poll that has one more option, under every name of its author: a vote may name him by another
    /// than the option did.
    pub(super) fn add_option(
        &mut self,
        outcome: &mut Pending,
        (id, author): (&str, &[String]),
        more: &Secret,
    ) {
        let forms = |author: &String| match author.parse::<Jid>() {
            Ok(jid) => self.directory.forms(&jid),
            Err(_) => vec![author.clone()],
        };
        let authors: BTreeSet<String> = author.iter().flat_map(forms).collect();
        let names: Vec<String> = authors.iter().map(|author| secret_name(author, id)).collect();
        self.renew_secret(outcome, &names, more);
    }

    /// This account, as a person.
    pub(super) fn ourselves(&self) -> api::Person {
        let account = self.account.as_ref();
        let lid = account.and_then(|account| account.lid.as_ref().map(Jid::to_non_ad));
        person(&[lid, account.map(|account| account.pn.to_non_ad())])
    }
}
