//! Reading the event log in bounded pieces: what both kinds of event streams share.
//!
//! What must hold: an answer stays well below the 4 MiB that gRPC clients accept by default, unless a
//! single event is larger than that.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::prost::Message as _;

use super::convert;
use crate::directory::LoggedEvent;

/// Events that are read from one device at a time, so that devices take turns.
pub(super) const TURN: usize = 100;
/// Events in one answer.
const MOST_EVENTS: usize = 500;
/// Bytes in one answer, estimated.
const MOST_BYTES: usize = 1 << 20;

/// The events of one answer.
#[derive(Default)]
pub(super) struct Batch {
    events: Vec<api::Event>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, event: LoggedEvent) {
        self.bytes += weight(&event.payload);
        self.events.push(convert::event(event));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    /// Takes the events out; the batch is empty afterwards.
    pub(super) fn take(&mut self) -> Vec<api::Event> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}

/// Bytes of an event on the wire, roughly: only message contents can be large.
fn weight(payload: &Payload) -> usize {
    let content = match payload {
        Payload::MessageReceived(message) => message.encoded_len(),
        Payload::MessageEdited(edited) => edited.encoded_len(),
        _ => 0,
    };
    content + 512
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Epoch, Sequence, UnixMillis};

    use super::*;
    use roost_proto::id::Age;

    fn event(text: String) -> LoggedEvent {
        let content = Some(api::message_received::Content::Text(text));
        LoggedEvent {
            key: "tenants/acme/devices/shop".parse().expect("well formed"),
            sequence: Sequence(1),
            epoch: Epoch(1),
            occurred: UnixMillis(0),
            committed: UnixMillis(0),
            origin: api::event::Origin::Live,
            payload: Payload::MessageReceived(api::MessageReceived { content, ..Default::default() }),
            age: Age::default(),
        }
    }

    #[test]
    fn an_answer_is_full_by_number_or_by_size() {
        let mut batch = Batch::default();
        for _ in 0..MOST_EVENTS {
            assert!(!batch.is_full());
            batch.push(event(String::new()));
        }
        assert!(batch.is_full());
        assert_eq!(batch.take().len(), MOST_EVENTS);
        assert!(batch.is_empty() && !batch.is_full());
        for _ in 0..16 {
            batch.push(event("x".repeat(65_536)));
        }
        assert!(batch.is_full());
    }
}
