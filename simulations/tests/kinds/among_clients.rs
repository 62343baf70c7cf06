//! Messages of every kind from each client to each other one, with nothing of Roost in between but the simulated
//! WhatsApp: what they say to each other there, they could say to a device.

use roost_simulations::interop::{ClientEvent, Failure, Library, Matrix, Stage, Way};
use roost_simulations::wa::Question;
use sha2::{Digest as _, Sha256};

use super::{Speaker, beside, cannot_hear, cannot_say, detail_of, hash, opened};

const UNREAD_EDIT: &str = "whatsapp-rust encrypts it under its number and sends it under its hidden identity, and \
                           whatsmeow tries the latter alone";

/// Kinds that are about nothing.
const STATEMENTS: [&str; 10] = [
    "location",
    "live_location",
    "contact",
    "calendar_event",
    "list",
    "buttons",
    "product",
    "product_list",
    "order",
    "group_invite",
];

/// Each speaker talks to each other one. Returns what was seen.
pub(crate) async fn talk(stage: &Stage, speakers: &mut [Speaker]) -> Result<Matrix, Failure> {
    let mut matrix = Matrix::among_clients("1-messages");
    for one in 0..speakers.len() {
        for other in one + 1..speakers.len() {
            let (left, right) = speakers.split_at_mut(other);
            let (one, other) = (&mut left[one], &mut right[0]);
            speak(one, other, &mut matrix).await?;
            speak(other, one, &mut matrix).await?;
            hear_a_bot(stage, one, other, &mut matrix).await?;
            hear_a_bot(stage, other, one, &mut matrix).await?;
        }
    }
    Ok(matrix)
}

