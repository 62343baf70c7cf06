//! The connection actor: one link to WhatsApp, from dialling to its end.
//!
//! What must hold: the last message of the handshake, which logs the device in, is sent only with a fresh
//! permit, checked against the clock directly before; nothing is written while the node may not act; not
//! more is read than the machine has room for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_placement::ledger::Grant;
use roost_proto::frame::{self, FrameDecoder};
use roost_proto::noise::{ClientHandshake, Opener, Sealer};
use roost_proto::stanza;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::crypto;
use super::supervisor::{Child, Input};
use crate::device::Ports;
use crate::machine::DialLogin;
use crate::port::{LinkError, LinkSink, LinkSource, PermitRefused};

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
    pub(super) login: Option<DialLogin>,
    pub(super) urgent: bool,
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
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        me: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        me.send_message(Message::Open)?;
        Ok(State { arguments, open: None })
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
            Err(Failure::Other(why)) => {
                state.arguments.tell(Child::LinkDown(link, why));
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
        let arguments = &self.arguments;
        let ports = &arguments.ports;
        ports.gate.turn(&arguments.grant, arguments.urgent).await;
        let patience = ports.limits.connect;
        let late = |_| Failure::Other(format!("no connection within {patience:?}"));
        let (sink, sealer, source, opener) =
            timeout(patience, arguments.shake_hands()).await.map_err(late)??;
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
        let frame = open.sealer.seal(bytes).map_err(|error| Failure::Other(error.to_string()))?;
        if !self.arguments.ports.clocks.may_act() {
            // The lease ran out on the way here. The sealed frame is lost, and with it the stream.
            return Err(Failure::Other("the lease ran out before a write".to_owned()));
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

    async fn shake_hands(&self) -> Result<(Box<dyn LinkSink>, Sealer, SourceFrames, Opener), Failure> {
        let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
        let (reply, answer) = oneshot::channel();
        let _ = self.crypto.send_message(crypto::Message::Handshake(self.login.clone(), reply));
        let (noise, payload) = answer
            .await
            .ok()
            .flatten()
            .ok_or(Failure::Other("there are no keys to connect with".to_owned()))?;
        let (mut sink, source) = self.ports.dialer.dial().await?;
        let mut source = SourceFrames::new(source);
        let (handshake, hello) = ClientHandshake::new(noise, &mut StdRng::from_seed(self.seed));
        let opening = frame::opening(None, &hello).map_err(|error| other(&error))?;
        sink.send(opening.into()).await?;
        let answer = source.next().await?;
        let now = self.ports.clocks.wall();
        let server = handshake
            .read_server_hello(&answer, &self.ports.dialer.root_key(), now)
            .map_err(|error| other(&error))?;
        let (last, transport) = server.finish(&payload).map_err(|error| other(&error))?;
        let mut framed = Vec::new();
        frame::encode(&last, &mut framed).map_err(|error| other(&error))?;
        let permit = match self.ports.gate.permit(&self.grant).await {
            Ok(permit) => permit,
            Err(PermitRefused::Stale) => return Err(Failure::Stale),
            Err(PermitRefused::Unavailable(error)) => return Err(other(&error)),
        };
        let clocks = &self.ports.clocks;
        if permit.grant != self.grant || clocks.boot() >= permit.expires || !clocks.may_act() {
            return Err(Failure::Other("the permit to connect ran out".to_owned()));
        }
        sink.send(framed.into()).await?;
        Ok((sink, transport.sealer, source, transport.opener))
    }
}

/// Frames out of a link's messages.
struct SourceFrames {
    source: Box<dyn LinkSource>,
    decoder: FrameDecoder,
    ready: std::collections::VecDeque<Bytes>,
}

impl SourceFrames {
    fn new(source: Box<dyn LinkSource>) -> SourceFrames {
        let decoder = FrameDecoder::new(frame::MAX_PAYLOAD);
        SourceFrames { source, decoder, ready: std::collections::VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let piece = self.source.recv().await?;
            let mut frames = Vec::new();
            self.decoder.push(&piece, &mut frames).map_err(|error| Failure::Other(error.to_string()))?;
            self.ready.extend(frames);
        }
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
            Err(Failure::Other(why)) => break why,
            Err(Failure::Stale) => return,
        };
        let raw = match opener.open(&frame) {
            Ok(plaintext) => Bytes::from(plaintext),
            Err(error) => break error.to_string(),
        };
        let stanza = stanza::decode(&raw).map_err(|error| error.to_string());
        let child = Child::Stanza { link, raw, stanza };
        if supervisor.send_message(Input::Child(life, child)).is_err() {
            return;
        }
        place.forget();
    };
    let _ = supervisor.send_message(Input::Child(life, Child::LinkDown(link, why)));
}
