//! Edits, reactions and comments that are encrypted under the secret of their message.

use super::*;

/// A message of ours in the announcement group, with a secret, and the two sides of it.
const SECRET: [u8; 32] = [9; 32];

fn parties<'a>(author: &'a [String], by: &'a [String]) -> Parties<'a> {
    Parties { id: "3EB0TARGET", author, answerer: by }
}

#[test]
fn concealed_reactions_and_comments_open_with_the_secret_of_their_message() {
    let secret = Secret::bare(SECRET.to_vec());
    let around = around();
    let (author, by) = (vec!["7654321@lid".to_owned()], vec![around.own.to_string()]);
    let reaction = api::Reaction { message: target(false), emoji: "🐓".into(), concealed: true };
    let comment = api::Comment { message: target(false), text: "well said".into() };
    for content in [Content::Reaction(reaction), Content::Comment(comment)] {
        let content = plain(content);
        assert_eq!(answered(&content), target(false));
        let bytes = seal(&content, &around, &secret, &author[0], [3; 12]).expect("sealed");
        let Ok(Meaning::Concealed(concealed)) = read(&bytes) else { panic!("it is concealed") };
        let other = Secret { key: vec![8; 32], ..secret.clone() };
        assert_eq!(concealed.reveal(&other, parties(&author, &by)), None);
        match concealed.reveal(&secret, parties(&author, &by)).expect("opens") {
            Meaning::Reacted(about, emoji) => assert_eq!((about.id.as_str(), &*emoji), ("3EB0TARGET", "🐓")),
            Meaning::Commented(about, said) => {
                assert_eq!(about.id, "3EB0TARGET");
                assert_eq!(said.content, Received::Text("well said".into()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_encrypted_edit_opens_with_the_secret_beside_it_and_edits_what_it_names_outside() {
    let ours = Secret::bare(SECRET.to_vec());
    let edit = plain(Content::Edit(an_edit(true)));
    assert_eq!(answered(&edit), target(true));
    let author = [around().own.to_string()];
    let bytes = seal(&edit, &around(), &ours, &author[0], [5; 12]).expect("sealed");
    assert_eq!(Secret::of(&bytes), None, "it is the secret of another message");
    assert_eq!((Wire::of(&bytes).edit, Wire::of(&bytes).hidden), (Some("1"), true));
    let Ok(Meaning::Concealed(concealed)) = read(&bytes) else { panic!("it is concealed") };
    let secret = concealed.secret.clone().expect("beside it");
    let revealed = concealed.reveal(&secret, parties(&author, &author)).expect("opens");
    let Meaning::Edited { message, content } = revealed else { panic!("{revealed:?}") };
    assert_eq!((message.id.as_str(), message.of_the_sender), ("3EB0TARGET", true));
    assert_eq!(content, api::message_edited::Content::Text("better".into()));
}

#[test]
fn an_option_that_is_added_to_a_poll_opens_with_the_secret_of_the_poll() {
    let secret = Secret::bare(SECRET.to_vec());
    let (author, by) = (["7654321@lid".to_owned()], ["1234567@lid".to_owned()]);
    let content = api::AddPollOption { poll: target(false), option: "never".into() };
    let content = plain(Content::PollOption(content));
    let added = seal(&content, &around(), &secret, &author[0], [4; 12]).expect("sealed");
    let wire = Wire::of(&added);
    assert_eq!((wire.kind, wire.hidden, wire.edit), ("poll", true, None));
    let Ok(Meaning::Concealed(mut concealed)) = read(&added) else { panic!("it is concealed") };
    let Some(Meaning::OptionAdded(about, option)) = concealed.reveal(&secret, parties(&author, &by)) else {
        panic!("it opens")
    };
    assert_eq!((&*about.id, &*option), ("3EB0TARGET", "never"));
    assert_eq!(concealed.reveal(&secret, parties(&by, &author)), None);
    concealed.usage = Usage::PollEdit;
    assert_eq!(concealed.reveal(&secret, parties(&author, &by)), None, "it has a word of its own");
}

#[test]
fn an_encrypted_edit_is_never_said_plainly() {
    assert_eq!(read(&encode(&plain(Content::Edit(an_edit(true))), &around())), Ok(Meaning::Protocol));
}

#[test]
fn what_is_said_carries_a_secret_and_what_is_about_it_or_for_everybody_carries_none() {
    let secret = |kind, around: &Surroundings| Secret::of(&encode(&plain(kind), around));
    let text = || Content::Text("x".into());
    assert_eq!(secret(text(), &around()).map(|secret| secret.key), Some(around().secret.to_vec()));
    assert_eq!(secret(Content::Edit(an_edit(false)), &around()), None);
    assert_eq!(secret(Content::Revoke(api::RevokeMessage { message: target(true) }), &around()), None);
    let newsletter =
        Surroundings { chat: "120363000000000001@newsletter".parse().expect("a JID"), ..around() };
    assert_eq!(secret(text(), &newsletter), None);
}

#[test]
fn what_a_bot_answers_opens_with_the_secret_of_the_question_and_under_its_own_names_alone() {
    let secret = Secret::bare(SECRET.to_vec());
    let (asker, bot) = (["7654321@lid".to_owned()], ["867051314767696@bot".to_owned()]);
    let parties = Parties { id: "3EB0ANSWER", author: &asker, answerer: &bot };
    let message = encode(&MessageContent::text("Hens lay eggs."), &around());
    let key = BotKey::of(&secret).expect("a key");
    let sealed = seal_bot(&message, &key, parties, [4; 12]).expect("sealed");
    let said = Some(api::bot_answered::Content::Text("Hens lay eggs.".into()));
    assert_eq!(open_bot(&sealed, &secret, parties), said);
    assert_eq!(open_bot(&sealed, &secret, Parties { id: "3EB0OTHER", ..parties }), None);
    assert_eq!(open_bot(&sealed, &secret, Parties { answerer: &asker, ..parties }), None);
    assert_eq!(open_bot(&sealed, &Secret { key: vec![8; 32], ..secret.clone() }, parties), None);
    assert_eq!(open_bot(b"no message", &secret, parties), None);
    assert_eq!(seal_bot(&message, &key, Parties { author: &[], ..parties }, [4; 12]), None);
}

#[test]
fn a_bot_that_a_text_mentions_gets_the_text_and_a_key_of_its_secret_and_others_the_secret() {
    let bot = "867051314767696@bot".to_owned();
    let question = |mentions: Vec<String>| {
        let context = api::Context { mentions, ..Default::default() };
        MessageContent { kind: Content::Text("@867051314767696 hens?".into()), context }
    };
    let asked = question(vec!["77@lid".to_owned(), bot.clone()]);
    assert_eq!(check(&asked), Ok(()));
    let bytes = encode(&asked, &around());
    let (called, copy) = for_bot(&bytes).expect("it calls one");
    assert_eq!(called.to_string(), bot);
    let secret = Secret::of(&bytes).expect("a secret");
    assert_eq!((BotKey::given(&copy), Secret::of(&copy)), (BotKey::of(&secret), None));
    for said in [&bytes, &copy] {
        let Ok(Meaning::Said(said)) = read(said) else { panic!("something said") };
        assert_eq!(said.content, Received::Text("@867051314767696 hens?".into()));
        assert_eq!(said.context.map(|context| context.mentions), Some(asked.context.mentions.clone()));
    }
    assert_eq!(for_bot(&encode(&question(vec!["77@lid".to_owned()]), &around())), None);
    let newsletter = "120363000000000001@newsletter".parse().expect("a JID");
    assert_eq!(for_bot(&encode(&asked, &Surroundings { chat: newsletter, ..around() })), None);
}

#[test]
fn one_text_calls_one_bot_and_nothing_else_calls_any() {
    let refused = |kind: Content, bots: &[&str]| {
        let mentions = bots.iter().map(|bot| (*bot).to_owned()).collect();
        let context = api::Context { mentions, ..Default::default() };
        check(&MessageContent { kind, context }).expect_err("refused").to_string()
    };
    let (text, bot) = (Content::Text("hens?".into()), "867051314767696@bot");
    let two = refused(text.clone(), &[bot, "12345@bot"]);
    assert_eq!(two, "context.mentions[1] is a second bot; one message calls one");
    let place = Content::Location(api::Location::default());
    assert_eq!(refused(place, &[bot]), "context.mentions[0] is a bot, which only a text can call");
    assert!(refused(text, &["meta@bot"]).starts_with("context.mentions[0] must be a JID"));
}

#[test]
fn a_vote_names_each_option_once_however_often_it_says_its_hash() {
    use sha2::{Digest as _, Sha256};
    let hash = |text: &str| Sha256::digest(text).to_vec();
    let options = ["hens", "ducks"].map(str::to_owned);
    let said =
        chosen(&options, vec![hash("ducks"), hash("geese"), hash("ducks"), hash("hens"), hash("geese")]);
    assert_eq!(said, (vec!["ducks".to_owned(), "hens".to_owned()], vec![hash("geese")]));
    let many: Vec<_> = (0..1_000).map(|number: u32| number.to_string()).collect();
    let (names, unknown) = chosen(&many, many.iter().map(|name| hash(name)).collect());
    assert_eq!((names.len(), unknown.len()), (MOST_OPTIONS, 0));
}
