//! Messages of every kind between a Roost device and unmodified whatsmeow, Baileys and whatsapp-rust clients,
//! among these, and once more while the owner of the device is killed.
//!
//! Needs Go and Node.js, and fails without them: `.ci/test` installs both.

#[path = "kinds/amid_a_kill.rs"]
mod amid_a_kill;
#[path = "kinds/among_clients.rs"]
mod among_clients;
#[path = "kinds/beside.rs"]
mod beside;
#[path = "kinds/between_two.rs"]
mod between_two;
#[path = "kinds/bots.rs"]
mod bots;
#[path = "kinds/polls.rs"]
mod polls;
#[path = "kinds/quotes.rs"]
mod quotes;
#[path = "kinds/statements.rs"]
mod statements;

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::{
    CLIENTS, Cast, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Way,
};
use roost_simulations::wa::DeviceRecord;
use sha2::{Digest as _, Sha256};
use statements::{statements, text_of};

/// A Roost device, and one client that it talks with.
struct Pair<'a> {
    cluster: &'a Cluster,
    device: &'a str,
    reader: &'a Reader,
    roost: &'a Person,
    speaker: &'a mut Speaker,
    matrix: &'a mut Matrix,
    from: Way,
    to: Way,
}

/// One client of the table.
struct Speaker {
    library: Library,
    client: RealClient,
    person: Person,
}

/// Why clients of a library cannot say this.
fn cannot_say(library: Library, row: &str) -> Option<&'static str> {
    match (library, row) {
        (Library::Baileys, "vote in a poll") => Some("Baileys cannot vote"),
        (Library::Baileys, "answer to a calendar event") => {
            Some("Baileys opens answers to events and makes none")
        }
        (Library::Whatsmeow, "encrypted edit") => Some("whatsmeow opens encrypted edits and sends none"),
        (Library::WhatsappRust, "concealed reaction") => {
            Some("whatsapp-rust conceals reactions in announcement groups only")
        }
        _ => cannot_hear(library, row),
    }
}

/// Why they cannot hear it either.
fn cannot_hear(library: Library, row: &str) -> Option<&'static str> {
    match (library, row) {
        (Library::Baileys, "concealed reaction" | "concealed comment") => {
            Some("Baileys conceals and opens neither reactions nor comments")
        }
        (Library::Whatsmeow, "answer to a calendar event") => {
            Some("whatsmeow neither makes nor opens answers to events")
        }
        (Library::Baileys, "answer of a bot") => Some("Baileys opens no answers of bots"),
        (Library::Baileys, "encrypted edit") => Some("Baileys neither sends nor opens encrypted edits"),
        _ => None,
    }
}

/// The kind under which a client tells of a concealed reaction: whatsapp-rust opens it and says no more of it.
fn opened(library: Library) -> &'static str {
    if library == Library::WhatsappRust { "reaction" } else { "concealed_reaction" }
}

/// The poll that every client makes, or the quiz.
fn poll(question: &str, right: &str) -> api::Poll {
    api::Poll {
        question: question.to_owned(),
        options: vec!["yes".to_owned(), "no".to_owned()],
        selectable: 1,
        correct_option: right.to_owned(),
        open: right.is_empty(),
        ..Default::default()
    }
}

fn about(id: &str, from_me: bool) -> Option<api::MessageRef> {
    Some(api::MessageRef { whatsapp_id: id.to_owned(), from_me, sender: String::new() })
}

/// Something else for a message of the device.
fn edit(id: &str, text: &str, encrypted: bool) -> Content {
    Content::Edit(api::EditMessage { whatsapp_id: id.to_owned(), text: text.to_owned(), encrypted })
}

/// How drivers name the options of a vote.
fn hash(option: &str) -> String {
    hex::encode(Sha256::digest(option))
}

