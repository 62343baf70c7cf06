//! `PollService`: how polls stand.
//!
//! What must hold: an answer is made of rows alone, so every node gives it, whatever state the device is in; one person
//! is one voter, under whichever of his addresses his votes came; an answer is bounded.

use std::collections::{BTreeMap, BTreeSet};

use roost_actors::machine::{secret_from, secret_name};
use roost_actors::port::{StateKey, StateKind, Vote};
use roost_proto::api;
use roost_proto::api::poll_service_server::PollService;
use roost_proto::content::{Secret, options_of};
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "PollService";
/// Votes that one answer is made of. A group has at most 1024 members, and an answer of so many stays below a
/// mebibyte.
const VOTES: usize = 4096;

#[async_trait]
impl PollService for Api {
    async fn get_poll_results(
        &self,
        request: Request<api::GetPollResultsRequest>,
    ) -> Result<Response<api::PollResults>, Status> {
        self.unary(method(SERVICE, "GetPollResults"), request, |call, request| async move {
            let (key, asked) = parse::polls::results(&request)?;
            call.may_name_device(&key)?;
            let (secret, ballot) = self.poll(&key, &asked).await?;
            let mut votes = self.directory().votes(&key, ballot, VOTES + 1).await?;
            let partial = votes.len() > VOTES;
            votes.truncate(VOTES);
            let known = self.identities_of(&key, &votes).await?;
            Ok(api::PollResults { partial, ..tally(&secret.poll.unwrap_or_default(), votes, &known) })
        })
        .await
    }
}

impl Api {
    /// What the device knows of a poll, and what its votes are kept under.
    async fn poll(
        &self,
        key: &DeviceKey,
        asked: &parse::polls::Asked,
    ) -> Result<(Secret, [u8; 16]), ApiError> {
        let device = self.device(key).await?;
        let authors = match &asked.author {
            Some(author) => self.forms(key, author).await?,
            None => {
                let ours = device.status.into_iter().flat_map(|status| [status.lid, status.pn]).flatten();
                let ours = ours.filter_map(|jid| jid.parse::<Jid>().ok());
                ours.map(|jid| jid.to_non_ad().to_string()).collect()
            }
        };
        let names = authors.iter().map(|author| secret_name(author, &asked.id));
        let names: Vec<StateKey> =
            names.map(|name| StateKey { kind: StateKind::MessageSecret, name }).collect();
        let rows = self.directory().state(key, &names).await?;
        // Under one of his addresses more options may be known to have been added.
        let added = |secret: &Secret| secret.poll.as_ref().map_or(0, |poll| poll.added_options.len());
        let secret = rows.iter().flatten().filter_map(secret_from).max_by_key(added);
        let found = secret.and_then(|secret| secret.ballot(&asked.id).map(|ballot| (secret, ballot)));
        found.ok_or_else(|| ApiError::not_found(Resource::Poll, &asked.id))
    }

    /// Somebody as he was named, and under his other address when the device knows that.
    async fn forms(&self, key: &DeviceKey, author: &Jid) -> Result<Vec<String>, ApiError> {
        let kind = if author.is_pn() { StateKind::Lid } else { StateKind::Number };
        let other = StateKey { kind, name: author.user.to_string() };
        let other = self.directory().state(key, &[other]).await?.into_iter().next().flatten();
        let other = other.and_then(|user| String::from_utf8(user.to_vec()).ok());
        let other = other.map(|user| if author.is_pn() { Jid::lid(user) } else { Jid::pn(user) });
        Ok([Some(author), other.as_ref()].into_iter().flatten().map(Jid::to_string).collect())
    }

    /// The hidden identities of those voters of whom the votes say only the number, as far as the device knows them.
    async fn identities_of(
        &self,
        key: &DeviceKey,
        votes: &[Vote],
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let people = votes.iter().filter_map(|vote| vote.said.voter.as_ref());
        let numbers = people.filter(|person| person.lid.is_empty()).map(|person| &person.phone_number);
        let numbers: Vec<&String> = numbers.collect();
        if numbers.is_empty() {
            return Ok(BTreeMap::new());
        }
        let digits = |number: &String| number.split('@').next().unwrap_or_default().to_owned();
        let keys: Vec<StateKey> =
            numbers.iter().map(|number| StateKey { kind: StateKind::Lid, name: digits(number) }).collect();
        let rows = self.directory().state(key, &keys).await?;
        let known = numbers.into_iter().zip(rows).filter_map(|(number, lid)| {
            let lid = String::from_utf8(lid?.to_vec()).ok()?;
            Some((number.clone(), format!("{lid}@lid")))
        });
        Ok(known.collect())
    }
}

