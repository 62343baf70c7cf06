//! The supervisor of one device: feeds its machine and carries out the effects, in order.
//!
//! What must hold: when it has said that the device ended, no child of it can send, dial or write. A
//! child that fails takes the machine with it, because what it had in memory may be ahead of the store:
//! everything is loaded anew under the same grant, within a budget. A connection that fails is only a
//! lost link.

mod anew;
mod answers;
mod children;
mod suspects;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_placement::lease::BootTime;
use roost_placement::seeded::{self, Bug};
use roost_proto::api;
use roost_proto::stanza::Stanza;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::crypto;
use crate::device::{Answer, Command, Finished, Opening, Outputs, PairingUpdate, Ports};
use crate::loading::Loading;
use crate::machine::{Changed, Effect, Event, Fetched, Loaded, Machine, Now};
use crate::port::{self, Committed, FileError, ProxyUri, Reached, StoredMessage};
use crate::warm::WarmLink;
use children::{Children, draw};
use suspects::Suspects;

/// What reaches the supervisor.
#[derive(Debug)]
pub(crate) enum Input {
    /// From a handle.
    Command {
        /// What to do.
        command: Command,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Another version of WhatsApp Web may have been chosen.
    Versions,
    /// This is its proxy now, as its row says.
    Proxy(Option<ProxyUri>),
    /// End.
    Stop,
    /// From a child, with the number of the set of children that it belongs to.
    Child(u32, Child),
}

/// What a child has to say.
#[derive(Debug)]
pub(crate) enum Child {
    Loaded(Result<Box<port::Loaded>, String>),
    Opened(crypto::Opened),
    Crypto(u64, Changed),
    CryptoFailed(u64),
    Committed(Committed),
    CommitFailed,
    Found(u64, Vec<StoredMessage>),
    Fetched(u64, Result<Fetched, FileError>),
    Fenced,
    Stale,
    LinkUp(u64),
    LinkDown { link: u64, why: String, unreached: bool },
    Stanza { link: u64, raw: Bytes, stanza: Result<Stanza, String> },
    Permit(bool),
    Wake,
}

/// Starts a device.
pub(crate) fn spawn(
    opening: Opening,
    warm: Option<WarmLink>,
    ports: Ports,
    outputs: Outputs,
) -> ActorRef<Input> {
    let arguments = Arguments { opening, warm, ports, outputs };
    let (actor, _) = ActorRuntime::spawn_instant(None, Supervisor, arguments)
        .expect("an actor without a name meets no other");
    actor
}

struct Supervisor;

struct Arguments {
    opening: Opening,
    warm: Option<WarmLink>,
    ports: Ports,
    outputs: Outputs,
}

struct State {
    me: ActorRef<Input>,
    opening: Opening,
    ports: Ports,
    outputs: Outputs,
    rng: StdRng,
    machine: Machine,
    children: Children,
    /// State that was loaded, until crypto has opened its part.
    loading: Option<Loading>,
    /// A link that was half open before the device was opened; the first login uses it.
    warm: Option<WarmLink>,
    /// Its proxy, once that was loaded.
    proxy: Option<Option<ProxyUri>>,
    replies: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_token: u64,
    pairing: Option<watch::Sender<PairingUpdate>>,
    /// What a machine has failed on.
    suspects: Suspects,
    failures: VecDeque<BootTime>,
    armed: Option<(BootTime, Task)>,
    asking: Option<Task>,
    /// Says when another version may have been chosen.
    _versions: Task,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for Supervisor {
    type Msg = Input;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        me: ActorRef<Input>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { opening, warm, ports, outputs } = arguments;
        let mut rng = StdRng::from_seed((ports.seeds)());
        let children = Children::spawn(1, &me, &opening.grant, &ports, &mut rng).await?;
        let (now, chosen) = (now(&ports), ports.versions.clone());
        let machine = Machine::new(opening.clone(), ports.limits.clone(), draw(&mut rng), now);
        Ok(State {
            _versions: versions::watch(me.clone(), chosen),
            me,
            opening,
            ports,
            outputs,
            rng,
            machine,
            children,
            loading: None,
            warm,
            proxy: None,
            replies: BTreeMap::new(),
            last_token: 0,
            pairing: None,
            suspects: Suspects::default(),
            failures: VecDeque::new(),
            armed: None,
            asking: None,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<Input>,
        input: Input,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match input {
            Input::Stop if seeded::on(Bug::LeftRunning) => {
                state.outputs.finished.send_replace(Some(Finished::Stopped));
            }
            Input::Stop => state.end(Finished::Stopped).await,
            Input::Versions => state.feed(Event::Version(state.version())).await,
            Input::Proxy(proxy) => state.on_proxy(proxy).await,
            Input::Command { command, reply } => {
                state.last_token += 1;
                let token = state.last_token;
                state.replies.insert(token, reply);
                state.feed(Event::Command { token, command }).await;
            }
            Input::Child(life, child) if life == state.children.life() => state.on_child(child).await,
            Input::Child(..) => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Input>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // A connection that stops in order has said why before; one that fails could not.
        let (cell, failure) = match &event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, Some(error.to_string())),
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, None),
            _ => return Ok(()),
        };
        if let Some(link) = state.children.lost_connection(cell.get_id()) {
            if let Some(why) = failure {
                state.feed(Event::LinkDown { link, why, unreached: false }).await;
            }
        } else if state.children.is_essential(cell.get_id()) {
            let why = failure.unwrap_or_else(|| "it stopped by itself".to_owned());
            state.start_anew(&format!("a part of the device failed: {why}")).await;
        }
        Ok(())
    }
}

impl State {
    async fn on_child(&mut self, child: Child) {
        let event = match child {
            Child::Loaded(Ok(loaded)) => {
                self.proxy = Some(loaded.proxy.clone());
                let (loading, keys) = Loading::split(loaded);
                let age = loading.age();
                self.loading = Some(loading);
                return self.children.open_vault(keys, age);
            }
            Child::Loaded(Err(why)) | Child::Opened(Err(why)) => {
                return self.end(Finished::Broken(why)).await;
            }
            Child::Opened(Ok((account, keys))) => {
                let Some(loading) = self.loading.take() else { return };
                Event::Loaded(Box::new(Loaded { version: self.version(), ..loading.finish(account, keys) }))
            }
            Child::Crypto(token, changed) => Event::Crypto { token, changed },
            Child::CryptoFailed(token) => {
                let suspect = self.machine.behind_request(token);
                return self.fail(suspect, "a request to crypto failed").await;
            }
            Child::Committed(committed) => Event::Committed(committed),
            Child::CommitFailed => Event::CommitFailed,
            Child::Found(token, messages) => Event::Found { token, messages },
            Child::Fetched(token, outcome) => Event::Fetched { token, outcome },
            Child::Fenced => Event::Fenced,
            Child::Stale => Event::Stale,
            Child::LinkUp(link) => {
                self.children.link_is_up(link);
                Event::LinkUp { link }
            }
            Child::LinkDown { link, why, unreached } => {
                self.children.close_link(link).await;
                Event::LinkDown { link, why, unreached }
            }
            Child::Stanza { link, raw, stanza } => {
                let poisonous = self.suspects.has(&raw);
                Event::Stanza { link, raw, stanza, poisonous }
            }
            Child::Permit(stands) => Event::PermitAnswered(stands),
            Child::Wake => {
                self.armed = None;
                Event::Tick
            }
        };
        self.feed(event).await;
    }

