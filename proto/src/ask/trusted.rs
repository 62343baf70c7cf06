//! Of whom a question shows WhatsApp the trusted-contact token that they have given us: those whom it brings into a
//! group, and those of whom it wants to see the picture or the about text, which may be shown to trusted contacts alone.
//!
//! Rules: what whatsmeow and whatsapp-rust agree on: `<tctoken>` stands in `<picture>`, and in the `<user>` of a question
//! that wants their `<status>` or `<picture>`. Baileys puts the former beside `<picture>` and has not the latter. That the
//! server never answers who shows a token for his own picture, both Baileys and whatsapp-rust say.

use super::groups::{give_tokens, newcomers};
use crate::stanza::{Builder, Content, Jid, Read, Stanza};

/// Whose tokens a question shows where we have them: bare JIDs, none for most questions.
pub fn people(question: &Stanza) -> Vec<Jid> {
    match question.text("xmlns").as_deref() {
        Some("w:profile:picture") if question.text("type").as_deref() == Some("get") => {
            question.jid("target").map(|jid| jid.to_non_ad()).into_iter().collect()
        }
        Some("usync") => {
            let usync = question.child("usync");
            let wants =
                |query: &Stanza| query.all().iter().any(|part| matches!(&*part.tag, "status" | "picture"));
            let list = usync.filter(|usync| usync.child("query").is_some_and(wants));
            let users = list.and_then(|usync| usync.child("list")).map_or(&[][..], |list| list.all());
            users.iter().filter_map(|user| user.jid("jid")).map(|jid| jid.to_non_ad()).collect()
        }
        _ => newcomers(question),
    }
}

/// The same question with the token of each of those people for whom there is one.
pub fn with_tokens(mut question: Stanza, token: impl Fn(&Jid) -> Option<Vec<u8>>) -> Stanza {
    let target = question.jid("target").map(|jid| jid.to_non_ad());
    let shown = |jid: &Jid| token(jid).map(|bytes| Builder::new("tctoken").bytes(bytes).build());
    match question.text("xmlns").as_deref() {
        Some("w:profile:picture") => {
            let token = target.as_ref().and_then(shown);
            if let (Some(token), Some(picture)) = (token, child(&mut question, "picture")) {
                picture.content = Some(Content::Nodes(vec![token]));
            }
        }
        Some("usync") => {
            let list = child(&mut question, "usync").and_then(|usync| child(usync, "list"));
            let users = list.and_then(|list| list.content.as_mut());
            let Some(Content::Nodes(users)) = users else { return question };
            for user in users.iter_mut().filter(|user| user.content.is_none()) {
                let token = user.jid("jid").and_then(|jid| shown(&jid.to_non_ad()));
                user.content = token.map(|token| Content::Nodes(vec![token]));
            }
        }
        _ => return give_tokens(question, token),
    }
    question
}

fn child<'a>(of: &'a mut Stanza, tag: &str) -> Option<&'a mut Stanza> {
    match &mut of.content {
        Some(Content::Nodes(children)) => children.iter_mut().find(|child| child.tag == tag),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Question as _;
    use super::super::numbers::CheckNumbers;
    use super::super::pictures::{GetPicture, SetPicture};
    use super::super::users::AskUsers;
    use super::*;

    fn ada() -> Jid {
        Jid::lid("1")
    }

    fn trust(jid: &Jid) -> Option<Vec<u8>> {
        (*jid == ada()).then(|| b"trust".to_vec())
    }

    #[test]
    fn whose_picture_is_asked_for_shows_his_token_within_the_picture() {
        let ask = |of: Jid| GetPicture { of, preview: false, known: "7".to_owned() }.request();
        assert_eq!(people(&ask(ada())), [ada()]);
        let shown = with_tokens(ask(ada()), trust);
        let picture = shown.child("picture").expect("it is asked for");
        assert_eq!(picture.child("tctoken").and_then(Read::leaf), Some(&b"trust"[..]));
        assert_eq!(picture.text("id").as_deref(), Some("7"), "nothing else changes");
        let none = with_tokens(ask(Jid::lid("2")), trust);
        assert_eq!(none, ask(Jid::lid("2")));
    }

    #[test]
    fn of_those_who_are_asked_about_each_shows_his_own_token() {
        let ask = AskUsers { users: vec![Jid::pn("4915100000002"), ada()] }.request();
        assert_eq!(people(&ask), [Jid::pn("4915100000002"), ada()]);
        let shown = with_tokens(ask, trust);
        let users = shown.child("usync").and_then(|usync| usync.child("list")).expect("a list").all();
        let token = |user: &Stanza| user.child("tctoken").and_then(Read::leaf).map(<[u8]>::to_vec);
        assert_eq!(users.iter().map(token).collect::<Vec<_>>(), [None, Some(b"trust".to_vec())]);
    }

    #[test]
    fn questions_that_show_nothing_of_people_need_no_token() {
        let numbers = CheckNumbers { numbers: vec!["4915100000002".to_owned()] }.request();
        let own = SetPicture { of: Some(ada()), jpeg: None }.request();
        for question in [numbers, own] {
            assert!(people(&question).is_empty(), "{question:?}");
        }
    }
}
