//! One device's connection: WebSocket messages to frames to stanzas, and back.
//!
//! What must hold: one frame per WebSocket message, whole (whatsmeow loses its way otherwise); writes, the
//! handshake and silence have limits; whatever goes wrong ends this connection only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use roost_proto::frame::{self, FrameDecoder};
use roost_proto::noise::{Accepted, AwaitsFinish, Opener, Pattern, Sealer, ServerStep};
use roost_proto::stanza::{self, Read as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_websockets::{Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::damage::DamageError;
use super::machine::Event;
use super::server::{Out, Shared};

/// The longest frame that is taken. (A guess: its length has three bytes, so 16 MiB could be said, and an upload of 812
/// prekeys has 33 kB.)
const FRAME_LIMIT: usize = 4 * 1024 * 1024;

/// How long a client may take for the handshake. (A guess: clients give their part of it up after as long.)
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);

/// How long a client may be silent. (A guess: clients ping at least every 30 s.)
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// How long one write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// How long a client may take to leave by itself after a stream error or a refused login. Closing at once
/// loses the last word: whatsmeow forgets what it has not handled yet when its socket closes, and then never
/// comes back after a pairing.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ended before the server wanted it.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the client left or broke the WebSocket")]
    WebSocket(#[source] Option<tokio_websockets::Error>),
    #[error("a frame was malformed")]
    Frame(#[from] frame::FrameError),
    #[error("the handshake failed")]
    Handshake(#[from] roost_proto::noise::HandshakeError),
    #[error("a frame did not decrypt")]
    Transport(#[from] roost_proto::noise::TransportError),
    #[error("a stanza was malformed")]
    Stanza(#[from] stanza::StanzaError),
    #[error("what a fault wants to be written cannot be made")]
    Damage(#[from] DamageError),
    #[error("a WebSocket message was text")]
    Text,
    #[error("the client took too long")]
    Slow(#[from] tokio::time::error::Elapsed),
}

impl LinkError {
    /// What is wrong with what the client has written; none when it left, or was late.
    fn refusal(&self) -> Option<String> {
        use tokio_websockets::Error::{PayloadTooLong, Protocol};
        match self {
            Self::WebSocket(Some(PayloadTooLong { .. } | Protocol(_))) => {}
            Self::WebSocket(_) | Self::Damage(_) | Self::Slow(_) => return None,
            Self::Frame(_) | Self::Handshake(_) | Self::Transport(_) | Self::Stanza(_) | Self::Text => {}
        }
        let cause = std::error::Error::source(self).map(|cause| format!(": {cause}"));
        Some(format!("{self}{}", cause.unwrap_or_default()))
    }
}

/// Serves one connection after its HTTP upgrade until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: Arc<Shared>) {
    let config = Config::default().frame_size(frame::MAX_PAYLOAD + 64);
    let limits = Limits::default().max_payload_len(Some(FRAME_LIMIT));
    let socket = ServerBuilder::new().config(config).limits(limits).serve(stream);
    let stopping = shared.stopping.clone();
    let mut link =
        Link { socket, decoder: FrameDecoder::with_intro(FRAME_LIMIT), frames: Vec::new(), last_word: false };
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        ended = link.run(&shared) => if let Err(error) = ended {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::debug!(%error, cause, "a connection ended");
        }
    }
}

struct Link<S> {
    socket: WebSocketStream<S>,
    decoder: FrameDecoder,
    frames: Vec<Bytes>,
    /// What was written last ends the stream.
    last_word: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    async fn run(&mut self, shared: &Shared) -> Result<(), LinkError> {
        let accepted = timeout(HANDSHAKE_LIMIT, self.handshake(shared)).await.map_err(LinkError::from);
        let accepted = accepted.flatten().inspect_err(|error| note(shared, None, error))?;
        let (connection, queue) = shared.connect();
        // Whatever happens from here on, also a cancelled task, the machine hears of the end.
        let _leave = Leave { shared, connection };
        let opened = Event::Opened {
            noise: accepted.client_static,
            payload: accepted.payload,
            pattern: accepted.pattern,
        };
        shared.event(connection, opened);
        if let Some(routing) = self.decoder.routing() {
            shared.change(|machine| machine.note_routing(connection, routing));
        }
        let (sealer, mut opener) = (accepted.transport.sealer, accepted.transport.opener);
        let ended = self.talk(shared, connection, queue, sealer, &mut opener).await;
        ended.inspect_err(|error| note(shared, Some(connection), error))
    }

    async fn handshake(&mut self, shared: &Shared) -> Result<Accepted, LinkError> {
        let hello = self.frame().await?;
        let step = shared.greet(|machine, responder, rng| {
            if machine.faults.resumes() {
                return responder.read_client_hello(&hello, rng);
            }
            let step = responder.refusing_ik().read_client_hello(&hello, rng)?;
            if let ServerStep::Reply { pattern: Pattern::XxFallback, .. } = step {
                machine.faults.resumption_refused();
            }
            Ok(step)
        })?;
        match step {
            ServerStep::Accepted { hello, accepted } => {
                self.write_plain(&hello).await?;
                Ok(*accepted)
            }
            ServerStep::Reply { hello, next, .. } => {
                self.write_plain(&hello).await?;
                let finish = self.frame().await?;
                Ok(AwaitsFinish::read_client_finish(next, &finish)?)
            }
        }
    }

    async fn talk(
        &mut self,
        shared: &Shared,
        connection: u64,
        mut queue: mpsc::Receiver<Out>,
        mut sealer: Sealer,
        opener: &mut Opener,
    ) -> Result<(), LinkError> {
        let mut held: Option<(Instant, Out)> = None;
        let mut silent_until = Instant::now() + SILENCE_LIMIT;
        // Frames that came together with the end of the handshake.
        self.take_frames(shared, connection, opener)?;
        loop {
            let due = held.as_ref().map_or(silent_until, |(due, _)| *due);
            tokio::select! {
                biased;
                message = self.socket.next() => {
                    self.take_message(message)?;
                    silent_until = Instant::now() + SILENCE_LIMIT;
                    self.take_frames(shared, connection, opener)?;
                }
                () = sleep_until(due), if held.is_some() => {
                    if let Some((_, out)) = held.take()
                        && self.write(out, &mut sealer, true).await? { return Ok(()) }
                }
                out = queue.recv(), if held.is_none() => {
                    let Some(out) = out else { return Ok(()) };
                    match due_of(&out, shared) {
                        Some(due) => held = Some((due, out)),
                        None if self.write(out, &mut sealer, queue.is_empty()).await? => return Ok(()),
                        None => {}
                    }
                }
                () = sleep_until(silent_until) => {
                    tracing::info!(connection, "silent for too long");
                    return Ok(());
                }
            }
        }
    }

    fn take_frames(
        &mut self,
        shared: &Shared,
        connection: u64,
        opener: &mut Opener,
    ) -> Result<(), LinkError> {
        for frame in self.frames.drain(..) {
            let stanza = stanza::decode(&opener.open(&frame)?)?;
            if stanza::hosted::misnames(&stanza) {
                shared.answer(|machine, now| machine.misnamed(now, connection, &stanza));
                continue;
            }
            let stanza = stanza::hosted::plainly(stanza);
            tracing::trace!(connection, ?stanza, "received");
            shared.event(connection, Event::Received(stanza));
        }
        Ok(())
    }

    /// Writes one thing; true when it was the last.
    async fn write(&mut self, out: Out, sealer: &mut Sealer, flush: bool) -> Result<bool, LinkError> {
        match out {
            Out::Stanza(stanza, _) => {
                tracing::trace!(?stanza, "sent");
                self.last_word = matches!(&*stanza.tag, "stream:error" | "failure");
                // Whoever is linked as one hears its own address as that of a usual device.
                let own = stanza.child("pair-success").is_some();
                let bytes = if own { stanza::encode(&stanza)?.into() } else { stanza::say(&stanza)? };
                let frame = sealer.seal(&bytes)?;
                timeout(WRITE_LIMIT, self.socket.feed(Message::binary(frame))).await?.map_err(gone)?;
                if flush {
                    timeout(WRITE_LIMIT, self.socket.flush()).await?.map_err(gone)?;
                }
                Ok(false)
            }
            Out::Damage(what) => {
                let message = Message::binary(what.message(sealer)?);
                timeout(WRITE_LIMIT, self.socket.send(message)).await?.map_err(gone)?;
                Ok(false)
            }
            Out::Close => {
                if self.last_word {
                    timeout(WRITE_LIMIT, self.socket.flush()).await?.map_err(gone)?;
                    let leaving = async { while let Some(Ok(_)) = self.socket.next().await {} };
                    // Late or gone: it is closed in any case.
                    let _ = timeout(LINGER, leaving).await;
                }
                timeout(WRITE_LIMIT, self.socket.close()).await?.map_err(gone)?;
                Ok(true)
            }
        }
    }

    async fn write_plain(&mut self, payload: &[u8]) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        frame::encode(payload, &mut bytes)?;
        self.socket.send(Message::binary(bytes)).await.map_err(gone)
    }

    /// The next frame of the handshake.
    async fn frame(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if !self.frames.is_empty() {
                return Ok(self.frames.remove(0));
            }
            let message = self.socket.next().await;
            self.take_message(message)?;
        }
    }

    fn take_message(
        &mut self,
        message: Option<Result<Message, tokio_websockets::Error>>,
    ) -> Result<(), LinkError> {
        let message = message.ok_or(LinkError::WebSocket(None))?.map_err(gone)?;
        // That the real server minds is a guess: no client writes text.
        if message.is_text() {
            return Err(LinkError::Text);
        }
        if message.is_binary() {
            self.decoder.push(message.as_payload(), &mut self.frames)?;
        }
        Ok(())
    }
}

/// Keeps why a connection is ended, when that is what its client has written.
fn note(shared: &Shared, connection: Option<u64>, error: &LinkError) {
    if let Some(why) = error.refusal() {
        shared.change(|machine| machine.note_broken(shared.now(), connection, &why));
    }
}

/// Tells the machine that a connection is gone, however its task ended.
struct Leave<'a> {
    shared: &'a Shared,
    connection: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.shared.disconnect(self.connection);
    }
}

fn gone(error: tokio_websockets::Error) -> LinkError {
    LinkError::WebSocket(Some(error))
}

/// When a delayed stanza is due; none when it is due now.
fn due_of(out: &Out, shared: &Shared) -> Option<Instant> {
    let Out::Stanza(_, not_before) = out else { return None };
    let wait = not_before.0 - shared.now().0;
    (wait > 0).then(|| Instant::now() + Duration::from_millis(wait.unsigned_abs()))
}
