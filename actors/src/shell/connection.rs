//! The connection actor: one link to WhatsApp, from dialling to its end.
//!
//! What must hold: the last message of the handshake, which logs the device in, is sent only with a fresh
//! permit, checked against the clock directly before, whether the link was half open already or not;
//! nothing is written while the node may not act; not more is read than the machine has room for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use roost_placement::ledger::Grant;
use roost_placement::seeded::{self, Bug};
use roost_proto::frame;
use roost_proto::noise::{Opener, Sealer};
use roost_proto::stanza;
use roost_proto::version::ProtocolVersion;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::crypto;
use super::supervisor::{Child, Input};
use crate::device::Ports;
use crate::machine::DialAs;
use crate::port::{Attempt, DialPermit, LinkError, LinkSink, PermitRefused, ProxyUri, Urgency};
use crate::warm::{SourceFrames, WarmLink};

/// How often a write that is held back by the lease looks whether it may go out.
const HELD: Duration = Duration::from_millis(50);

/// What the actor is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// Open the link.
    Open,
    /// Write one stanza.
    Write(Bytes),
}

/// What it starts with.
pub(super) struct Arguments {
    pub(super) ports: Ports,
    pub(super) grant: Grant,
    pub(super) link: u64,
    pub(super) dial: DialAs,
    pub(super) routing: Option<Bytes>,
    /// The device's own proxy.
    pub(super) via: Option<ProxyUri>,
    pub(super) version: ProtocolVersion,
    pub(super) urgency: Urgency,
    pub(super) seed: [u8; 32],
    /// Room for stanzas; taken by the reader, given back by the machine.
    pub(super) room: Arc<Semaphore>,
    pub(super) crypto: ActorRef<crypto::Message>,
    /// Which set of children it belongs to.
    pub(super) life: u32,
    pub(super) supervisor: ActorRef<Input>,
}

pub(super) struct ConnectionActor;

pub(super) struct State {
    arguments: Arguments,
    /// Half open already; its turn was taken when it was opened.
    warm: Option<WarmLink>,
    open: Option<Open>,
}

struct Open {
    sink: Box<dyn LinkSink>,
    sealer: Sealer,
    _reader: Reader,
}

/// The reading task; ends with the actor.
struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why there is no link.
enum Failure {
    Stale,
    /// It ended on the way to WhatsApp.
    Unreached(String),
    Other(String),
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Failure {
        Failure::Other(error.to_string())
    }
}

impl Actor for ConnectionActor {
    type Msg = Message;
    type State = State;
    type Arguments = (Arguments, Option<WarmLink>);

    async fn pre_start(
        &self,
        me: ActorRef<Message>,
        (arguments, warm): (Arguments, Option<WarmLink>),
    ) -> Result<State, ActorProcessingErr> {
        me.send_message(Message::Open)?;
        Ok(State { arguments, warm, open: None })
    }

    async fn handle(
        &self,
        me: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let link = state.arguments.link;
        let outcome = match message {
            Message::Open => state.connect().await.map(|()| state.arguments.tell(Child::LinkUp(link))),
            Message::Write(bytes) => state.write(&bytes).await,
        };
        match outcome {
            Ok(()) => {}
            Err(Failure::Stale) => {
                state.arguments.tell(Child::Stale);
                me.stop(None);
            }
            Err(Failure::Unreached(why)) => {
                state.arguments.tell(Child::LinkDown { link, why, unreached: true });
                me.stop(None);
            }
            Err(Failure::Other(why)) => {
                state.arguments.tell(Child::LinkDown { link, why, unreached: false });
                me.stop(None);
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(mut open) = state.open.take() {
            // A peer that does not take the goodbye gets none.
            let _ = timeout(Duration::from_millis(200), open.sink.close()).await;
        }
        Ok(())
    }
}

impl State {
    async fn connect(&mut self) -> Result<(), Failure> {
        let mut warm = self.warm.take();
        let arguments = &self.arguments;
        let ports = &arguments.ports;
        if let Some(link) = &mut warm
            && !link.is_usable(ports.clocks.boot()).await
        {
            warm = None;
        }
        if warm.is_none() {
            ports.gate.turn(&arguments.grant.key, arguments.urgency).await;
        }
        let patience = ports.limits.connect;
        let through = arguments.via.as_ref().map(|proxy| format!(" through its proxy {proxy}"));
        let late = format!("no connection within {patience:?}{}", through.unwrap_or_default());
        let half_open = match warm {
            Some(warm) => warm,
            None => match timeout(patience, arguments.shake_hands()).await {
                Ok(opened) => opened.map_err(|error| Failure::Unreached(error.to_string()))?,
                Err(_) => return Err(Failure::Unreached(late)),
            },
        };
        let logged_in = timeout(patience, arguments.log_in(half_open)).await;
        let (sink, sealer, source, opener) = logged_in.map_err(|_| Failure::Other(late))??;
        let reader = Reader(tokio::spawn(read(
            source,
            opener,
            arguments.room.clone(),
            arguments.link,
            arguments.life,
            arguments.supervisor.clone(),
        )));
        self.open = Some(Open { sink, sealer, _reader: reader });
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        let clocks = &self.arguments.ports.clocks;
        let age = clocks.age();
        let frame = open.sealer.seal(bytes).map_err(|error| Failure::Other(error.to_string()))?;
        // The lease may have run out on the way here. The frame is the next one of the stream whenever it goes out:
        // nothing else is sealed before, and who ends the connection meanwhile ends this wait.
        while !clocks.may_act() {
            tokio::time::sleep(HELD).await;
            if clocks.age() != age {
                // What it was decided on may be lost.
                return Err(Failure::Other("the database lost a tail before a write".to_owned()));
            }
        }
        let patience = self.arguments.ports.limits.connect;
        match timeout(patience, open.sink.send(frame.into())).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Failure::Other(format!("a write did not end within {patience:?}"))),
        }
    }
}

