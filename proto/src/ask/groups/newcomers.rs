//! People who are brought into a group, and the trusted-contact tokens that let us.
//!
//! Rules: what whatsmeow and whatsapp-rust agree on: with `<add>` and `<create>` each participant who has given us a token
//! carries it as `<privacy>`.

use super::XMLNS;
use crate::stanza::{Builder, Content, Jid, Read, Stanza};

/// Whom a question brings into a group: bare JIDs, none for every other question.
pub(in crate::ask) fn newcomers(question: &Stanza) -> Vec<Jid> {
    let is_of_groups = question.text("xmlns").as_deref() == Some(XMLNS);
    let lists = question.all().iter().filter(|child| is_of_groups && brings(child));
    let named = lists.flat_map(|list| list.all_named("participant"));
    named.filter_map(|one| one.jid("jid")).map(|jid| jid.to_non_ad()).collect()
}

/// The same question with the token of each newcomer for whom there is one.
pub(in crate::ask) fn give_tokens(mut question: Stanza, token: impl Fn(&Jid) -> Option<Vec<u8>>) -> Stanza {
    let Some(Content::Nodes(children)) = &mut question.content else { return question };
    for list in children.iter_mut().filter(|child| brings(child)) {
        let Some(Content::Nodes(people)) = &mut list.content else { continue };
        for person in people.iter_mut().filter(|person| person.tag == "participant") {
            if let Some(token) = person.jid("jid").and_then(|jid| token(&jid.to_non_ad())) {
                let shown = Builder::new("privacy").bytes(token).build();
                person.content = Some(Content::Nodes(vec![shown]));
            }
        }
    }
    question
}

fn brings(child: &Stanza) -> bool {
    matches!(&*child.tag, "add" | "create")
}

#[cfg(test)]
mod tests {
    use super::super::{Act, ChangeMembers, CreateGroup};
    use super::*;
    use crate::ask::Question as _;

    fn change(act: Act) -> Stanza {
        let group = "120363000000000001@g.us".parse().expect("a JID");
        let members = vec![Jid::lid("1"), Jid::pn("4915100000002")];
        ChangeMembers { group, act, members, linked: false }.request()
    }

    #[test]
    fn who_is_brought_into_a_group_shows_the_token_that_he_has_given() {
        let create = CreateGroup {
            subject: "Hens".to_owned(),
            members: vec![Jid::lid("1"), Jid::pn("4915100000002")],
            community: false,
            parent: None,
            general_chat: false,
            members_create_subgroups: false,
        };
        for question in [change(Act::Add), create.request("3EB0AA")] {
            assert_eq!(newcomers(&question), [Jid::lid("1"), Jid::pn("4915100000002")]);
            let shown = give_tokens(question, |jid| jid.is_lid().then(|| b"trust".to_vec()));
            let people: Vec<&Stanza> = shown.all()[0].all_named("participant").collect();
            let token = |one: &Stanza| one.child("privacy").and_then(Read::leaf).map(<[u8]>::to_vec);
            assert_eq!(
                people.iter().map(|one| token(one)).collect::<Vec<_>>(),
                [Some(b"trust".to_vec()), None]
            );
        }
    }

    #[test]
    fn nobody_is_brought_in_by_another_question() {
        assert!(newcomers(&change(Act::Remove)).is_empty());
        let other = crate::ask::set("privacy").children([Builder::new("add").build()]).build();
        assert!(newcomers(&other).is_empty());
    }
}
