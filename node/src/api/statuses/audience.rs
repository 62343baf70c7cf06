//! For whom a status post is that names nobody: whom the account's own settings name, by the owner's copies.
//!
//! What must hold: who is left out gets no post, by whichever of his addresses he is left out and in the address book.
//! WhatsApp leaves people out by their hidden identities, and an address book may know the same people by number alone; so
//! numbers that are not known to be somebody else's are asked for, and who may still be left out is.

use std::collections::{BTreeMap, BTreeSet};

use roost_actors::device::{DeviceHandle, Recipient};
use roost_actors::port::{StateKey, StateKind};
use roost_proto::appstate::{Action, Collection};
use roost_proto::ask::Question as _;
use roost_proto::ask::numbers::CheckNumbers;
use roost_proto::ask::statuses::{Audience, GetAudience};
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;

use super::chosen;
use crate::api::Api;
use crate::api::asks::{ask_error, on_its_way};
use crate::api::call::Call;
use crate::api::messages::command_error;
use crate::errors::ApiError;

/// The most people of an account's own audience: what one question for their devices names. (That WhatsApp takes so many
/// is a guess; nobody documents a limit.)
const MOST: usize = 5_000;
/// Rows and numbers that are asked for at once.
const AT_ONCE: usize = 256;

/// Who is who, in both directions, by what the device has learned from WhatsApp.
#[derive(Debug, Default)]
struct Pairs(BTreeMap<String, Jid>);

impl Pairs {
    fn learn(&mut self, pn: &Jid, lid: &Jid) {
        self.0.insert(pn.to_string(), lid.clone());
        self.0.insert(lid.to_string(), pn.clone());
    }

    fn other(&self, jid: &Jid) -> Option<&Jid> {
        self.0.get(&jid.to_string())
    }
}

/// Somebody in the address book.
#[derive(Debug)]
struct Known {
    jid: Jid,
    /// The hidden identity that the entry itself says; it may be an old one.
    said: String,
}

impl Api {
    /// A post that names nobody is for whom the account's own settings name.
    pub(in crate::api) async fn ready_audience(
        &self,
        call: &Call,
        key: &DeviceKey,
        device: &DeviceHandle,
        to: &mut Recipient,
        revokes: bool,
    ) -> Result<(), ApiError> {
        let Recipient::Status(people) = to else { return Ok(()) };
        if revokes || !people.is_empty() {
            return Ok(());
        }
        on_its_way(call, device).await;
        let answer = device.ask(&GetAudience, call.left()).await;
        let audience = chosen(answer.map_err(|error| ask_error(key, device, error, GetAudience::CHANGES)))?;
        let left_out = match audience {
            Audience::Only(only) => {
                *people = only;
                return bounded(people);
            }
            Audience::Except(left_out) => left_out,
            Audience::Contacts => Vec::new(),
        };
        let contents = device.contents(vec![Collection::CriticalUnblockLow]).await;
        let book = contacts(contents.map_err(|error| command_error(key, device, error))?);
        let mut pairs = Pairs::default();
        if !left_out.is_empty() {
            self.stored(key, book.iter().map(|known| &known.jid).chain(&left_out), &mut pairs).await?;
            self.asked(call, (key, device), unclear(&book, &left_out, &pairs), &mut pairs).await?;
        }
        *people = all_but(book, &left_out, &pairs);
        bounded(people)
    }

    /// What the device has learned of people before.
    async fn stored(
        &self,
        key: &DeviceKey,
        people: impl Iterator<Item = &Jid>,
        pairs: &mut Pairs,
    ) -> Result<(), ApiError> {
        let people: Vec<&Jid> = people.collect();
        for some in people.chunks(AT_ONCE) {
            let row = |jid: &&Jid| {
                let kind = if jid.is_pn() { StateKind::Lid } else { StateKind::Number };
                StateKey { kind, name: jid.user.to_string() }
            };
            let rows = self.directory().state(key, &some.iter().map(row).collect::<Vec<_>>()).await?;
            for (jid, row) in some.iter().zip(rows) {
                let Some(user) = row.and_then(|row| String::from_utf8(row.to_vec()).ok()) else { continue };
                match jid.is_pn() {
                    true => pairs.learn(jid, &Jid::lid(user)),
                    false => pairs.learn(&Jid::pn(user), jid),
                }
            }
        }
        Ok(())
    }

    /// What WhatsApp knows of numbers; the device remembers it.
    async fn asked(
        &self,
        call: &Call,
        (key, device): (&DeviceKey, &DeviceHandle),
        numbers: BTreeSet<String>,
        pairs: &mut Pairs,
    ) -> Result<(), ApiError> {
        if numbers.len() > MOST {
            return Err(too_many(numbers.len()));
        }
        let numbers: Vec<String> = numbers.into_iter().collect();
        for some in numbers.chunks(AT_ONCE) {
            let question = CheckNumbers { numbers: some.to_vec() };
            let answer = device.ask(&question, call.left()).await;
            for said in answer.map_err(|error| ask_error(key, device, error, CheckNumbers::CHANGES))? {
                if let Some(lid) = said.account.and_then(|found| found.lid) {
                    pairs.learn(&Jid::pn(said.number), &lid);
                }
            }
        }
        Ok(())
    }
}

/// Everybody in the address book.
fn contacts(contents: Vec<Action>) -> Vec<Known> {
    let people = contents.into_iter().filter_map(|action| match action {
        Action::Contact { jid, contact: Some(contact) } => Some(Known { jid, said: contact.lid }),
        _ => None,
    });
    people.filter(|known| known.jid.is_pn() || known.jid.is_lid()).collect()
}