    /// Lets the machine handle an event and carries out what it asks for.
    async fn feed(&mut self, event: Event) {
        let suspect = self.machine.behind(&event);
        let now = now(&self.ports);
        let handled = catch_unwind(AssertUnwindSafe(|| self.machine.handle(now, event)));
        let Ok(effects) = handled else {
            return self.fail(suspect, "handling an event failed").await;
        };
        for effect in effects {
            if let Effect::Finish(why) = effect {
                return self.end(why).await;
            }
            self.carry_out(effect).await;
        }
        self.arm();
    }

    /// Begins anew. The stanza whose handling has failed, where one has, is not handled again.
    async fn fail(&mut self, suspect: Option<Bytes>, why: &str) {
        if let Some(raw) = suspect {
            self.suspects.add(&raw);
        }
        self.start_anew(why).await;
    }

    /// The proxy of the device.
    fn via(&self) -> Option<ProxyUri> {
        self.proxy.clone().flatten()
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { link, dial, routing, version, urgency } => {
                let seed = draw(&mut self.rng);
                let (grant, ports) = (&self.opening.grant, &self.ports);
                let via = self.via();
                let warm = self.warm.take().filter(|warm| warm.goes(via.as_ref()));
                let me = &self.me;
                let dialled = self
                    .children
                    .dial(me, grant, ports, seed, link, dial, routing, via, version, urgency, warm);
                if let Err(error) = dialled.await {
                    let down = Child::LinkDown { link, why: error.to_string(), unreached: false };
                    let _ = self.me.send_message(Input::Child(self.children.life(), down));
                }
            }
            Effect::Close { link } => self.children.close_link(link).await,
            Effect::Send { link, bytes } => self.children.write(link, bytes),
            Effect::Crypto { token, request } => self.children.crypto(token, request),
            Effect::Commit(batch) => self.children.commit(batch),
            Effect::Durable(token) => self.children.durable(token),
            Effect::Lookup { token, whatsapp_ids } => self.children.look_up(token, whatsapp_ids),
            Effect::Fetch { token, hosts, what } => self.children.fetch(token, self.via(), hosts, what),
            Effect::Delete { hosts, file } => self.children.delete(self.via(), hosts, file),
            Effect::AskPermit => self.ask_permit(),
            Effect::Report(attempt) => self.ports.gate.report(attempt),
            Effect::Paced(waited) => self.ports.gate.paced(waited),
            Effect::Credit(places) => self.children.room(places),
            Effect::Publish(status) => {
                self.outputs.status.send_replace(status);
            }
            Effect::Reached(reached) => {
                let apart = self.proxy.as_ref().is_some_and(Option::is_some);
                self.outputs.reached.send_replace(Reached { apart, ..reached });
            }
            Effect::Tail(sequence) => {
                self.outputs.tail.send_replace(sequence);
            }
            Effect::Reply { token, reply } => self.reply(token, reply),
            Effect::Pairing(update) => self.show_pairing(update),
            Effect::Finish(_) => unreachable!("the end is carried out by the caller"),
        }
    }

