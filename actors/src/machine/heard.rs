//! From a decrypted message to its event.
//!
//! What must hold: references to earlier messages are turned from the sender's view into ours; a vote or an
//! answer, or whatever else needs the secret of a message that is not known here, is an event all the same, and
//! says so.

mod scene;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::event_response::Answer;
use roost_proto::content::{self, Concealed, Meaning, Parties, Ref, Sealed, Secret, Statement, Usage};
use roost_proto::e2e;
use roost_proto::stanza::{Jid, Server};

use super::commit::Pending;
use super::inbound::Inbound;
use super::polls::{Voter, counted};
use super::secrets::{Need, Sought, secret_name};
use super::{Machine, posts};
use crate::port::NewEvent;
pub(super) use scene::{Head, Scene};

/// Something that can be read only with the secret of what it is about.
#[derive(Debug)]
enum Riddle {
    Vote(Sealed, i64),
    Answer(Sealed),
    Concealed(Box<Concealed>),
}

impl Riddle {
    /// What it is about, and the secret that is known for it without looking; anything else as it is.
    fn of(meaning: Meaning) -> Result<(Ref, Riddle, Option<Secret>), Meaning> {
        match meaning {
            Meaning::Voted(about, sealed, cast) => Ok((about, Riddle::Vote(sealed, cast), None)),
            Meaning::Answered(about, sealed) => Ok((about, Riddle::Answer(sealed), None)),
            Meaning::Concealed(concealed) => {
                let secret = concealed.secret.clone();
                Ok((concealed.about.clone(), Riddle::Concealed(concealed), secret))
            }
            meaning => Err(meaning),
        }
    }
}

/// A riddle that waits for its secret.
#[derive(Debug)]
pub(super) struct Question {
    message: Inbound,
    scene: Scene,
    about: Ref,
    riddle: Riddle,
    author: Vec<String>,
    outcome: Pending,
}

impl Question {
    /// The stanza that carries it.
    pub(super) fn raw(&self) -> Bytes {
        self.message.raw.clone()
    }
}

impl Machine {
    /// A plaintext has come: its event, or first the secret that it needs.
    pub(super) fn on_plaintext(
        &mut self,
        slot: u64,
        message: Inbound,
        mut outcome: Pending,
        padded: &[u8],
        sender: api::Person,
    ) -> Result<(), (Box<(Inbound, Pending)>, e2e::PlaintextError)> {
        let read = self.read_plaintext(&message, padded, sender);
        let (scene, bytes, meaning) = match read {
            Ok(read) => read,
            Err(error) => return Err((Box::new((message, outcome)), error)),
        };
        let head = Head::of(&message);
        let (about, riddle, beside) = match Riddle::of(meaning) {
            Ok(riddle) => riddle,
            Err(meaning) => {
                self.keep_secret(&mut outcome, &scene.sender, &message.id, message.own, &bytes);
                let payload = self.payload(&head, &scene, meaning);
                outcome.batch.events.extend(payload.map(|payload| event(&message, &scene, payload)));
                self.settle_told(slot, &message, outcome);
                return Ok(());
            }
        };
        let author = self.author_of(&head, &scene, &about);
        let names: Vec<String> = author.iter().map(|author| secret_name(author, &about.id)).collect();
        let own = author.iter().any(|author| self.is_us(author));
        let id = about.id.clone();
        let question = Question { message, scene, about, riddle, author, outcome };
        match beside {
            Some(secret) => self.on_secret(slot, question, Some(secret)),
            None => {
                let need = Need::Reading(slot, Box::new(question));
                self.seek_secret(Sought::new(names, id, own, need));
            }
        }
        Ok(())
    }

    /// The secret is there, or nobody here has it.
    pub(super) fn on_secret(&mut self, slot: u64, question: Question, secret: Option<Secret>) {
        let Question { message, scene, about, riddle, author, mut outcome } = question;
        let head = Head::of(&message);
        let payload = self.solved(&mut outcome, (&head, &scene), (&about, &author), riddle, secret);
        outcome.batch.events.extend(payload.map(|payload| event(&message, &scene, payload)));
        self.settle_told(slot, &message, outcome);
    }