/// One says everything that it can to the other.
async fn speak(from: &mut Speaker, to: &mut Speaker, matrix: &mut Matrix) -> Result<(), Failure> {
    let way = Way::Between(from.library, to.library);
    let (here, there) = (from.person.lid_jid(), to.person.lid_jid());
    let names = format!("{} to {}", from.client.name(), to.client.name());
    let mine = from.client.send(&there, &format!("first, {names}")).await?;
    to.client.message(&format!("first, {names}")).await?;
    let yours = to.client.send(&here, &format!("answer, {names}")).await?;
    from.client.message(&format!("answer, {names}")).await?;

    let (quote, better) = (format!("quoting, {names}"), format!("better, {names}"));
    let remarks = [
        ("quote", quote.as_str(), &yours),
        ("reaction", "👍", &yours),
        ("edit", better.as_str(), &mine),
        ("pin", "", &yours),
        ("pin", "undo", &yours),
        ("revoke", "", &mine),
    ];
    for (kind, text, about) in remarks {
        from.client.say(&there, kind, text, about).await?;
        let said = to.client.said(kind, text).await?;
        assert_eq!(said.about, *about, "{kind}, {names}");
        if kind == "pin" {
            assert_eq!(said.detail, if text == "undo" { "0" } else { "86400" }, "{names}");
        }
        matrix.row(kind).seen(way);
    }
    for kind in STATEMENTS {
        let id = from.client.say(&there, kind, &names, "").await?;
        let said = to.client.said(kind, &names).await?;
        assert_eq!((said.id, said.detail), (id, detail_of(kind, &names, &from.person)), "{kind}, {names}");
        matrix.row(kind).seen(way);
    }
    beside::among(from, to, matrix).await?;

    let poll = from.client.say(&there, "poll", &names, "").await?;
    assert_eq!(to.client.said("poll", &format!("{names}: yes, no")).await?.id, poll, "{names}");
    matrix.row("poll").seen(way);
    let row = "vote in a poll";
    if let Some(reason) = cannot_say(from.library, row) {
        matrix.row(row).not_applicable(way, reason);
    } else {
        let question = format!("what says {names}");
        let poll = to.client.say(&here, "poll", &question, "").await?;
        from.client.said("poll", &format!("{question}: yes, no")).await?;
        from.client.say(&there, "vote", "yes", &poll).await?;
        assert_eq!(to.client.said("vote", &hash("yes")).await?.about, poll, "{names}");
        matrix.row(row).seen(way);
    }

    let quiz = from.client.say(&there, "quiz", &names, "").await?;
    assert_eq!(to.client.said("quiz", &format!("{names}: yes, no; no")).await?.id, quiz, "{names}");
    matrix.row("quiz").seen(way);
    let kinds = [
        ("phone number asked for", "request_phone_number", ""),
        ("phone number given", "share_phone_number", ""),
        ("sharing limited", "limit_sharing", "on"),
    ];
    for (row, kind, text) in kinds {
        let id = from.client.say(&there, kind, text, "").await?;
        assert_eq!(to.client.said(kind, text).await?.id, id, "{kind}, {names}");
        matrix.row(row).seen(way);
    }

    let kinds = [
        ("concealed reaction", "concealed_reaction", opened(to.library), "🥚"),
        ("concealed comment", "concealed_comment", "concealed_comment", names.as_str()),
    ];
    for (row, kind, heard_as, text) in kinds {
        if let Some(reason) = cannot_say(from.library, row).or(cannot_hear(to.library, row)) {
            matrix.row(row).not_applicable(way, reason);
            continue;
        }
        // whatsapp-rust takes a message of its sender, in a chat of two, for one of its own.
        let about = to.client.say(&here, "secret", &format!("{row}, {names}"), "").await?;
        from.client.message(&format!("{row}, {names}")).await?;
        from.client.say(&there, kind, text, &about).await?;
        assert_eq!(to.client.said(heard_as, text).await?.about, about, "{kind}, {names}");
        matrix.row(row).seen(way);
    }
    let row = "encrypted edit";
    if let Some(reason) = cannot_say(from.library, row).or(cannot_hear(to.library, row)) {
        matrix.row(row).not_applicable(way, reason);
        return Ok(());
    }
    let mine = from.client.say(&there, "secret", &format!("before, {names}"), "").await?;
    to.client.message(&format!("before, {names}")).await?;
    from.client.say(&there, "encrypted_edit", &format!("after, {names}"), &mine).await?;
    if way == Way::Between(Library::WhatsappRust, Library::Whatsmeow) {
        let unread = |event: &ClientEvent| {
            matches!(event, ClientEvent::Said(said) if said.kind == "edit" && said.about == mine
                && said.text.starts_with("unreadable"))
        };
        to.client.wait("an edit that it cannot open", unread).await?;
        matrix.row(row).no(way, UNREAD_EDIT);
        return Ok(());
    }
    assert_eq!(to.client.said("edit", &format!("after, {names}")).await?.about, mine, "{row}, {names}");
    matrix.row(row).seen(way);
    Ok(())
}

/// One asks a bot in the chat with the other, and both hear what it answers.
async fn hear_a_bot(
    stage: &Stage,
    from: &mut Speaker,
    to: &mut Speaker,
    matrix: &mut Matrix,
) -> Result<(), Failure> {
    let (row, way) = ("answer of a bot", Way::Between(from.library, to.library));
    if let Some(reason) = cannot_say(from.library, row).or(cannot_hear(to.library, row)) {
        matrix.row(row).not_applicable(way, reason);
        return Ok(());
    }
    let asked = format!("{} asks beside {}", from.client.name(), to.client.name());
    let id = from.client.say(&to.person.lid_jid(), "secret", &asked, "").await?;
    to.client.message(&asked).await?;
    let secret = Sha256::digest(&asked).to_vec();
    let question = Question { asker: from.person.pn, chat: to.person.pn, id, secret };
    let answer = format!("answered, {asked}");
    let ids = stage.sim.act(|machine, now| machine.bot_answers(now, &question, &[&answer]))?;
    for speaker in [from, to] {
        assert_eq!(speaker.client.message(&answer).await?.id, ids[0]);
    }
    matrix.row(row).seen(way);
    Ok(())
}
