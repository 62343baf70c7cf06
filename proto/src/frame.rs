//! Frames: how WhatsApp cuts the byte stream into pieces (three bytes of length, then the payload), and
//! the intro that a client sends once before its first frame.
//!
//! What must hold: a decoder never buffers more than one frame of its limit plus the piece it was just
//! given; a length above the limit is refused when its three bytes are read, before anything is stored.
//! It does not encrypt, and it does not know about WebSockets.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on.

use bytes::{Buf, Bytes, BytesMut};

/// The client's first bytes: "WA", protocol magic 6, dictionary version 3. Also the Noise prologue.
pub const INTRO: [u8; 4] = *b"WA\x06\x03";

/// The longest payload a frame can carry: its length has three bytes.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// The longest routing header that a client may send. Real ones are a few bytes long.
pub const MAX_ROUTING: usize = 1024;

const ROUTING_MARK: [u8; 4] = *b"ED\x00\x01";

/// What is wrong with the bytes of a peer (or with a payload that we tried to frame).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame is longer than this connection accepts.
    #[error("a frame of {length} bytes is above the limit of {limit}")]
    TooLong {
        /// Announced or attempted payload length, bytes.
        length: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The connection ended inside a frame or inside the intro.
    #[error("the connection ended inside a frame, {missing} bytes short")]
    Torn {
        /// How many bytes would have completed it.
        missing: usize,
    },
    /// The first bytes are not those of a WhatsApp client.
    #[error("the connection does not open with the WhatsApp intro")]
    BadIntro,
    /// The routing header is longer than any real one.
    #[error("a routing header of {length} bytes is above the limit")]
    RoutingTooLong {
        /// Announced length, bytes.
        length: usize,
    },
}

/// Appends `payload` as one frame to `out`.
///
/// # Errors
/// [`FrameError::TooLong`] above [`MAX_PAYLOAD`]; `out` is then unchanged.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(FrameError::TooLong { length: payload.len(), limit: MAX_PAYLOAD });
    }
    out.reserve(payload.len() + 3);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(payload);
    Ok(())
}

/// A client's first bytes: the optional routing header (`routing` as the server gave it in
/// `ib/edge_routing`), the intro, and `hello` as the first frame.
///
/// # Errors
/// [`FrameError::TooLong`] or [`FrameError::RoutingTooLong`] when a part does not fit.
pub fn opening(routing: Option<&[u8]>, hello: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::with_capacity(hello.len() + 32);
    if let Some(routing) = routing {
        if routing.len() > MAX_ROUTING {
            return Err(FrameError::RoutingTooLong { length: routing.len() });
        }
        out.extend_from_slice(&ROUTING_MARK);
        out.extend_from_slice(&(routing.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(routing);
    }
    out.extend_from_slice(&INTRO);
    encode(hello, &mut out)?;
    Ok(out)
}

/// Cuts a byte stream into frames, however the stream is split into pieces.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
    intro: Intro,
}

/// Where the decoder is in the client's opening.
#[derive(Debug, PartialEq, Eq)]
enum Intro {
    Awaited,
    Done { routing: Option<Bytes> },
}

impl FrameDecoder {
    /// For the client's side: the server's stream consists of frames alone. `limit` is the longest
    /// accepted payload in bytes, at most [`MAX_PAYLOAD`].
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit: limit.min(MAX_PAYLOAD), intro: Intro::Done { routing: None } }
    }

    /// For the server's side: the stream opens with the optional routing header and the intro.
    pub fn with_intro(limit: usize) -> Self {
        Self { intro: Intro::Awaited, ..Self::new(limit) }
    }

    /// Takes the next piece of the stream and appends every frame that it completes to `frames`.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], [`FrameError::BadIntro`] or [`FrameError::RoutingTooLong`]; the stream
    /// cannot be followed after any of them.
    pub fn push(&mut self, piece: &[u8], frames: &mut Vec<Bytes>) -> Result<(), FrameError> {
        self.buffer.extend_from_slice(piece);
        if self.intro == Intro::Awaited && !self.take_intro()? {
            return Ok(());
        }
        while self.buffer.len() >= 3 {
            let length = length_of(&self.buffer);
            if length > self.limit {
                return Err(FrameError::TooLong { length, limit: self.limit });
            }
            if self.buffer.len() < 3 + length {
                return Ok(());
            }
            self.buffer.advance(3);
            frames.push(self.buffer.split_to(length).freeze());
        }
        Ok(())
    }

    /// The routing header that the client sent, once its intro has been read.
    pub fn routing(&self) -> Option<&Bytes> {
        match &self.intro {
            Intro::Done { routing } => routing.as_ref(),
            Intro::Awaited => None,
        }
    }

    /// To be asked when the connection has ended.
    ///
    /// # Errors
    /// [`FrameError::Torn`] if it ended inside a frame or before the intro was complete.
    pub fn finish(&self) -> Result<(), FrameError> {
        let have = self.buffer.len();
        let missing = match (&self.intro, have) {
            (Intro::Awaited, _) => INTRO.len().saturating_sub(have).max(1),
            (Intro::Done { .. }, 0) => return Ok(()),
            (Intro::Done { .. }, 1..3) => 3 - have,
            (Intro::Done { .. }, _) => 3 + length_of(&self.buffer) - have,
        };
        Err(FrameError::Torn { missing })
    }

    /// Whether the intro is complete (and removed from the buffer).
    fn take_intro(&mut self) -> Result<bool, FrameError> {
        let have = self.buffer.len().min(4);
        let opening = &self.buffer[..have];
        if opening == &INTRO[..have] {
            if have == 4 {
                self.buffer.advance(4);
                self.intro = Intro::Done { routing: None };
            }
            return Ok(have == 4);
        }
        if opening != &ROUTING_MARK[..have] {
            return Err(FrameError::BadIntro);
        }
        if self.buffer.len() < 7 {
            return Ok(false);
        }
        let length = length_of(&self.buffer[4..]);
        if length > MAX_ROUTING {
            return Err(FrameError::RoutingTooLong { length });
        }
        let end = 7 + length;
        let seen = self.buffer.len().clamp(end, end + 4) - end;
        if self.buffer.len() >= end && self.buffer[end..end + seen] != INTRO[..seen] {
            return Err(FrameError::BadIntro);
        }
        if seen < 4 {
            return Ok(false);
        }
        self.buffer.advance(7);
        let routing = self.buffer.split_to(length).freeze();
        self.buffer.advance(4);
        self.intro = Intro::Done { routing: Some(routing) };
        Ok(true)
    }
}

