//! Consumers that acknowledge: one for each tenant, reopened on another node whenever its stream ends.
//!
//! What must hold: an event is acknowledged only after it was taken; per device a stream hands out events
//! without a gap, beginning no later than behind the last position whose acknowledgement was confirmed. An
//! event that comes again although its acknowledgement was confirmed is counted: the promise is "at least
//! once", yet a confirmed position is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roost_proto::api::stream_events_request::{Ack, Message, Open, Position};
use roost_proto::api::{StreamEventsRequest, stream_events_response};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::callers::Callers;

/// How long a stream may be silent: it says something at least every 15 s.
const SILENCE: Duration = Duration::from_secs(20);

/// Between the end of a stream and the next attempt.
const AGAIN: Duration = Duration::from_millis(200);

/// What the consumers of a run have seen.
#[derive(Debug, Clone, Default)]
pub struct Consumed {
    /// Events that were taken, repetitions included.
    pub taken: u64,
    /// Streams that were opened.
    pub streams: u64,
    /// Events that came again after their acknowledgement was confirmed.
    pub again: u64,
    /// Broken promises, in words.
    pub faults: Vec<String>,
    taken_to: BTreeMap<String, i64>,
    confirmed: BTreeMap<String, i64>,
}

impl Consumed {
    /// An event was taken; `before` is the one that this stream gave of the same device before.
    fn take(&mut self, device: &str, sequence: i64, before: Option<i64>) {
        self.taken += 1;
        if sequence <= self.confirmed.get(device).copied().unwrap_or(0) {
            self.again += 1;
        }
        let head = self.taken_to.entry(device.to_owned()).or_default();
        // A stream begins anywhere behind what is confirmed; what it gives after that has no gap.
        if before.map_or(sequence > *head + 1, |before| sequence != before + 1) {
            let before = before.unwrap_or(*head);
            self.faults.push(format!("{device}: a consumer was given {sequence} after {before}"));
        }
        *head = sequence.max(*head);
    }

    /// Whether everything up to here was taken.
    pub fn has_taken(&self, device: &str, sequence: i64) -> bool {
        self.taken_to.get(device).copied().unwrap_or(0) >= sequence
    }
}

/// Running consumers. They end with the value.
#[derive(Debug)]
pub struct Consumers {
    books: Arc<Mutex<Consumed>>,
    _tasks: JoinSet<()>,
}

impl Consumers {
    /// One for each tenant.
    pub fn start(callers: &Arc<Callers>, tenants: &[String]) -> Consumers {
        let books = Arc::new(Mutex::new(Consumed::default()));
        let mut tasks = JoinSet::new();
        for tenant in tenants {
            let (callers, books, tenant) = (callers.clone(), books.clone(), tenant.clone());
            tasks.spawn(async move {
                loop {
                    // However it ended, the next node gives the rest.
                    let _ = follow(&callers, &books, &tenant).await;
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        Consumers { books, _tasks: tasks }
    }

    /// What they have seen so far.
    pub fn seen(&self) -> Consumed {
        lock(&self.books).clone()
    }
}

fn lock(books: &Mutex<Consumed>) -> std::sync::MutexGuard<'_, Consumed> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(callers: &Callers, books: &Mutex<Consumed>, tenant: &str) -> Result<(), tonic::Status> {
    let (say, said) = mpsc::channel(16);
    let request = |message| StreamEventsRequest { message: Some(message) };
    let open = Open { parent: tenant.to_owned(), consumer: "chaos".to_owned(), ..Open::default() };
    let gone = |_| tonic::Status::unavailable("the stream has ended");
    say.send(request(Message::Open(open))).await.map_err(gone)?;
    let requests = futures_util::stream::unfold(said, |mut said| async { Some((said.recv().await?, said)) });
    let mut events = callers.any().events();
    let silent = |_| tonic::Status::deadline_exceeded("the stream says nothing");
    let opened = tokio::time::timeout(SILENCE, events.stream_events(requests)).await.map_err(silent)?;
    let mut stream = opened?.into_inner();
    let mut heads = BTreeMap::new();
    while let Some(answer) = tokio::time::timeout(SILENCE, stream.message()).await.map_err(silent)?? {
        match answer.message {
            Some(stream_events_response::Message::Opened(_)) => {
                lock(books).streams += 1;
            }
            Some(stream_events_response::Message::Events(batch)) => {
                let devices: BTreeSet<&String> = batch.events.iter().map(|event| &event.device).collect();
                {
                    let mut books = lock(books);
                    for event in &batch.events {
                        let before = heads.insert(event.device.clone(), event.sequence);
                        books.take(&event.device, event.sequence, before);
                    }
                }
                let position = |device: &String| Position { device: device.clone(), sequence: heads[device] };
                let ack = Ack { positions: devices.into_iter().map(position).collect() };
                say.send(request(Message::Ack(ack))).await.map_err(gone)?;
            }
            Some(stream_events_response::Message::Acked(acked)) => {
                let mut books = lock(books);
                for Position { device, sequence } in acked.positions {
                    let confirmed = books.confirmed.entry(device).or_default();
                    *confirmed = sequence.max(*confirmed);
                }
            }
            Some(stream_events_response::Message::GoingAway(_)) => return Ok(()),
            Some(stream_events_response::Message::Heartbeat(_)) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stream_may_repeat_what_was_not_confirmed_and_leaves_nothing_out() {
        let mut books = Consumed::default();
        books.take("d", 1, None);
        books.take("d", 2, Some(1));
        books.take("d", 2, None);
        books.take("d", 3, Some(2));
        assert_eq!((books.faults.len(), books.again, books.taken), (0, 0, 4));
        books.take("d", 5, None);
        books.take("d", 7, Some(5));
        assert_eq!(books.faults.len(), 2, "{books:?}");
    }

    #[test]
    fn what_was_confirmed_must_not_come_again() {
        let mut books = Consumed::default();
        books.take("d", 1, None);
        books.confirmed.insert("d".to_owned(), 1);
        books.take("d", 1, None);
        assert_eq!((books.again, books.has_taken("d", 1), books.has_taken("d", 2)), (1, true, false));
    }
}
