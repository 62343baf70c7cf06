//! A half-open link: everything of a connection up to, not including, the last handshake message.
//!
//! What must hold: opening one needs nothing of the device (WhatsApp's handshake names it in the last
//! message only), so a node can hold one for a device that is another's, and nothing that was read before
//! its own grant is ever acted on. A half-open link logs nobody in and replaces no other connection;
//! dropping it leaves no trace. It is used while it is young, or not at all.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_placement::lease::BootTime;
use roost_proto::frame::{self, FrameDecoder};
use roost_proto::id::DeviceKey;
use roost_proto::noise::{ClientHandshake, VerifiedServer};
use tokio::time::timeout;

use crate::device::Ports;
use crate::port::{Clocks, Dialer, LinkError, LinkSink, LinkSource, ProxyUri, Urgency};

/// How old a half-open link may be when it is used. WhatsApp does not say how long it waits for the last
/// message; its own clients give up after 20 s.
pub const FRESH: Duration = Duration::from_secs(8);

/// A connection that waits for its last handshake message.
pub struct WarmLink {
    pub(crate) sink: Box<dyn LinkSink>,
    pub(crate) source: SourceFrames,
    pub(crate) server: VerifiedServer,
    opened: BootTime,
    /// The proxy that it goes through.
    via: Option<ProxyUri>,
}

impl std::fmt::Debug for WarmLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WarmLink(opened at {:?})", self.opened)
    }
}

impl WarmLink {
    /// Waits for a turn of the node's login rate, then opens one, within `limits.connect`, the way that the device goes.
    ///
    /// # Errors
    /// [`LinkError`]: nothing is open.
    pub async fn open(key: &DeviceKey, via: Option<&ProxyUri>, ports: &Ports) -> Result<WarmLink, LinkError> {
        ports.gate.turn(key, Urgency::Warm).await;
        let opening = WarmLink::shake_hands(&*ports.dialer, &*ports.clocks, (ports.seeds)(), None, via);
        match timeout(ports.limits.connect, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(LinkError::Dial(format!("not half open within {:?}", ports.limits.connect))),
        }
    }

    /// Whether WhatsApp can be reached from here: opens one as [`WarmLink::open`] does, without a turn, because nobody
    /// logs in with it, and drops it.
    pub async fn probe(ports: &Ports) -> bool {
        let opening = WarmLink::shake_hands(&*ports.dialer, &*ports.clocks, (ports.seeds)(), None, None);
        matches!(timeout(ports.limits.connect, opening).await, Ok(Ok(_)))
    }

    /// Dials, and goes through the handshake as far as the server's proof of who it is.
    pub(crate) async fn shake_hands(
        dialer: &dyn Dialer,
        clocks: &dyn Clocks,
        seed: [u8; 32],
        routing: Option<&[u8]>,
        via: Option<&ProxyUri>,
    ) -> Result<WarmLink, LinkError> {
        let refused = |error: &dyn std::fmt::Display| LinkError::Dial(error.to_string());
        let (mut sink, source) = dialer.dial(via).await?;
        let mut source = SourceFrames::new(source);
        let (handshake, hello) = ClientHandshake::new(&mut StdRng::from_seed(seed));
        sink.send(frame::opening(routing, &hello).map_err(|error| refused(&error))?.into()).await?;
        let answer = source.next().await?;
        let server = handshake
            .read_server_hello(&answer, &dialer.root_key(), clocks.wall())
            .map_err(|error| refused(&error))?;
        Ok(WarmLink { sink, source, server, opened: clocks.boot(), via: via.cloned() })
    }

    /// Whether it goes the way of a device that connects through this proxy.
    pub(crate) fn goes(&self, via: Option<&ProxyUri>) -> bool {
        self.via.as_ref() == via
    }

    /// Whether it can still be used: it is young, and the server has neither closed it nor said anything.
    pub(crate) async fn is_usable(&mut self, now: BootTime) -> bool {
        now.since(self.opened) < FRESH && timeout(Duration::ZERO, self.source.next()).await.is_err()
    }
}

/// Frames out of a link's messages.
pub(crate) struct SourceFrames {
    source: Box<dyn LinkSource>,
    decoder: FrameDecoder,
    ready: VecDeque<Bytes>,
}

impl SourceFrames {
    fn new(source: Box<dyn LinkSource>) -> SourceFrames {
        let decoder = FrameDecoder::new(frame::MAX_PAYLOAD);
        SourceFrames { source, decoder, ready: VecDeque::new() }
    }

    /// The next frame. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let piece = self.source.recv().await?;
            let mut frames = Vec::new();
            let pushed = self.decoder.push(&piece, &mut frames);
            pushed.map_err(|error| LinkError::Closed(error.to_string()))?;
            self.ready.extend(frames);
        }
    }
}