fn length_of(header: &[u8]) -> usize {
    usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut FrameDecoder, pieces: &[&[u8]]) -> Result<Vec<Bytes>, FrameError> {
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut frames)?;
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            routing in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            cut in 1usize..50,
        ) {
            let mut stream = opening(routing.as_deref(), b"hello").expect("fits");
            for payload in &payloads {
                encode(payload, &mut stream).expect("fits");
            }
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            let mut decoder = FrameDecoder::with_intro(1000);
            let frames = all(&mut decoder, &pieces).expect("well formed");
            prop_assert_eq!(&frames[0][..], b"hello");
            prop_assert_eq!(frames[1..].iter().map(|f| f.to_vec()).collect::<Vec<_>>(), payloads);
            prop_assert_eq!(decoder.routing().map(|r| r.to_vec()), routing);
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn hostile_bytes_never_panic_and_never_buffer_beyond_the_limit(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut decoder = FrameDecoder::new(64);
            for piece in bytes.chunks(7) {
                if decoder.push(piece, &mut Vec::new()).is_err() { return Ok(()); }
                prop_assert!(decoder.buffer.len() <= 64 + 3);
            }
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_from_its_length_alone() {
        let mut decoder = FrameDecoder::new(10);
        assert_eq!(all(&mut decoder, &[&[0, 0, 11]]), Err(FrameError::TooLong { length: 11, limit: 10 }));
        assert!(encode(&vec![0; MAX_PAYLOAD + 1], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_torn_frame_is_reported_with_what_is_missing() {
        let mut decoder = FrameDecoder::new(10);
        assert_eq!(all(&mut decoder, &[&[0, 0, 4, 1]]), Ok(vec![]));
        assert_eq!(decoder.finish(), Err(FrameError::Torn { missing: 3 }));
        assert_eq!(FrameDecoder::with_intro(10).finish(), Err(FrameError::Torn { missing: 4 }));
    }

    #[test]
    fn a_stranger_is_refused_at_its_first_wrong_byte() {
        for strange in [&b"GET "[..], b"WB", b"WA\x05", b"ED\x00\x02", b"ED\x00\x01\x00\x00\x01xWB"] {
            let mut decoder = FrameDecoder::with_intro(10);
            assert_eq!(all(&mut decoder, &[strange]), Err(FrameError::BadIntro), "{strange:?}");
        }
    }
}
