//! A piece of history that has not been told to its end: where it is, and how far it has been told, as rows.

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::api::history_chunk::Kind as Shown;
use roost_proto::history::{Blob, Kind, Past, Position};
use roost_proto::phone::{Notice, Place};

use super::range::Reached;
use crate::machine::codec::{Reader, Writer};
use crate::port::StateKind;

/// First byte of a row.
const FORMAT: u8 = 1;

/// One piece.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) cursor: Cursor,
    pub(super) source: Source,
    /// How often it could not be had, and when that is tried again.
    pub(super) trouble: Option<(u32, BootTime)>,
    /// The phone was asked to upload its file again.
    pub(super) asked: bool,
}

impl Piece {
    pub(super) fn new(cursor: Cursor, source: Source) -> Piece {
        Piece { cursor, source, trouble: None, asked: false }
    }
}

/// Where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// They came with the message.
    Inline(Bytes),
    /// In a file.
    File(Blob),
}

impl Source {
    pub(super) fn kind(&self) -> StateKind {
        match self {
            Source::Inline(_) => StateKind::HistoryPiece,
            Source::File(_) => StateKind::HistoryFile,
        }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let blob = match self {
            Source::Inline(packed) => return packed.clone(),
            Source::File(blob) => blob,
        };
        let mut out = Writer::new(FORMAT);
        out.text(&blob.direct_path);
        for bytes in [&blob.media_key, &blob.sha256, &blob.enc_sha256] {
            out.bytes(bytes);
        }
        out.bytes(&blob.size.to_be_bytes());
        out.text(&blob.handle);
        out.finish()
    }

    /// Reads what [`Source::to_bytes`] wrote; `None` when it is something else.
    pub(super) fn from_row(kind: StateKind, row: Bytes) -> Option<Source> {
        if kind == StateKind::HistoryPiece {
            return Some(Source::Inline(row));
        }
        let mut rest = Reader::new(FORMAT, &row)?;
        let direct_path = rest.text()?.to_owned();
        let mut bytes = || Some(rest.bytes()?.to_vec());
        let (media_key, sha256, enc_sha256, size) = (bytes()?, bytes()?, bytes()?, bytes()?);
        let size = u64::from_be_bytes(size.try_into().ok()?);
        // Earlier rows end here.
        let handle = rest.text().unwrap_or_default().to_owned();
        Some(Source::File(Blob { media_key, direct_path, sha256, enc_sha256, size, handle }))
    }
}

/// What is known of a piece, and the place of the next message in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    kind: Kind,
    pub(super) order: u32,
    pub(super) progress: u32,
    /// Id of the message that asked for it; may be empty.
    pub(super) request: String,
    pub(super) next: Position,
    /// Messages that were told, and those that could not be.
    pub(super) messages: u64,
    pub(super) left_out: u64,
    /// The oldest message that was told.
    pub(super) reached: Option<Reached>,
}

impl Cursor {
    pub(super) fn new(notice: &Notice) -> Cursor {
        let request = notice.request.clone().unwrap_or_default();
        let (kind, order, progress) = (notice.kind, notice.order, notice.progress);
        Cursor {
            kind,
            order,
            progress,
            request,
            next: Position::default(),
            messages: 0,
            left_out: 0,
            reached: None,
        }
    }

    /// Of a request that the phone has not answered.
    pub(super) fn asked(request: &str) -> Cursor {
        let (request, place) = (Some(request.to_owned()), Place::Inline(Vec::new()));
        Cursor::new(&Notice { kind: Kind::OnDemand, order: 0, progress: 0, request, place, original: None })
    }

    /// A message was read.
    pub(super) fn reach(&mut self, past: &Past) {
        if self.reached.as_ref().is_none_or(|reached| past.at < reached.at) {
            self.reached = Some(Reached::of(past));
        }
    }

    /// Pieces are told in this order: what somebody waits for first, then what is newest.
    pub(super) fn rank(&self) -> (u8, u32) {
        let rank = match self.kind {
            Kind::OnDemand => 0,
            Kind::Bootstrap => 1,
            Kind::PushNames => 2,
            Kind::Recent => 3,
            Kind::Full => 5,
            Kind::Status | Kind::NonBlocking | Kind::Other(_) => 4,
        };
        (rank, self.order)
    }