    /// The same of a message of the past, for which nothing is looked up: what needs a secret that is not remembered is
    /// unreadable.
    pub(super) fn payload_of_past(
        &mut self,
        outcome: &mut Pending,
        head: &Head,
        scene: &Scene,
        meaning: Meaning,
    ) -> Option<Payload> {
        let (about, riddle, beside) = match Riddle::of(meaning) {
            Ok(riddle) => riddle,
            Err(meaning) => return self.payload(head, scene, meaning),
        };
        let author = self.author_of(head, scene, &about);
        let names: Vec<String> = author.iter().map(|author| secret_name(author, &about.id)).collect();
        let secret = beside.or_else(|| self.secrets.find(&names));
        self.solved(outcome, (head, scene), (&about, &author), riddle, secret)
    }

    /// The event of a riddle, with the secret of what it is about or without; a vote that can be read counts, and an
    /// option that is added to a poll can be chosen.
    fn solved(
        &mut self,
        outcome: &mut Pending,
        (head, scene): (&Head, &Scene),
        (about, author): (&Ref, &[String]),
        riddle: Riddle,
        secret: Option<Secret>,
    ) -> Option<Payload> {
        let answerer: Vec<String> = forms(&scene.sender);
        let parties = Parties { id: &about.id, author, answerer: &answerer };
        let said = Some(said(head, scene));
        let target = Some(self.reference(head, scene, about));
        match riddle {
            Riddle::Vote(sealed, cast) => {
                let secret = secret.as_ref();
                let opened = secret.and_then(|secret| content::open_vote(&sealed, secret, parties));
                let mut late = false;
                if let (Some(secret), Some(opened)) = (secret, &opened) {
                    let voter = self.voter(head, scene, cast);
                    late = voter.is_late(secret);
                    outcome.batch.votes.extend(counted(secret, &about.id, voter, opened));
                }
                let (poll, unreadable) = (target, opened.is_none());
                let (options, unknown_options) = opened.unwrap_or_default();
                let vote = api::PollVoteReceived { said, poll, options, unknown_options, unreadable, late };
                Some(Payload::PollVoteReceived(vote))
            }
            Riddle::Answer(sealed) => {
                let opened = secret.and_then(|secret| content::open_answer(&sealed, &secret, parties));
                let unreadable = opened.is_none();
                let (answer, extra_guests) = opened.unwrap_or((Answer::Unspecified, 0));
                let (answer, event) = (answer.into(), target);
                let response = api::EventResponseReceived { said, event, answer, extra_guests, unreadable };
                Some(Payload::EventResponseReceived(response))
            }
            Riddle::Concealed(concealed) => {
                let revealed = secret.as_ref().and_then(|secret| concealed.reveal(secret, parties));
                match revealed {
                    Some(Meaning::OptionAdded(_, option)) => {
                        let by_its_author = answerer.iter().any(|form| author.contains(form));
                        let more = secret
                            .filter(|secret| !secret.has_ended(head.at))
                            .and_then(|secret| secret.with_option(&option, by_its_author));
                        if let Some(more) = &more {
                            self.add_option(outcome, (&about.id, author), more);
                        }
                        let (poll, ignored, unreadable) = (target, more.is_none(), false);
                        let added = api::PollOptionAdded { said, poll, option, ignored, unreadable };
                        Some(Payload::PollOptionAdded(added))
                    }
                    Some(meaning) => self.payload(head, scene, meaning),
                    None => Some(unreadable(concealed.usage, said, target)),
                }
            }
        }
    }

