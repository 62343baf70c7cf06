//! The same once more with each client, while the worker that owns the device is killed between two messages and amid
//! calls: all arrive, and none twice under another id.
//!
//! One speaks at a time: Baileys encrypts with the same key twice when it reads a message while it sends one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_simulations::interop::{ClientEvent, Cluster, Failure, Matrix, Person, Reader, Stage, Victim, Way};

use super::{Pair, Speaker, as_received, cannot_say, detail_of, statements};

/// Of the kinds before each death.
const BEFORE: usize = 3;
/// One in so many messages of the device has the owner killed.
const EVERY: usize = 6;

/// A device whose owner dies.
pub(crate) struct Amid<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) device: &'a str,
    pub(crate) roost: &'a Person,
    pub(crate) reader: &'a Reader,
    /// Ids of what it was asked to say.
    pub(crate) said: &'a RefCell<BTreeSet<String>>,
}

impl Amid<'_> {
    /// Each speaker in its turn, with one death between what the device says and one between what it hears.
    pub(crate) async fn statements(&mut self, speakers: &mut [Speaker]) -> Result<(), Failure> {
        let Amid { cluster, device, roost, reader, .. } = self;
        for Speaker { library, client, person } in speakers {
            let (to, from) = (format!("amid, to {}", client.name()), format!("amid, from {}", client.name()));
            let (mut said, mut heard, mut epoch) = (BTreeMap::new(), BTreeMap::new(), 0);
            let mut root = None;
            if cannot_say(*library, "concealed comment").is_none() {
                let text = format!("amid, a secret of {}", client.name());
                let id = client.say(&roost.lid_jid(), "secret", &text, "").await?;
                reader.wait("a message with a secret", |payload| came(payload, &id)).await?;
                root = Some(id);
            }
            for (at, (kind, content)) in statements(&to, roost).into_iter().enumerate() {
                if at == BEFORE {
                    (_, epoch) = cluster.kill_owner(device, Victim::Worker).await?;
                }
                let (receiver, context) = (To::Lid(person.lid.clone()), api::Context::default());
                said.insert(cluster.say(device, receiver, content, context, WaitFor::Accepted).await?, kind);
            }
            self.said.borrow_mut().extend(said.keys().cloned());
            for (id, kind) in &said {
                let detail = detail_of(kind, &to, roost);
                let fits = |event: &ClientEvent| {
                    matches!(event, ClientEvent::Said(said) if said.id == *id && said.kind == *kind
                        && said.text == to && said.detail == detail)
                };
                client.wait(&format!("{kind} of {id}"), fits).await?;
            }
            cluster.taken_over(device, epoch).await?;
            if let Some(root) = root {
                // Under the secret of a message that no living owner has read.
                client.say(&roost.lid_jid(), "concealed_comment", &from, &root).await?;
                let about = |received: &api::CommentReceived| {
                    received.message.as_ref().is_some_and(|message| message.whatsapp_id == root)
                };
                let unreadable = |payload: &Payload| match payload {
                    Payload::CommentReceived(received) if about(received) => Some(received.unreadable),
                    _ => None,
                };
                assert!(!reader.wait(&format!("a comment of {}", client.name()), unreadable).await?);
            }

            for (at, (kind, content)) in statements(&from, person).into_iter().enumerate() {
                if at == BEFORE {
                    (_, epoch) = cluster.kill_owner(device, Victim::Worker).await?;
                }
                let id = client.say(&roost.lid_jid(), kind, &from, "").await?;
                heard.insert(id, as_received(content));
            }
            cluster.taken_over(device, epoch).await?;
            for (id, content) in &heard {
                assert_eq!(
                    reader.wait(&format!("message {id}"), |payload| came(payload, id)).await?,
                    *content
                );
            }
            let times = |id: &str| {
                let is = |event: &&api::Event| matches!(&event.payload, Some(Payload::MessageReceived(message)) if message.whatsapp_id == id);
                reader.events().iter().filter(is).count()
            };
            assert!(heard.keys().all(|id| times(id) == 1), "each is in the event log once");
        }
        Ok(())
    }

    /// The whole conversation while owners die.
    pub(crate) async fn everything(&mut self, speakers: &mut [Speaker]) -> Result<(), Failure> {
        self.cluster.let_die(self.device, EVERY);
        let Amid { stage, cluster, device, roost, reader, said } = self;
        let mut matrix = Matrix::new("seen already");
        for speaker in speakers {
            let (from, to) = (Way::From(speaker.library), Way::To(speaker.library));
            let (matrix, round) = (&mut matrix, " amid deaths");
            let mut pair = Pair { cluster, device, reader, roost, speaker, matrix, from, to, round, said };
            Box::pin(pair.everything(stage)).await?;
        }
        assert!(self.cluster.outlived().await? > 15);
        Ok(())
    }
}

/// What the message with this id says, when this is it.
fn came(payload: &Payload, id: &str) -> Option<Option<Content>> {
    match payload {
        Payload::MessageReceived(message) if message.whatsapp_id == id => Some(message.content.clone()),
        _ => None,
    }
}