/// Counts. `known` has hidden identities by phone number.
fn tally(poll: &api::Poll, votes: Vec<Vote>, known: &BTreeMap<String, String>) -> api::PollResults {
    let mut known = known.clone();
    for person in votes.iter().filter_map(|vote| vote.said.voter.as_ref()) {
        if !person.lid.is_empty() && !person.phone_number.is_empty() {
            known.insert(person.phone_number.clone(), person.lid.clone());
        }
    }
    let last_vote_time =
        votes.iter().filter_map(|vote| vote.said.time).max_by_key(|at| (at.seconds, at.nanos));
    let mut last: BTreeMap<String, Vote> = BTreeMap::new();
    for mut vote in votes {
        let person = vote.said.voter.get_or_insert_default();
        if person.lid.is_empty() {
            person.lid = known.get(&person.phone_number).cloned().unwrap_or_default();
        }
        let name = if person.lid.is_empty() { &person.phone_number } else { &person.lid }.clone();
        match last.get(&name) {
            Some(kept) if kept.cast >= vote.cast => {}
            _ => _ = last.insert(name, vote),
        }
    }
    let mut options: Vec<api::poll_results::Option> = options_of(poll).map(|name| named(name)).collect();
    let mut standing = Vec::new();
    for mut said in last.into_values().map(|vote| vote.said) {
        let places: BTreeSet<u32> = said.options.iter().copied().collect();
        said.options = places.into_iter().collect();
        for place in &said.options {
            if let Some(option) = usize::try_from(*place).ok().and_then(|place| options.get_mut(place)) {
                option.votes += 1;
            }
        }
        if !said.options.is_empty() || said.unknown_options > 0 {
            standing.push(said);
        }
    }
    api::PollResults { poll: Some(poll.clone()), options, votes: standing, last_vote_time, partial: false }
}

fn named(name: &str) -> api::poll_results::Option {
    api::poll_results::Option { name: name.to_owned(), votes: 0 }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::UnixMillis;

    use super::*;

    fn vote(lid: &str, phone_number: &str, cast: i64, options: &[u32]) -> Vote {
        let voter = api::Person { lid: lid.to_owned(), phone_number: phone_number.to_owned() };
        let time = Some(api::Timestamp { seconds: cast, nanos: 0 });
        let said = api::poll_results::Vote {
            voter: Some(voter),
            options: options.to_vec(),
            time,
            ..Default::default()
        };
        Vote { voter: format!("{lid}{phone_number}"), cast: UnixMillis(cast), said }
    }

    fn counts(votes: Vec<Vote>, known: &[(&str, &str)]) -> (Vec<u32>, usize) {
        let poll = api::Poll { options: vec!["yes".into(), "no".into()], ..Default::default() };
        let known = known.iter().map(|(number, lid)| ((*number).to_owned(), (*lid).to_owned())).collect();
        let results = tally(&poll, votes, &known);
        (results.options.iter().map(|option| option.votes).collect(), results.votes.len())
    }

    #[test]
    fn one_person_is_one_voter_under_a_number_and_a_hidden_identity() {
        let both = vec![vote("", "49@s.whatsapp.net", 1, &[0]), vote("7@lid", "49@s.whatsapp.net", 2, &[1])];
        assert_eq!(counts(both, &[]), (vec![0, 1], 1), "the votes themselves say so");
        let apart = || vec![vote("", "49@s.whatsapp.net", 3, &[0]), vote("7@lid", "", 2, &[1])];
        assert_eq!(counts(apart(), &[]), (vec![1, 1], 2), "nobody knows");
        assert_eq!(
            counts(apart(), &[("49@s.whatsapp.net", "7@lid")]),
            (vec![1, 0], 1),
            "the later one stands"
        );
    }

    #[test]
    fn a_vote_that_was_taken_back_counts_for_nothing_and_its_time_is_told() {
        let poll = api::Poll { options: vec!["yes".into()], ..Default::default() };
        let votes = vec![vote("7@lid", "", 5, &[]), vote("8@lid", "", 4, &[0, 0, 9])];
        let results = tally(&poll, votes, &BTreeMap::new());
        assert_eq!((results.options[0].votes, results.votes.len()), (1, 1));
        assert_eq!(results.last_vote_time.map(|at| at.seconds), Some(5));
    }
}
