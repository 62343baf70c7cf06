//! How far a piece of history has been told, as a row.

use bytes::Bytes;
use roost_proto::api::history_chunk::Kind as Shown;
use roost_proto::history::Kind;
use roost_proto::phone::Notice;

use crate::machine::codec::{Reader, Writer};

/// First byte of a row.
const FORMAT: u8 = 1;

/// What is known of a piece, and the place of the next message in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    kind: Kind,
    pub(super) order: u32,
    pub(super) progress: u32,
    /// Id of the message that asked for it; may be empty.
    pub(super) request: String,
    pub(super) chat: usize,
    pub(super) message: usize,
    /// Messages that were told.
    pub(super) messages: u64,
}

impl Cursor {
    pub(super) fn new(notice: &Notice) -> Cursor {
        let request = notice.request.clone().unwrap_or_default();
        let (kind, order, progress) = (notice.kind, notice.order, notice.progress);
        Cursor { kind, order, progress, request, chat: 0, message: 0, messages: 0 }
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
        for number in [self.chat as u64, self.message as u64, self.messages] {
            out.bytes(&number.to_be_bytes());
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
        let (chat, message) = (usize::try_from(chat).ok()?, usize::try_from(message).ok()?);
        Some(Cursor { kind, order, progress, request, chat, message, messages })
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::phone::Place;

    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let place = Place::Inline(Vec::new());
        let request = Some("3EB0".to_owned());
        let mut cursor = Cursor::new(&Notice { kind: Kind::Recent, order: 2, progress: 40, place, request });
        (cursor.chat, cursor.message, cursor.messages) = (3, 7, 107);
        let bytes = cursor.to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
        assert_eq!(Cursor::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}