    fn read_plaintext(
        &self,
        message: &Inbound,
        padded: &[u8],
        sender: api::Person,
    ) -> Result<(Scene, Vec<u8>, Meaning), e2e::PlaintextError> {
        let plaintext = e2e::unpad(padded)?;
        let sent = if message.own { e2e::unwrap_device_sent(plaintext)? } else { None };
        let bytes = sent.as_ref().map_or(plaintext, |sent| &sent.message).to_vec();
        let meaning = content::read(&bytes)?;
        let destination = sent.and_then(|sent| sent.destination.parse::<Jid>().ok());
        let group = message.group.clone().or(destination.clone().filter(|to| to.server == Server::Group));
        let chat = match (&group, message.own) {
            (Some(_), _) => api::Person::default(),
            (None, false) => sender.clone(),
            (None, true) => message.spoken_to(destination),
        };
        let group = group.map(|group| group.to_string()).unwrap_or_default();
        Ok((Scene { chat, group, sender }, bytes, meaning))
    }

    /// The event of something that needs no secret; `None` for what only the protocol itself needs.
    fn payload(&self, head: &Head, scene: &Scene, meaning: Meaning) -> Option<Payload> {
        if scene.group == posts::PLACE {
            return self.post_heard(head, scene, meaning);
        }
        let about = Some(said(head, scene));
        let reference = |target: &Ref| Some(self.reference(head, scene, target));
        let span = |seconds: u32| api::Duration { seconds: i64::from(seconds), nanos: 0 };
        Some(match meaning {
            Meaning::Said(statement) => {
                let Statement { content, mut context, quoted } = *statement;
                let quote = context.as_mut().and_then(|context| context.quote.as_mut()?.message.as_mut());
                if let (Some(quote), Some(author)) = (quote, quoted) {
                    quote.from_me = self.is_us(&author);
                }
                Payload::MessageReceived(api::MessageReceived {
                    whatsapp_id: head.id.clone(),
                    chat: Some(scene.chat.clone())
                        .filter(|chat| scene.group.is_empty() && *chat != api::Person::default()),
                    sender: Some(scene.sender.clone()),
                    from_me: head.own,
                    push_name: head.push_name.clone(),
                    group: scene.group.clone(),
                    context,
                    verified_name: head.verified_name.clone(),
                    broadcast_list: head.list.clone(),
                    content: Some(content),
                })
            }
            Meaning::Edited { message: target, content } => Payload::MessageEdited(api::MessageEdited {
                said: about,
                message: reference(&target),
                content: Some(content),
                unreadable: false,
            }),
            Meaning::Revoked(target) => {
                Payload::MessageRevoked(api::MessageRevoked { said: about, message: reference(&target) })
            }
            Meaning::Reacted(target, emoji) => Payload::ReactionReceived(api::ReactionReceived {
                said: about,
                message: reference(&target),
                emoji,
                unreadable: false,
            }),
            Meaning::Commented(target, statement) => {
                let Statement { content, context, .. } = *statement;
                let comment = api::MessageReceived { content: Some(content), context, ..Default::default() };
                Payload::CommentReceived(api::CommentReceived {
                    said: about,
                    message: reference(&target),
                    comment: Some(comment),
                    unreadable: false,
                })
            }
            Meaning::Pinned(target, lasting) => Payload::MessagePinned(api::MessagePinned {
                said: about,
                message: reference(&target),
                duration: lasting.map(span),
            }),
            Meaning::Kept(target, kept) => Payload::MessageKept(api::MessageKept {
                said: about,
                message: reference(&target),
                undone: !kept,
            }),
            Meaning::Timer(seconds) => Payload::DisappearingTimerChanged(api::DisappearingTimerChanged {
                said: about,
                duration: (seconds > 0).then(|| span(seconds)),
            }),
            Meaning::Labelled(_) if scene.group.is_empty() => return None,
            Meaning::Labelled(label) => Payload::GroupChanged(api::GroupChanged {
                group: scene.group.clone(),
                author: Some(scene.sender.clone()),
                change: Some(api::group_changed::Change::MemberLabel(label)),
            }),
            Meaning::SharingLimited(limited) => {
                Payload::SharingLimited(api::SharingLimited { said: about, limited })
            }
            Meaning::Voted(..)
            | Meaning::OptionAdded(..)
            | Meaning::Answered(..)
            | Meaning::Concealed(_)
            | Meaning::Protocol => return None,
        })
    }

