//! What happens in the world, step by step.

use std::time::Duration;

use bytes::Bytes;
use roost_proto::appstate::Action;
use roost_proto::content::MessageContent;
use roost_proto::stanza::{self, Builder, Jid, Stanza, server_jid};

use super::answers::answer;
use super::{Step, World};
use crate::device::{Command, CommandError, MakeError, Recipient, SendRequest};
use crate::machine::{Effect, Event, Reply};
use crate::port::{MessageState, StoredMessage};

/// To whom a message to the group is sent.
pub(in crate::machine::tests) const GROUP: u8 = 3;

impl World {
    /// The database has lost a tail in which others may have owned the device.
    pub(in crate::machine::tests) fn doubt(&mut self) -> Vec<Effect> {
        self.now.age.0 += 1;
        self.now.trusted = self.now.age;
        self.feed(Event::Tick)
    }

    /// The database has lost a tail, in which nobody else can have owned the device, before the answer to a commit is
    /// heard.
    pub(in crate::machine::tests) fn commit_done_too_late(&mut self) -> Vec<Effect> {
        let batch = self.flying.take().expect("a commit is on its way");
        let committed = self.write(&batch);
        self.unheard = true;
        self.now.age.0 += 1;
        self.feed(Event::Committed(committed))
    }

    pub(in crate::machine::tests) fn take(&mut self, step: Step) -> Vec<Effect> {
        match step {
            Step::LinkUp => match self.dialling.take() {
                Some(link) => {
                    self.up = Some(link);
                    self.feed(Event::LinkUp { link })
                }
                None => Vec::new(),
            },
            Step::LinkDown => match self.dialling.take().or(self.up.take()) {
                Some(link) => {
                    self.requests.clear();
                    self.feed(Event::LinkDown { link, why: "test".to_owned(), unreached: false })
                }
                None => Vec::new(),
            },
            Step::Unreached => match self.dialling.take() {
                Some(link) => self.feed(Event::LinkDown { link, why: "test".to_owned(), unreached: true }),
                None => Vec::new(),
            },
            Step::Success => self.stanza(Builder::new("success").build()),
            Step::AnswerRequest => match self.requests.pop_front() {
                Some(request) => self.stanza(answer(&request)),
                None => Vec::new(),
            },
            Step::RefuseRequest => match self.requests.pop_front() {
                Some(request) => {
                    let refused = stanza::iq::Refused::new(500);
                    self.stanza(stanza::iq::error(&request, &refused))
                }
                None => Vec::new(),
            },
            Step::Message(readable) => {
                let id = format!("3EB0{}", self.delivered.len());
                if !readable {
                    self.unreadable.insert(id.clone());
                }
                self.delivered.push(id.clone());
                self.deliver(&id)
            }
            Step::MessageAgain => match self.delivered.last().cloned() {
                Some(id) => self.deliver(&id),
                None => Vec::new(),
            },
            Step::AckOurs => match self.on_wire.last().cloned() {
                Some(id) => self.stanza(
                    Builder::new("ack").attr("class", "message").attr("id", id).attr("t", 1u64).build(),
                ),
                None => Vec::new(),
            },
            Step::ReceiptForOurs => self.receipt(None),
            Step::RetryForOurs => self.receipt(Some("retry")),
            Step::Notification => {
                let count = Builder::new("count").attr("value", 3u64).build();
                let notification = Builder::new("notification").attr("type", "encrypt").attr("id", "n");
                self.stanza(notification.attr("from", server_jid()).children([count]).build())
            }
            Step::CommitDone => self.commit_done(),
            Step::CommitFailed => match self.flying.take() {
                Some(batch) => {
                    self.failed = Some(batch);
                    self.feed(Event::CommitFailed)
                }
                None => Vec::new(),
            },
            Step::CommitUnheard => match self.flying.take() {
                Some(batch) => {
                    self.write(&batch);
                    self.unheard = true;
                    self.failed = Some(batch);
                    self.feed(Event::CommitFailed)
                }
                None => Vec::new(),
            },
            Step::Crypto => self.answer_crypto(),
            Step::Lookup => match self.lookups.pop_front() {
                Some((token, ids)) => {
                    let is_sought = |stored: &&StoredMessage| ids.contains(&stored.message.whatsapp_id);
                    let messages = self.messages.values().filter(is_sought).cloned().collect();
                    self.feed(Event::Found { token, messages })
                }
                None => Vec::new(),
            },
            Step::Time(millis) => {
                self.now.boot = self.now.boot.plus(Duration::from_millis(millis));
                self.now.wall.0 += i64::try_from(millis).expect("short");
                self.feed(Event::Tick)
            }
            Step::Quiesce => self.quiesce(Command::Quiesce),
            Step::Resume => self.quiesce(Command::Resume),
            Step::LeaseLost => {
                self.now.may_act = false;
                self.feed(Event::Tick)
            }
            Step::LeaseBack => {
                self.now.may_act = true;
                self.feed(Event::Tick)
            }
            Step::Send(to) => {
                let before = self.tokens;
                let effects = self.send_command(to);
                assert!(self.tokens > before);
                effects
            }
            Step::Ask(millis) => {
                self.ask(Duration::from_millis(millis));
                Vec::new()
            }
            Step::StreamError => {
                let effects = self.stanza(Builder::new("stream:error").attr("code", 503u64).build());
                self.requests.clear();
                effects
            }
        }
    }