/// The numbers that have to be asked for, so that it can be said who is left out: those of people who are left out by
/// number, and, when somebody is left out whose number is not known, those of contacts who may be him.
fn unclear(book: &[Known], left_out: &[Jid], pairs: &Pairs) -> BTreeSet<String> {
    let unpaired = |jid: &&Jid| pairs.other(jid).is_none();
    let hidden = left_out.iter().filter(|jid| jid.is_lid()).any(|jid| unpaired(&jid));
    let contacts = book.iter().map(|known| &known.jid).filter(|_| hidden);
    let numbers = contacts.chain(left_out).filter(|jid| jid.is_pn()).filter(unpaired);
    numbers.map(|jid| jid.user.to_string()).collect()
}

/// Who is in the address book and neither left out nor perhaps left out: known by one kind of address alone, while
/// somebody is left out who is known by the other kind alone.
fn all_but(book: Vec<Known>, left_out: &[Jid], pairs: &Pairs) -> Vec<Jid> {
    let mut gone: BTreeSet<String> = left_out.iter().map(ToString::to_string).collect();
    gone.extend(left_out.iter().filter_map(|jid| pairs.other(jid)).map(ToString::to_string));
    let alone = |is: fn(&Jid) -> bool| left_out.iter().any(|jid| is(jid) && pairs.other(jid).is_none());
    let (by_lid, by_number) = (alone(Jid::is_lid), alone(Jid::is_pn));
    let sees = |known: &Known| {
        let other = pairs.other(&known.jid);
        let perhaps = other.is_none() && if known.jid.is_pn() { by_lid } else { by_number };
        let forms = [Some(known.jid.to_string()), Some(known.said.clone()), other.map(ToString::to_string)];
        !perhaps && !forms.into_iter().flatten().any(|form| gone.contains(&form))
    };
    book.into_iter().filter(sees).map(|known| known.jid).collect()
}

fn bounded(people: &[Jid]) -> Result<(), ApiError> {
    match people.len() {
        0 => Err(ApiError::field("to.status.people", "are nobody, and the account's settings name nobody")),
        1..=MOST => Ok(()),
        many => Err(too_many(many)),
    }
}

fn too_many(many: usize) -> ApiError {
    let why = format!("must be named: the account's settings name {many}, and a post is for at most {MOST}");
    ApiError::field("to.status.people", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(jid: Jid, said: &str) -> Known {
        Known { jid, said: said.to_owned() }
    }

    fn number(last: u32) -> Jid {
        Jid::pn(format!("491510000000{last}"))
    }

    #[test]
    fn who_is_left_out_in_either_form_sees_nothing() {
        let book = || vec![known(number(1), ""), known(number(2), "72@lid"), known(Jid::lid("73"), "")];
        let mut pairs = Pairs::default();
        for (last, lid) in [(1, "71"), (2, "82"), (3, "73")] {
            pairs.learn(&number(last), &Jid::lid(lid));
        }
        for (left_out, left) in [
            (Jid::lid("71"), vec![number(2), Jid::lid("73")]),
            (number(1), vec![number(2), Jid::lid("73")]),
            (Jid::lid("82"), vec![number(1), Jid::lid("73")]),
            (number(3), vec![number(1), number(2)]),
            (Jid::lid("73"), vec![number(1), number(2)]),
        ] {
            let left_out = [left_out];
            assert_eq!(all_but(book(), &left_out, &pairs), left, "{left_out:?}");
            assert!(unclear(&book(), &left_out, &pairs).is_empty(), "{left_out:?}");
        }
        pairs.learn(&number(9), &Jid::lid("72"));
        assert_eq!(all_but(book(), &[Jid::lid("72")], &pairs), [number(1), Jid::lid("73")], "an old one");
    }

    #[test]
    fn who_may_be_left_out_is_asked_for_and_sees_nothing_until_it_is_known_who_he_is() {
        let book = || vec![known(number(1), ""), known(number(2), "72@lid"), known(Jid::lid("73"), "")];
        let mut pairs = Pairs::default();
        let hidden = [Jid::lid("79")];
        assert_eq!(
            unclear(&book(), &hidden, &pairs),
            [1, 2].map(|last| number(last).user.to_string()).into()
        );
        assert_eq!(all_but(book(), &hidden, &pairs), [Jid::lid("73")]);
        let by_number = [number(4)];
        assert_eq!(unclear(&book(), &by_number, &pairs), [number(4).user.to_string()].into());
        assert_eq!(all_but(book(), &by_number, &pairs), [number(1), number(2)]);
        pairs.learn(&number(1), &Jid::lid("71"));
        pairs.learn(&number(4), &Jid::lid("74"));
        assert_eq!(all_but(book(), &hidden, &pairs), [number(1), Jid::lid("73")]);
        assert_eq!(all_but(book(), &by_number, &pairs).len(), 3);
    }

    #[test]
    fn an_audience_is_somebody_and_not_too_many() {
        let people = |many: usize| bounded(&vec![Jid::lid("7"); many]);
        assert!(people(1).is_ok() && people(MOST).is_ok());
        for refused in [people(0), people(MOST + 1)] {
            assert!(
                matches!(refused, Err(ApiError::InvalidField { field, .. }) if field == "to.status.people")
            );
        }
    }
}