    /// Who votes with a message, by the voter's clock.
    pub(super) fn voter(&self, head: &Head, scene: &Scene, cast: i64) -> Voter {
        let person = if head.own { self.ourselves() } else { scene.sender.clone() };
        Voter { person, from_me: head.own, cast, came: head.at }
    }

    /// Whether a JID, as a text, is of our account.
    pub(super) fn is_us(&self, jid: &str) -> bool {
        match (jid.parse::<Jid>(), &self.account) {
            (Ok(jid), Some(account)) => account.is_own(&jid),
            _ => false,
        }
    }

    /// An earlier message as we see it. In a one-to-one chat what is not the sender's is the other's.
    pub(super) fn reference(&self, head: &Head, scene: &Scene, target: &Ref) -> api::MessageRef {
        let whatsapp_id = target.id.clone();
        let author = self.author_of(head, scene, target).into_iter().next().unwrap_or_default();
        let from_me = self.is_us(&author);
        api::MessageRef { whatsapp_id, from_me, sender: if from_me { String::new() } else { author } }
    }

    /// Who sent an earlier message, in every form that is known; the hidden identity first.
    fn author_of(&self, head: &Head, scene: &Scene, target: &Ref) -> Vec<String> {
        let ours = || {
            let account = self.account.iter();
            account
                .flat_map(|account| [account.lid.as_ref(), Some(&account.pn)])
                .flatten()
                .map(|jid| jid.to_non_ad().to_string())
                .collect()
        };
        match (target.of_the_sender, scene.group.is_empty(), head.own) {
            (true, _, false) => forms(&scene.sender),
            (true, _, true) | (false, true, false) => ours(),
            (false, true, true) => forms(&scene.chat),
            (false, false, _) if self.is_us(&target.participant) => ours(),
            (false, false, _) => vec![target.participant.clone()],
        }
    }
}

/// Something that nobody here can read, told all the same.
fn unreadable(usage: Usage, said: Option<api::Said>, message: Option<api::MessageRef>) -> Payload {
    let unreadable = true;
    match usage {
        Usage::Reaction => Payload::ReactionReceived(api::ReactionReceived {
            said,
            message,
            unreadable,
            ..Default::default()
        }),
        Usage::Comment => {
            Payload::CommentReceived(api::CommentReceived { said, message, comment: None, unreadable })
        }
        Usage::PollOption => Payload::PollOptionAdded(api::PollOptionAdded {
            said,
            poll: message,
            unreadable,
            ..Default::default()
        }),
        Usage::Edit | Usage::EventEdit | Usage::PollEdit => {
            Payload::MessageEdited(api::MessageEdited { said, message, content: None, unreadable })
        }
    }
}

/// JIDs of a person; the hidden identity first.
pub(super) fn forms(person: &api::Person) -> Vec<String> {
    [&person.lid, &person.phone_number].into_iter().filter(|jid| !jid.is_empty()).cloned().collect()
}

/// Which message it is.
pub(super) fn said(head: &Head, scene: &Scene) -> api::Said {
    api::Said {
        whatsapp_id: head.id.clone(),
        chat: Some(scene.chat.clone()).filter(|_| scene.group.is_empty()),
        group: scene.group.clone(),
        sender: Some(scene.sender.clone()),
        from_me: head.own,
    }
}

fn event(message: &Inbound, scene: &Scene, payload: Payload) -> NewEvent {
    let dedupe = scene.key(&message.id);
    NewEvent { dedupe, occurred: message.occurred, origin: message.origin, payload }
}