    pub(super) fn kind_for_callers(&self) -> Shown {
        match self.kind {
            Kind::Bootstrap => Shown::Bootstrap,
            Kind::Status => Shown::Status,
            Kind::Full => Shown::Full,
            Kind::Recent => Shown::Recent,
            Kind::PushNames => Shown::PushNames,
            Kind::NonBlocking => Shown::NonBlocking,
            Kind::OnDemand => Shown::OnDemand,
            Kind::Other(_) => Shown::Other,
        }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.bytes(&i32::from(self.kind).to_be_bytes());
        out.bytes(&self.order.to_be_bytes());
        out.bytes(&self.progress.to_be_bytes());
        out.text(&self.request);
        for number in [self.next.chat, self.next.message, self.messages, self.left_out] {
            out.bytes(&number.to_be_bytes());
        }
        if let Some(reached) = &self.reached {
            reached.write(&mut out);
        }
        out.finish()
    }

    /// Reads what [`Cursor::to_bytes`] wrote; `None` when it is something else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Cursor> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let kind = i32::from_be_bytes(rest.bytes()?.try_into().ok()?).into();
        let order = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let progress = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let request = rest.text()?.to_owned();
        let mut number = || Some(u64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let (chat, message, messages) = (number()?, number()?, number()?);
        // Earlier rows end here, and those before the first message behind it.
        let left_out = number().unwrap_or(0);
        let (next, reached) = (Position { chat, message }, Reached::read(&mut rest));
        Some(Cursor { kind, order, progress, request, next, messages, left_out, reached })
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::history::Beside;
    use roost_proto::id::UnixMillis;

    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let place = Place::Inline(Vec::new());
        let request = Some("3EB0".to_owned());
        let notice = Notice { kind: Kind::Recent, order: 2, progress: 40, place, request, original: None };
        let mut cursor = Cursor::new(&notice);
        cursor.next = Position { chat: 3, message: 7 };
        (cursor.messages, cursor.left_out) = (107, 2);
        let bytes = cursor.to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes), Some(cursor.clone()));
        let at = |seconds: i64| Past {
            id: format!("M{seconds}"),
            from_me: false,
            participant: None,
            at: UnixMillis(seconds * 1000),
            push_name: String::new(),
            content: Bytes::new(),
            beside: Beside::default(),
        };
        let mut further = cursor.clone();
        for past in [at(9), at(7), at(8)] {
            further.reach(&past);
        }
        assert_eq!(further.reached.as_ref().map(|reached| reached.at), Some(UnixMillis(7_000)));
        assert_eq!(Cursor::from_bytes(&further.to_bytes()), Some(further));
        cursor.left_out = 0;
        assert_eq!(Cursor::from_bytes(&bytes[..bytes.len() - 12]), Some(cursor), "as it was written before");
        assert_eq!(Cursor::from_bytes(&bytes[..bytes.len() - 13]), None);
    }

    #[test]
    fn where_a_piece_is_reads_back_as_it_was_written() {
        let blob = Blob {
            media_key: vec![1; 32],
            direct_path: "/v/x?y".to_owned(),
            sha256: vec![2; 32],
            enc_sha256: vec![3; 32],
            size: 5 << 30,
            handle: "handle".to_owned(),
        };
        let (row, without) =
            (Source::File(blob.clone()).to_bytes(), Blob { handle: String::new(), ..blob.clone() });
        let earlier = row.slice(..row.len() - 4 - blob.handle.len());
        assert_eq!(Source::from_row(StateKind::HistoryFile, earlier), Some(Source::File(without)));
        for source in [Source::Inline(Bytes::from_static(b"x\x9c")), Source::File(blob)] {
            assert_eq!(Source::from_row(source.kind(), source.to_bytes()), Some(source));
        }
        assert_eq!(Source::from_row(StateKind::HistoryFile, Bytes::from_static(b"\x01torn")), None);
    }
}