impl Arguments {
    fn tell(&self, child: Child) {
        let _ = self.supervisor.send_message(Input::Child(self.life, child));
    }

    /// Everything up to the last message of the handshake.
    async fn shake_hands(&self) -> Result<WarmLink, LinkError> {
        let clocks = &self.ports.clocks;
        let begin = clocks.boot();
        let (routing, via) = (self.routing.as_deref(), self.via.as_ref());
        let link = WarmLink::shake_hands(&*self.ports.dialer, &**clocks, self.seed, routing, via).await?;
        // How quick another way is says nothing to those who go this node's.
        if via.is_none() {
            self.ports.gate.report(Attempt::Answered(clocks.boot().since(begin)));
        }
        Ok(link)
    }

    async fn log_in(
        &self,
        half_open: WarmLink,
    ) -> Result<(Box<dyn LinkSink>, Sealer, SourceFrames, Opener), Failure> {
        let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
        let (reply, answer) = oneshot::channel();
        let _ = self.crypto.send_message(crypto::Message::Handshake(self.dial.clone(), self.version, reply));
        let (noise, payload) = answer
            .await
            .ok()
            .flatten()
            .ok_or(Failure::Other("there are no keys to connect with".to_owned()))?;
        let clocks = &self.ports.clocks;
        let WarmLink { mut sink, source, server, .. } = half_open;
        let (last, transport) = server.finish(&noise, &payload).map_err(|error| other(&error))?;
        let mut framed = Vec::new();
        frame::encode(&last, &mut framed).map_err(|error| other(&error))?;
        let permit = match self.ports.gate.permit(&self.grant).await {
            Ok(permit) => permit,
            Err(PermitRefused::Stale) => return Err(Failure::Stale),
            Err(PermitRefused::Unavailable(_)) if seeded::on(Bug::NoPermit) => {
                DialPermit { grant: self.grant.clone(), expires: clocks.boot() }
            }
            Err(PermitRefused::Unavailable(error)) => return Err(other(&error)),
        };
        if !permit.lets(&self.grant, clocks.boot(), clocks.may_act()) {
            return Err(Failure::Other("the permit to connect ran out".to_owned()));
        }
        sink.send(framed.into()).await?;
        Ok((sink, transport.sealer, source, transport.opener))
    }
}

/// Reads while there is room.
async fn read(
    mut source: SourceFrames,
    mut opener: Opener,
    room: Arc<Semaphore>,
    link: u64,
    life: u32,
    supervisor: ActorRef<Input>,
) {
    let why = loop {
        // Given back when this task ends; the machine gives it back when the stanza is settled.
        let Ok(place) = room.acquire().await else { return };
        let frame = match source.next().await {
            Ok(frame) => frame,
            Err(error) => break error.to_string(),
        };
        let raw = match opener.open(&frame) {
            Ok(plaintext) => Bytes::from(plaintext),
            Err(error) => break error.to_string(),
        };
        let stanza = stanza::hear(&raw).map_err(|error| error.to_string());
        let child = Child::Stanza { link, raw, stanza };
        if supervisor.send_message(Input::Child(life, child)).is_err() {
            return;
        }
        place.forget();
    };
    let down = Child::LinkDown { link, why, unreached: false };
    let _ = supervisor.send_message(Input::Child(life, down));
}
