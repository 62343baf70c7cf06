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
#[path = "kinds/chosen_ids.rs"]
mod chosen_ids;
#[path = "kinds/concealed.rs"]
mod concealed;
#[path = "kinds/polls.rs"]
mod polls;
#[path = "kinds/quotes.rs"]
mod quotes;
#[path = "kinds/receipts.rs"]
mod receipts;
#[path = "kinds/remarks.rs"]
mod remarks;
#[path = "kinds/statements.rs"]
mod statements;

use std::cell::RefCell;
use std::collections::BTreeSet;

use amid_a_kill::Amid;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_simulations::interop::{
    CLIENTS, Cast, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage, Trouble, Way,
};
use roost_simulations::wa::DeviceRecord;
use sha2::{Digest as _, Sha256};
use statements::{as_received, detail_of, statements};

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
    /// Goes with the client's name into what is said, where there is more than one.
    round: &'static str,
    /// Ids of what the device was asked to say.
    said: &'a RefCell<BTreeSet<String>>,
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
        (Library::Baileys, "answer to a calendar event") => Some("Baileys makes no answers to events"),
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
        self.say_to(To::Lid(self.speaker.person.lid.clone()), content, context).await
    }

    async fn say_to(&self, to: To, content: Content, context: api::Context) -> Result<String, Failure> {
        let id = self.cluster.say(self.device, to, content, context, WaitFor::ServerAck).await?;
        self.said.borrow_mut().insert(id.clone());
        Ok(id)
    }

    /// Who the client is, in this round.
    fn name(&self) -> String {
        format!("{}{}", self.speaker.client.name(), self.round)
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
        let name = self.name();
        let (to, from) = (format!("to {name}"), format!("from {name}"));
        for (kind, content) in statements(&to, self.roost) {
            let id = self.say(content).await?;
            let said = self.speaker.client.said(kind, &to).await?;
            assert_eq!((said.id, said.detail), (id, detail_of(kind, &to, self.roost)), "{kind}");
            self.matrix.row(kind).seen(self.to);
        }
        for (kind, content) in statements(&from, &self.speaker.person.clone()) {
            let id = self.hear(kind, &from, "").await?;
            assert_eq!(self.received(&id).await?.content, as_received(content), "{kind}");
            self.matrix.row(kind).seen(self.from);
        }
        Ok(())
    }

    /// All that is said in a chat of two, by both.
    async fn everything(&mut self, stage: &Stage) -> Result<(), Failure> {
        Box::pin(self.remarks()).await?;
        Box::pin(self.chosen_ids()).await?;
        Box::pin(self.receipts()).await?;
        Box::pin(self.statements()).await?;
        Box::pin(self.beside()).await?;
        Box::pin(self.quotes()).await?;
        Box::pin(self.polls()).await?;
        Box::pin(self.between_two()).await?;
        Box::pin(self.concealed()).await?;
        Box::pin(self.bots(stage)).await?;
        Box::pin(self.ask_bots()).await?;
        Box::pin(self.call_bots()).await
    }
}

#[tokio::test]
async fn messages_of_every_kind_go_both_ways_and_once_more_while_the_owner_is_killed() -> Result<(), Failure>
{
    let Cast { stage, mut cluster, device, roost, reader } =
        Cast::new(env!("CARGO_BIN_EXE_roost"), 3).await?;
    stage.sim.act(|machine, now| Ok::<_, Failure>(machine.with_bot(now)))?;
    let mut matrix = Matrix::new("1-messages");
    let said = RefCell::default();
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
            round: "",
            said: &said,
        };
        Box::pin(pair.everything(&stage)).await?;
        speakers.push(speaker);
    }
    matrix.check()?;
    Box::pin(among_clients::talk(&stage, &mut speakers)).await?.check()?;
    let clients = speakers.iter().map(|speaker| &speaker.client);
    assert_eq!(stage.trouble(&roost, &reader, clients), Trouble::default());
    let mut amid = Amid {
        stage: &stage,
        cluster: &mut cluster,
        device: &device,
        roost: &roost,
        reader: &reader,
        said: &said,
    };
    Box::pin(amid.statements(&mut speakers)).await?;
    Box::pin(amid.everything(&mut speakers)).await?;
    for speaker in &speakers {
        let unasked: Vec<String> =
            speaker.client.ids_from(&roost).difference(&said.borrow()).cloned().collect();
        assert_eq!(unasked, Vec::<String>::new(), "{} heard it twice, or unasked", speaker.client.name());
    }
    // Phones compare the tokens that messages are reported by. The other clients make them in ways of their own, and
    // whatsmeow counts nothing of its four edits, which lie in envelopes.
    for (who, differ) in [(&roost, 0), (&speakers[0].person, 4)] {
        let device = who.first_device();
        let tokens = |record: &DeviceRecord| (record.reportable > 0, record.falsely_reportable);
        assert_eq!(
            stage.sim.ledger(|ledger| ledger.of(&device).map(tokens)),
            Some((true, differ)),
            "{device}"
        );
    }
    assert_eq!(reader.faults(), Vec::<String>::new());
    assert_eq!(stage.trouble_amid_deaths(&roost, &reader), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}