impl Pair<'_> {
    async fn say(&self, content: Content) -> Result<String, Failure> {
        self.say_with(content, api::Context::default()).await
    }

    async fn say_with(&self, content: Content, context: api::Context) -> Result<String, Failure> {
        let to = To::Lid(self.speaker.person.lid.clone());
        self.cluster.say(self.device, to, content, context, WaitFor::ServerAck).await
    }

    /// The client says something; its id.
    async fn hear(&mut self, kind: &str, text: &str, about: &str) -> Result<String, Failure> {
        Ok(self.speaker.client.say(&self.roost.lid_jid(), kind, text, about).await?)
    }

    /// Waits for a message with this id and returns what it says.
    async fn received(&self, id: &str) -> Result<api::MessageReceived, Failure> {
        self.reader
            .wait(&format!("message {id}"), |payload| match payload {
                Payload::MessageReceived(message) if message.whatsapp_id == id => Some(message.clone()),
                _ => None,
            })
            .await
    }

    /// Waits until this message of the client says something else.
    async fn edited(&self, id: &str, text: &str) -> Result<(), Failure> {
        let edited = self
            .reader
            .wait("edit", |payload| match payload {
                Payload::MessageEdited(edited)
                    if edited.content == Some(api::message_edited::Content::Text(text.to_owned())) =>
                {
                    edited.message.clone()
                }
                _ => None,
            })
            .await?;
        assert_eq!((edited.whatsapp_id.as_str(), edited.from_me), (id, false));
        Ok(())
    }

    /// Kinds that are said: there and back.
    async fn statements(&mut self) -> Result<(), Failure> {
        let name = self.speaker.client.name();
        let (to, from) = (format!("to {name}"), format!("from {name}"));
        for (kind, content) in statements(&to, self.roost) {
            let id = self.say(content).await?;
            assert_eq!(self.speaker.client.said(kind, &to).await?.id, id, "{kind}");
            self.matrix.row(kind).seen(self.to);
            let id = self.hear(kind, &from, "").await?;
            assert_eq!(text_of(kind, self.received(&id).await?.content)?, from, "{kind}");
            self.matrix.row(kind).seen(self.from);
        }
        Ok(())
    }

    /// Kinds that are about an earlier message.
    async fn remarks(&mut self) -> Result<(), Failure> {
        let name = self.speaker.client.name().to_owned();
        let ours = self.say(Content::Text(format!("first, to {name}"))).await?;
        self.speaker.client.message(&format!("first, to {name}")).await?;
        let theirs = self.speaker.client.send(&self.roost.lid_jid(), &format!("first, from {name}")).await?;
        self.received(&theirs).await?;

        let text = format!("first, from {name}");
        let quote = api::Quote { message: about(&theirs, false), text, ..Default::default() };
        let context = api::Context { quote: Some(quote), ..Default::default() };
        self.say_with(Content::Text(format!("quoting {name}")), context).await?;
        assert_eq!(self.speaker.client.said("quote", &format!("quoting {name}")).await?.about, theirs);
        let id = self.hear("quote", &format!("{name} quotes"), &ours).await?;
        let quote = self.received(&id).await?.context.and_then(|context| context.quote).expect("a quote");
        let quoted = quote.message.expect("of a message");
        assert_eq!((quoted.whatsapp_id.as_str(), quoted.from_me), (ours.as_str(), true));
        self.matrix.row("quote").seen(self.from).seen(self.to);

        let reaction = |emoji: &str| {
            let (message, concealed) = (about(&theirs, false), false);
            Content::Reaction(api::Reaction { message, emoji: emoji.into(), concealed })
        };
        self.say(reaction("👍")).await?;
        assert_eq!(self.speaker.client.said("reaction", "👍").await?.about, theirs);
        self.say(reaction("")).await?;
        assert_eq!(self.speaker.client.said("reaction", "").await?.about, theirs);
        self.hear("reaction", "🐓", &ours).await?;
        let reacted = self
            .reader
            .wait("reaction", |payload| match payload {
                Payload::ReactionReceived(reaction) if reaction.emoji == "🐓" => {
                    reaction.message.clone().filter(|message| message.whatsapp_id == ours)
                }
                _ => None,
            })
            .await?;
        assert!(reacted.from_me);
        self.matrix.row("reaction").seen(self.from).seen(self.to);

        let better = format!("better, to {name}");
        self.say(edit(&ours, &better, false)).await?;
        self.speaker.client.said("edit", &better).await?;
        let better = format!("better, from {name}");
        self.hear("edit", &better, &theirs).await?;
        self.edited(&theirs, &better).await?;
        self.matrix.row("edit").seen(self.from).seen(self.to);

        let week = Some(api::Duration { seconds: 604_800, nanos: 0 });
        self.say(Content::Pin(api::PinMessage { message: about(&theirs, false), duration: week })).await?;
        assert_eq!(self.speaker.client.said("pin", "").await?.about, theirs);
        self.hear("pin", "", &theirs).await?;
        let pinned = self
            .reader
            .wait("pin", |payload| match payload {
                Payload::MessagePinned(pin) => pin.message.clone().filter(|pin| pin.whatsapp_id == theirs),
                _ => None,
            })
            .await?;
        assert!(!pinned.from_me);
        self.matrix.row("pin").seen(self.from).seen(self.to);

        self.say(Content::Revoke(api::RevokeMessage { message: about(&ours, true) })).await?;
        assert_eq!(self.speaker.client.said("revoke", "").await?.about, ours);
        self.hear("revoke", "", &theirs).await?;
        let revoked = self
            .reader
            .wait("revoke", |payload| match payload {
                Payload::MessageRevoked(revoked) => {
                    revoked.message.clone().filter(|it| it.whatsapp_id == theirs)
                }
                _ => None,
            })
            .await?;
        assert!(!revoked.from_me);
        self.matrix.row("revoke").seen(self.from).seen(self.to);
        Ok(())
    }

    /// What is encrypted under the secret of the message that it is about.
    async fn concealed(&mut self) -> Result<(), Failure> {
        let library = self.speaker.library;
        for row in ["concealed reaction", "concealed comment", "encrypted edit"] {
            if let Some(reason) = cannot_hear(library, row) {
                self.matrix.row(row).not_applicable(self.from, reason).not_applicable(self.to, reason);
            }
        }
        if cannot_hear(library, "concealed comment").is_some() {
            return Ok(());
        }
        let theirs = self.hear("secret", "with a secret", "").await?;
        self.received(&theirs).await?;
        let message = about(&theirs, false);
        let reaction = api::Reaction { message: message.clone(), emoji: "🐔".into(), concealed: true };
        self.say(Content::Reaction(reaction)).await?;
        assert_eq!(self.speaker.client.said(opened(library), "🐔").await?.about, theirs);
        self.matrix.row("concealed reaction").seen(self.to);
        if let Some(reason) = cannot_say(library, "concealed reaction") {
            self.matrix.row("concealed reaction").not_applicable(self.from, reason);
        } else {
            self.hear("concealed_reaction", "🥚", &theirs).await?;
            let reacted = |payload: &Payload| match payload {
                Payload::ReactionReceived(reaction) if reaction.emoji == "🥚" => reaction.message.clone(),
                _ => None,
            };
            assert_eq!(self.reader.wait("a concealed reaction", reacted).await?.whatsapp_id, theirs);
            self.matrix.row("concealed reaction").seen(self.from);
        }
        let text = format!("well said, {}", self.speaker.client.name());
        self.say(Content::Comment(api::Comment { message, text: text.clone() })).await?;
        assert_eq!(self.speaker.client.said("concealed_comment", &text).await?.about, theirs);
        let text = format!("said by {}", self.speaker.client.name());
        self.hear("concealed_comment", &text, &theirs).await?;
        let commented = |payload: &Payload| match payload {
            Payload::CommentReceived(received) if !received.unreadable => received
                .comment
                .as_ref()
                .is_some_and(|comment| comment.content == Some(Received::Text(text.clone())))
                .then_some(()),
            _ => None,
        };
        self.reader.wait("a concealed comment", commented).await?;
        self.matrix.row("concealed comment").seen(self.from).seen(self.to);
        self.encrypted_edits(&theirs).await
    }

    /// New content for a message of ours, and for this one of the client.
    async fn encrypted_edits(&mut self, theirs: &str) -> Result<(), Failure> {
        let (row, name) = ("encrypted edit", self.speaker.client.name().to_owned());
        let ours = self.say(Content::Text(format!("before, to {name}"))).await?;
        self.speaker.client.message(&format!("before, to {name}")).await?;
        let after = format!("after, to {name}");
        self.say(edit(&ours, &after, true)).await?;
        assert_eq!(self.speaker.client.said("edit", &after).await?.about, ours);
        self.matrix.row(row).seen(self.to);
        if let Some(reason) = cannot_say(self.speaker.library, row) {
            self.matrix.row(row).not_applicable(self.from, reason);
            return Ok(());
        }
        let after = format!("after, from {name}");
        self.hear("encrypted_edit", &after, theirs).await?;
        self.edited(theirs, &after).await?;
        self.matrix.row(row).seen(self.from);
        Ok(())
    }
}

