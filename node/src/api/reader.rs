//! Reading the event log in bounded pieces: what both kinds of event streams share.
//!
//! What must hold: an answer stays well below the 4 MiB that gRPC clients accept by default, unless a
//! single event is larger than that.

use super::convert;
use crate::directory::LoggedEvent;
use roost_proto::api;

/// Events that are read from one device at a time, so that devices take turns.
pub(super) const TURN: usize = 100;
/// Events in one answer.
const MOST_EVENTS: usize = 500;
/// Bytes in one answer.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that an event may have beside what it says.
const BESIDE: usize = 512;

/// The events of one answer.
#[derive(Default)]
pub(super) struct Batch {
    events: Vec<api::Event>,
    bytes: usize,
}

impl Batch {
    /// Adds an event. Returns the events before it, which are an answer, if it does not go into that.
    #[must_use]
    pub(super) fn push(&mut self, event: LoggedEvent) -> Option<Vec<api::Event>> {
        let bytes = event.payload.encoded_len() + BESIDE;
        let full = self.events.len() >= MOST_EVENTS || self.bytes + bytes > MOST_BYTES;
        let before = (full && !self.events.is_empty()).then(|| self.take());
        self.bytes += bytes;
        self.events.push(convert::event(event));
        before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Takes the events out; the batch is empty afterwards.
    pub(super) fn take(&mut self) -> Vec<api::Event> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::api::event::Payload;
    use roost_proto::id::{Age, Epoch, Sequence, UnixMillis};
    use roost_proto::prost::Message as _;

    use super::*;

    fn event(payload: Payload) -> LoggedEvent {
        LoggedEvent {
            key: "tenants/acme/devices/shop".parse().expect("well formed"),
            sequence: Sequence(1),
            epoch: Epoch(1),
            occurred: UnixMillis(0),
            committed: UnixMillis(0),
            origin: api::event::Origin::Live,
            payload,
            age: Age::default(),
        }
    }

    fn message(text: String) -> Payload {
        let content = Some(api::message_received::Content::Text(text));
        Payload::MessageReceived(api::MessageReceived { content, ..Default::default() })
    }

    #[test]
    fn an_answer_has_no_more_events_than_it_may() {
        let mut batch = Batch::default();
        for _ in 0..MOST_EVENTS {
            assert_eq!(batch.push(event(message(String::new()))), None);
        }
        let before = batch.push(event(message(String::new())));
        assert_eq!(before.map(|events| events.len()), Some(MOST_EVENTS));
        assert_eq!(batch.take().len(), 1);
        assert!(batch.is_empty());
    }

    #[test]
    fn an_answer_is_no_larger_than_it_may_be_whatever_kind_of_events_it_has() {
        let name = || ("1@lid".to_owned(), "x".repeat(400_000));
        let chunk = || api::HistoryChunk { push_names: [name()].into(), ..Default::default() };
        let mut batch = Batch::default();
        let mut answers: Vec<Vec<api::Event>> =
            (0..5).filter_map(|_| batch.push(event(Payload::HistoryChunk(chunk())))).collect();
        answers.push(batch.take());
        let counts: Vec<usize> = answers.iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 2, 1]);
        for events in answers {
            assert!(api::ReadEventsResponse { events, cursor: String::new() }.encoded_len() <= MOST_BYTES);
        }
    }
}