    pub(super) fn quiesce(&mut self, command: Command) -> Vec<Effect> {
        self.quiesced = command == Command::Quiesce;
        self.tokens += 1;
        self.feed(Event::Command { token: self.tokens, command })
    }

    pub(in crate::machine::tests) fn stanza(&mut self, stanza: Stanza) -> Vec<Effect> {
        self.stanza_that(stanza, false)
    }

    /// What WhatsApp says on the link that is on its way is read from now on, before its news has come.
    pub(in crate::machine::tests) fn link_is_read(&mut self) {
        self.up = self.dialling.take();
    }

    /// A stanza that may have made a machine fail before.
    pub(in crate::machine::tests) fn stanza_that(&mut self, stanza: Stanza, poisonous: bool) -> Vec<Effect> {
        let Some(link) = self.up else { return Vec::new() };
        self.stanza_on(link, stanza, poisonous)
    }

    /// A stanza that was read on this link, be it the one that is up or an old one.
    pub(in crate::machine::tests) fn stanza_on(
        &mut self,
        link: u64,
        stanza: Stanza,
        poisonous: bool,
    ) -> Vec<Effect> {
        self.read += 1;
        let raw = Bytes::from(stanza::encode(&stanza).expect("it can be written"));
        self.feed(Event::Stanza { link, raw, stanza: Ok(stanza), poisonous })
    }

    pub(in crate::machine::tests) fn message_stanza(&self, id: &str) -> Stanza {
        let enc =
            Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(id.as_bytes().to_vec()).build();
        Builder::new("message")
            .attr("from", Jid::lid_device("800000", 2))
            .attr("sender_pn", Jid::pn("4915188888888"))
            .attr("id", id.to_owned())
            .attr("t", 1_700_000_000u64)
            .attr("type", "text")
            .children([enc])
            .build()
    }

    pub(super) fn deliver(&mut self, id: &str) -> Vec<Effect> {
        if let Some(link) = self.up {
            self.arrived.insert((link, id.to_owned()));
        }
        self.stanza(self.message_stanza(id))
    }

    /// An unreadable message comes; what is sent because of it.
    pub(in crate::machine::tests) fn undecryptable(&mut self, id: &str) -> Vec<Stanza> {
        self.unreadable.insert(id.to_owned());
        self.deliver(id);
        self.commit_everything()
    }

    /// The same, as this stanza.
    pub(in crate::machine::tests) fn undecryptable_stanza(
        &mut self,
        id: &str,
        stanza: Stanza,
    ) -> Vec<Stanza> {
        self.unreadable.insert(id.to_owned());
        self.stanza(stanza);
        self.commit_everything()
    }

    /// A message that was unreadable comes again, readable.
    pub(in crate::machine::tests) fn repeated_by_its_sender(&mut self, id: &str) {
        self.unreadable.remove(id);
        self.deliver(id);
        self.commit_everything();
    }