#[tokio::test]
async fn messages_of_every_kind_go_both_ways_and_once_more_while_the_owner_is_killed() -> Result<(), Failure>
{
    let Cast { stage, mut cluster, device, roost, reader } =
        Cast::new(env!("CARGO_BIN_EXE_roost"), 3).await?;
    stage.sim.act(|machine, now| Ok::<_, Failure>(machine.with_bot(now)))?;
    let mut matrix = Matrix::new("1-messages");
    let mut speakers = Vec::new();
    for (library, name) in CLIENTS {
        let person = stage.person(name);
        let client = stage.paired(library, name, &person).await?;
        let mut speaker = Speaker { library, client, person };
        let mut pair = Pair {
            cluster: &cluster,
            device: &device,
            reader: &reader,
            roost: &roost,
            speaker: &mut speaker,
            matrix: &mut matrix,
            from: Way::From(library),
            to: Way::To(library),
        };
        Box::pin(pair.remarks()).await?;
        Box::pin(pair.statements()).await?;
        Box::pin(pair.beside()).await?;
        Box::pin(pair.quotes()).await?;
        Box::pin(pair.polls("first")).await?;
        Box::pin(pair.between_two()).await?;
        Box::pin(pair.concealed()).await?;
        Box::pin(pair.bots(&stage)).await?;
        Box::pin(pair.ask_bots()).await?;
        Box::pin(pair.call_bots()).await?;
        speakers.push(speaker);
    }
    matrix.check()?;
    Box::pin(among_clients::talk(&stage, &mut speakers)).await?.check()?;
    Box::pin(amid_a_kill::talk(&mut speakers, &cluster, &device, &roost, &reader)).await?;
    Box::pin(amid_a_kill::beside(&mut speakers, &mut cluster, &device, &roost, &reader)).await?;
    // Phones compare the tokens that messages are reported by. The other clients make them in ways of their own, and
    // whatsmeow counts nothing of its three edits, which lie in envelopes.
    for (who, differ) in [(&roost, 0), (&speakers[0].person, 3)] {
        let device = who.first_device();
        let tokens = |record: &DeviceRecord| (record.reportable > 0, record.falsely_reportable);
        assert_eq!(
            stage.sim.ledger(|ledger| ledger.of(&device).map(tokens)),
            Some((true, differ)),
            "{device}"
        );
    }
    assert_eq!(reader.faults(), Vec::<String>::new());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}
