//! Which phone numbers are on WhatsApp: protocol `contact` of `usync`.
//!
//! WhatsApp answers each number by the text that was asked for; the order is not promised.

use super::{Question, get};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Asks for some phone numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckNumbers {
    /// International, digits only, without repetitions.
    pub numbers: Vec<String>,
}

/// What WhatsApp knows of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// As it was asked for: digits.
    pub number: String,
    /// Whose it is, when somebody on WhatsApp has it.
    pub account: Option<Found>,
}

/// An account behind a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Phone-number JID. Its digits differ from those asked for where a country has two spellings.
    pub pn: Jid,
    /// Its hidden identity, when WhatsApp gives it.
    pub lid: Option<Jid>,
    /// It is a business account.
    pub business: bool,
}

impl Question for CheckNumbers {
    /// One per number, in the order of asking.
    type Answer = Vec<Number>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let users = self.numbers.iter().map(|number| {
            let contact = Builder::new("contact").bytes(format!("+{number}")).build();
            Builder::new("user").children([contact]).build()
        });
        let business = Builder::new("business").children([Builder::new("verified_name").build()]).build();
        let query = [Builder::new("contact").build(), Builder::new("lid").build(), business];
        get("usync").children([usync("interactive", query, users)]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<Number>, Missing> {
        let users = answer.need_child("usync")?.need_child("list")?.all();
        let account = |number: &String| {
            let user = users.iter().find(|user| {
                let echo = user.child("contact").and_then(|contact| contact.leaf_text());
                echo.is_some_and(|echo| digits(echo) == *number)
            })?;
            let exists = user.child("contact")?.text("type").as_deref() == Some("in");
            exists.then(|| found(user)).flatten()
        };
        let numbers = self.numbers.iter();
        Ok(numbers.map(|number| Number { number: number.clone(), account: account(number) }).collect())
    }
}

fn found(user: &Stanza) -> Option<Found> {
    let forms = [user.jid("jid"), user.jid("pn_jid"), user.child("lid").and_then(|lid| lid.jid("val"))];
    let form = |is: fn(&Jid) -> bool| forms.iter().flatten().find(|jid| is(jid)).map(Jid::to_non_ad);
    Some(Found { pn: form(Jid::is_pn)?, lid: form(Jid::is_lid), business: user.child("business").is_some() })
}

/// `<usync>`: one query about some users.
pub(super) fn usync(
    context: &'static str,
    query: impl IntoIterator<Item = Stanza>,
    users: impl IntoIterator<Item = Stanza>,
) -> Stanza {
    Builder::new("usync")
        .attr("sid", "1")
        .attr("mode", "query")
        .attr("last", "true")
        .attr("index", "0")
        .attr("context", context)
        .children([
            Builder::new("query").children(query).build(),
            Builder::new("list").children(users).build(),
        ])
        .build()
}

fn digits(text: &str) -> String {
    let user = text.split_once('@').map_or(text, |(user, _)| user);
    user.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> CheckNumbers {
        CheckNumbers { numbers: vec!["4915100000001".to_owned(), "4915100000002".to_owned()] }
    }

    fn user(jid: Jid, echo: &str, kind: &'static str, more: Vec<Stanza>) -> Stanza {
        let contact = Builder::new("contact").attr("type", kind).bytes(echo.to_owned()).build();
        let children = std::iter::once(contact).chain(more);
        Builder::new("user").attr("jid", jid).children(children).build()
    }

    fn answer(users: Vec<Stanza>) -> Stanza {
        Builder::new("iq").children([usync("interactive", [], users)]).build()
    }

    #[test]
    fn numbers_are_matched_by_what_was_asked_and_not_by_their_order() {
        let lid = Builder::new("lid").attr("val", Jid::lid("77")).build();
        let users = vec![
            user(Jid::pn("4915100000002"), "+4915100000002", "out", vec![]),
            user(Jid::pn("4915100000001"), "+4915100000001@c.us", "in", vec![lid]),
        ];
        let numbers = asked().read(&answer(users)).expect("complete");
        assert_eq!(numbers.len(), 2);
        let first = numbers[0].account.as_ref().expect("on WhatsApp");
        assert_eq!((first.pn.clone(), first.lid.clone()), (Jid::pn("4915100000001"), Some(Jid::lid("77"))));
        assert!(!first.business);
        assert_eq!(numbers[1].account, None);
    }

    #[test]
    fn an_answer_under_the_hidden_identity_has_the_number_beside_it() {
        let mut one = user(Jid::lid("77"), "+4915100000001", "in", vec![Builder::new("business").build()]);
        one.attrs.insert("pn_jid", Jid::pn("4915100000001"));
        let numbers = asked().read(&answer(vec![one])).expect("complete");
        let first = numbers[0].account.as_ref().expect("on WhatsApp");
        assert_eq!((&first.pn, first.lid.as_ref()), (&Jid::pn("4915100000001"), Some(&Jid::lid("77"))));
        assert!(first.business);
        assert_eq!(numbers[1].account, None, "WhatsApp said nothing of it");
    }

    #[test]
    fn an_answer_without_a_list_is_none() {
        let empty = Builder::new("iq").children([Builder::new("usync").build()]).build();
        assert!(asked().read(&empty).is_err());
    }
}
