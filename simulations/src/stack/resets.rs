//! HTTP/2 as one side writes it on the simulated network, with one reset for each call that is given up.
//!
//! What must hold: how long a run takes changes nothing of it. The library of the transport remembers for a second of
//! *real* time which calls it has reset; what comes for one later is answered with another reset, so a slow machine
//! would put more on the wire than a quick one. The other side has no use for it: that second reset is left out.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client says before its first frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's head: its length, its type, its flags, its stream.
const HEAD: usize = 9;
/// The type of a frame that resets a stream (RFC 9113, section 6.4).
const RST_STREAM: u8 = 3;

/// A connection that carries HTTP/2.
pub(super) struct ResetOnce<S> {
    inner: S,
    /// Not written yet.
    pending: BytesMut,
    frames: Frames,
}

impl<S> ResetOnce<S> {
    pub(super) fn new(inner: S) -> ResetOnce<S> {
        ResetOnce { inner, pending: BytesMut::new(), frames: Frames::default() }
    }
}

/// Where in its frames a side is.
#[derive(Default)]
struct Frames {
    /// The beginning of a head, or of the preface.
    head: Vec<u8>,
    begun: bool,
    /// Bytes of the present frame that are still to come, and whether it is left out.
    left: usize,
    left_out: bool,
    reset: BTreeSet<u32>,
}

impl Frames {
    /// Takes what is written next, and puts what is to go out behind `out`.
    fn take(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
                if !self.left_out {
                    out.extend_from_slice(now);
                }
                self.left -= now.len();
                bytes = rest;
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if !self.begun && self.head == PREFACE {
                out.extend_from_slice(&self.head);
                self.head.clear();
                self.begun = true;
            } else if self.head.len() == HEAD && (self.begun || !PREFACE.starts_with(&self.head)) {
                self.begun = true;
                self.begin(out);
            }
        }
    }

    /// A head is complete.
    fn begin(&mut self, out: &mut BytesMut) {
        let mut head = &self.head[..];
        self.left = usize::try_from(head.get_uint(3)).expect("three bytes");
        let kind = head.get_u8();
        let _flags = head.get_u8();
        let stream = head.get_u32() & (u32::MAX >> 1);
        self.left_out = kind == RST_STREAM && !self.reset.insert(stream);
        if !self.left_out {
            out.extend_from_slice(&self.head);
        }
        self.head.clear();
    }
}

impl<S: AsyncWrite + Unpin> ResetOnce<S> {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.pending))?;
            self.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ResetOnce<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ResetOnce<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(cx))?;
        let this = &mut *self;
        this.frames.take(buf, &mut this.pending);
        // What cannot be written now goes with the next write, or with the flush that follows.
        if let Poll::Ready(Err(error)) = this.poll_pending(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
    }

    /// What comes of this, however it is cut.
    fn comes_of(said: &[u8]) -> Vec<u8> {
        let outcome = |piece: usize| {
            let (mut frames, mut out) = (Frames::default(), BytesMut::new());
            said.chunks(piece).for_each(|piece| frames.take(piece, &mut out));
            out.to_vec()
        };
        let whole = outcome(said.len());
        for piece in 1..20 {
            assert_eq!(outcome(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn a_second_reset_of_a_stream_is_left_out_and_everything_else_goes_through() {
        let (data, reset) = (frame(0, 1, b"eggs"), frame(RST_STREAM, 1, &[0, 0, 0, 8]));
        let other = frame(RST_STREAM, 3, &[0, 0, 0, 8]);
        let late = frame(RST_STREAM, 1, &[0, 0, 0, 5]);
        for preface in [PREFACE, &[]] {
            let said = [preface, &data, &reset, &late, &data, &other, &late, &data].concat();
            let heard = [preface, &data, &reset, &data, &other, &data].concat();
            assert_eq!(comes_of(&said), heard);
        }
    }
}
