//! Lines of `roost send`, read.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    send: SendArgs,
}

fn read(line: &[&str]) -> Result<(Whereto, Content), String> {
    let parsed = Line::try_parse_from([&["send"], line].concat()).map_err(|error| error.to_string())?;
    let kind = parsed.send.kind().ok_or("nothing")?;
    let (whereto, (said, _)) = content::of(kind).map_err(|problem| problem.message)?;
    Ok((whereto, said))
}

#[test]
fn a_text_needs_no_word_for_its_kind() {
    let (whereto, said) =
        read(&["acme/shop", "4915112345678", "hello", "--wait", "delivered"]).expect("good");
    assert_eq!((whereto.wait, said), (Wait::Delivered, Content::Text("hello".into())));
    let (_, said) = read(&["text", "acme/shop", "4915112345678", "hello"]).expect("good");
    assert_eq!(said, Content::Text("hello".into()));
    let line = ["acme/shop", "4915112345678", "hello", "--whatsapp-id", "3EB0C0FFEE"];
    assert_eq!(read(&line).expect("good").0.whatsapp_id.as_deref(), Some("3EB0C0FFEE"));
    assert!(read(&["acme/shop", "4915112345678"]).is_err());
    assert!(read(&[]).is_err());
}

#[test]
fn a_code_that_clients_know_is_put_into_words() {
    assert!(meaning("UPSTREAM_NACK_463").is_some_and(|why| why.contains("no new chats")));
    assert_eq!((meaning("UPSTREAM_NACK_999"), meaning("RECIPIENT_HAS_NO_KEYS")), (None, None));
}

#[test]
fn other_kinds_are_named() {
    let (whereto, poll) = read(&["poll", "acme/shop", "1@g.us", "When?", "now", "later"]).expect("good");
    let options = vec!["now".to_owned(), "later".to_owned()];
    assert_eq!(whereto.to, "1@g.us");
    let asked = |correct: &str| {
        let (question, correct_option) = ("When?".to_owned(), correct.to_owned());
        Content::Poll(api::Poll {
            question,
            options: options.clone(),
            selectable: 1,
            correct_option,
            ..Default::default()
        })
    };
    assert_eq!(poll, asked(""));
    let quiz = ["poll", "acme/shop", "1@g.us", "When?", "now", "later", "--correct", "now"];
    assert_eq!(read(&quiz).expect("good").1, asked("now"));
    let open = read(&["poll", "acme/shop", "1@g.us", "When?", "now", "later", "--open"]).expect("good").1;
    assert!(matches!(open, Content::Poll(api::Poll { open: true, .. })));
    let line =
        ["poll", "acme/shop", "1@g.us", "When?", "now", "later", "--ends", "1900000000", "--hide-voters"];
    match read(&line).expect("good").1 {
        Content::Poll(poll) => {
            assert_eq!((poll.end_time.map(|end| end.seconds), poll.hide_voters), (Some(1_900_000_000), true));
        }
        other => panic!("{other:?}"),
    }
    assert!(read(&["poll", "acme/shop", "1@g.us", "When?", "now"]).is_err(), "one answer is no choice");
    let place = ["location", "acme/shop", "1@lid", "--latitude", "-33.9", "--longitude", "18.4"];
    assert!(matches!(read(&place), Ok((_, Content::Location(at))) if at.latitude == -33.9));
    let option = read(&["poll-option", "acme/shop", "1@g.us", "3EB0", "later", "--own"]).expect("good").1;
    assert!(
        matches!(option, Content::PollOption(added) if added.option == "later" && added.poll.as_ref().is_some_and(|poll| poll.from_me))
    );
    let note = read(&["note", "acme/shop", "1@lid", "round.mp4"]);
    assert!(matches!(note, Ok((_, Content::Video(video))) if video.note && video.caption.is_empty()));
    let edit = read(&["edit", "acme/shop", "1@lid", "3EB0", "better", "--encrypted"]).expect("good").1;
    assert!(matches!(edit, Content::Edit(edit) if edit.encrypted && edit.text == "better"));
    let revoke = |line: &[&str]| match read(&[&["revoke", "acme/shop", "1@g.us", "3EB0"], line].concat()) {
        Ok((_, Content::Revoke(revoke))) => revoke.message.map(|message| message.from_me),
        other => panic!("{other:?}"),
    };
    assert_eq!((revoke(&[]), revoke(&["--sender", "2@lid"])), (Some(true), Some(false)));
    let missing = read(&["raw", "acme/shop", "1@lid", "/nonexistent/file"]).expect_err("no such file");
    assert!(missing.contains("/nonexistent/file"));
}