    pub(in crate::machine::tests) fn receipt(&mut self, kind: Option<&'static str>) -> Vec<Effect> {
        let Some(id) = self.on_wire.last().cloned() else { return Vec::new() };
        let mut receipt = Builder::new("receipt").attr("from", Jid::lid_device("800000", 2)).attr("id", id);
        if let Some(kind) = kind {
            let retry = Builder::new("retry").attr("count", 1u64).build();
            receipt = receipt.attr("type", kind).children([retry]);
        }
        self.stanza(receipt.build())
    }

    /// WhatsApp refuses the message that went out last.
    pub(in crate::machine::tests) fn refuse_ours(&mut self, code: u16) {
        let id = self.on_wire.pop().expect("something is on the wire");
        let ack = Builder::new("ack").attr("class", "message").attr("id", id).attr("error", code);
        self.stanza(ack.build());
    }

    /// The id of our message that was put on the wire last.
    pub(in crate::machine::tests) fn last_wired(&self) -> String {
        self.on_wire.last().expect("something is on the wire").clone()
    }

    /// How many of our messages were put on the wire and not refused.
    pub(in crate::machine::tests) fn state_of(&self, request_id: &str) -> MessageState {
        let stored = self.messages.values().find(|stored| stored.message.request_id == request_id);
        stored.expect("it was accepted").state
    }

    pub(in crate::machine::tests) fn wired(&self) -> usize {
        self.on_wire.len()
    }

    /// A command: its token, and what was sent at once.
    pub(in crate::machine::tests) fn command(&mut self, command: Command) -> (u64, Vec<Stanza>) {
        self.tokens += 1;
        let effects = self.feed(Event::Command { token: self.tokens, command });
        (self.tokens, super::stanzas(effects))
    }

    /// What became of a command, if that is known.
    pub(in crate::machine::tests) fn done(&self, token: u64) -> Option<Result<(), CommandError>> {
        match self.replies.get(&token) {
            Some(Reply::Done(result)) => Some(result.clone()),
            _ => None,
        }
    }

    /// JID of what was made, or why not, if that is known.
    pub(in crate::machine::tests) fn made(&self, token: u64) -> Option<Result<String, MakeError>> {
        match self.replies.get(&token) {
            Some(Reply::Made(result)) => Some(result.clone().map(|made| made.jid)),
            _ => None,
        }
    }

    /// What the phone was asked under, or why not, if that is known.
    pub(in crate::machine::tests) fn asked_phone(&self, token: u64) -> Option<Result<String, CommandError>> {
        match self.replies.get(&token) {
            Some(Reply::AskedPhone(result)) => Some(result.clone()),
            _ => None,
        }
    }

    /// Somebody asks WhatsApp something: his token, and what went out.
    pub(in crate::machine::tests) fn ask(&mut self, patience: Duration) -> (u64, Vec<Effect>) {
        self.tokens += 1;
        self.askers.push(self.tokens);
        let request = Box::new(roost_proto::ask::get("test").build());
        let command = Command::Ask { request, patience };
        (self.tokens, self.feed(Event::Command { token: self.tokens, command }))
    }

    /// Somebody wants app state changed: his token.
    pub(in crate::machine::tests) fn change_app_state(&mut self, action: Action) -> u64 {
        self.tokens += 1;
        self.feed(Event::Command { token: self.tokens, command: Command::Change(vec![action]) });
        self.tokens
    }

    /// What he was told, if he was.
    pub(in crate::machine::tests) fn app_state_changed(
        &self,
        token: u64,
    ) -> Option<Result<(), CommandError>> {
        match self.replies.get(&token) {
            Some(Reply::Done(result)) => Some(result.clone()),
            _ => None,
        }
    }

    pub(super) fn send_command(&mut self, to: u8) -> Vec<Effect> {
        self.tokens += 1;
        let request = SendRequest {
            to: match to {
                GROUP => Recipient::Group("120363000000000001".to_owned()),
                to => Recipient::Phone(format!("491518888888{to}")),
            },
            content: MessageContent::text("x"),
            request_id: format!("r{}", self.tokens),
            request_hash: [0; 32],
            whatsapp_id: None,
            terms: Default::default(),
        };
        self.feed(Event::Command { token: self.tokens, command: Command::Send(Box::new(request)) })
    }
}