    /// Wakes the machine at its earliest deadline. An earlier alarm is left as it is: waking too early
    /// costs less than a new alarm for every event.
    fn arm(&mut self) {
        let Some(deadline) = self.machine.deadline() else { return };
        if self.armed.as_ref().is_some_and(|(at, _)| *at <= deadline) {
            return;
        }
        let pause = deadline.since(self.ports.clocks.boot());
        let (me, life) = (self.me.clone(), self.children.life());
        let task = Task(tokio::spawn(async move {
            // A clock that counts in coarser steps must not wake us before the deadline.
            tokio::time::sleep(pause + Duration::from_millis(1)).await;
            let _ = me.send_message(Input::Child(life, Child::Wake));
        }));
        self.armed = Some((deadline, task));
    }

    /// Ends everything, then says so.
    async fn end(&mut self, why: Finished) {
        self.armed = None;
        self.asking = None;
        self.children.end().await;
        self.show_pairing(PairingUpdate::Failed {
            reason: "STOPPED",
            message: "the device ended".to_owned(),
        });
        let state = match &why {
            Finished::Broken(_) => api::device::State::Failed,
            _ => api::device::State::Stopped,
        };
        let at = self.ports.clocks.wall();
        self.outputs.status.send_modify(|status| {
            status.state = state;
            status.reason = "this node does not hold it any more".to_owned();
            status.at = at;
        });
        // First the reason, then the replies: who loses an answer finds out why.
        self.outputs.finished.send_replace(Some(why));
        self.replies.clear();
        self.me.stop(None);
    }
}

fn now(ports: &Ports) -> Now {
    let clocks = &ports.clocks;
    Now {
        boot: clocks.boot(),
        wall: clocks.wall(),
        may_act: clocks.may_act(),
        age: clocks.age(),
        trusted: clocks.trusted(),
    }
}
