//! A consumer of the event log, as a careful backend has one: it goes on at its cursor, on any node.
//!
//! It keeps everything, so that a test can count what came twice. Meant for thousands of events, not millions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roost_proto::api::{Event, ReadEventsRequest, event, message_received};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Cluster, Failure};
use crate::callers::Callers;

/// Bound of everything that a cluster does by itself.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often what was read is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a reader of the event log saw, across all nodes and their deaths.
pub struct Reader {
    seen: Arc<Mutex<Vec<Event>>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Follows the log of a device or a tenant from its beginning; goes on at its cursor on the next node when a
    /// stream breaks.
    pub fn start(cluster: &Cluster, parent: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(follow(Arc::clone(&cluster.callers), parent.to_owned(), Arc::clone(&seen)));
        Self { seen, task }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each text was received: text to count. Copies of own sends count too.
    pub fn texts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.lock().iter() {
            if let Some(event::Payload::MessageReceived(message)) = &event.payload
                && let Some(message_received::Content::Text(text)) = &message.content
            {
                *counts.entry(text.clone()).or_default() += 1;
            }
        }
        counts
    }

    /// How many messages were received, repeated ones included.
    pub fn message_count(&self) -> usize {
        let is_message = |event: &&Event| matches!(event.payload, Some(event::Payload::MessageReceived(_)));
        self.lock().iter().filter(is_message).count()
    }

    /// Waits until this many messages were received.
    pub async fn messages(&self, count: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.message_count() < count {
            if Instant::now() > deadline {
                let seen = self.message_count();
                return Err(Failure::new(format!("{seen} of {count} messages are in the event log")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until all these texts were received.
    pub async fn received(&self, texts: &[String]) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counts = self.texts();
            let missing: Vec<&String> = texts.iter().filter(|text| !counts.contains_key(*text)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let last: Vec<String> =
                    self.lock().iter().rev().take(8).map(|event| format!("{:?}", event.payload)).collect();
                return Err(Failure::new(format!(
                    "not in the event log: {missing:?}; the last are\n{}",
                    last.join("\n")
                )));
            }
            sleep(LOOK).await;
        }
    }

    /// Every event so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// Waits for an event whose payload fits.
    pub async fn sees(&self, what: &str, fits: impl Fn(&event::Payload) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.lock().iter().filter_map(|event| event.payload.as_ref()).any(&fits) {
            if Instant::now() > deadline {
                let seen = self.events();
                let last: Vec<_> = seen.iter().rev().take(8).map(|event| &event.payload).collect();
                return Err(Failure::new(format!("{what} is not in the event log; the last are {last:?}")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits for an event of which `read` makes something: the first such, whether it was read before or is
    /// still to come.
    pub async fn wait<T>(
        &self,
        what: &str,
        read: impl Fn(&event::Payload) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.lock().iter().filter_map(|event| event.payload.as_ref()).find_map(&read);
            if let Some(found) = found {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let last: Vec<String> =
                    self.lock().iter().rev().take(8).map(|event| format!("{:?}", event.payload)).collect();
                return Err(Failure::new(format!(
                    "no {what} is in the event log; the last are\n{}",
                    last.join("\n")
                )));
            }
            sleep(LOOK).await;
        }
    }

    /// Ids of what was told more than once: messages, posts of status, and posts of newsletters as they became.
    pub fn repeated(&self) -> Vec<String> {
        let mut times: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for event in self.lock().iter() {
            let (kind, message, edited) = match &event.payload {
                Some(event::Payload::MessageReceived(message)) => ("message", Some(message), None),
                Some(event::Payload::StatusReceived(post)) => ("status", post.message.as_ref(), None),
                Some(event::Payload::NewsletterPosted(posted)) => {
                    let post = posted.post.as_ref();
                    let edited = post.and_then(|post| post.edit_time);
                    ("newsletter", post.and_then(|post| post.message.as_ref()), edited)
                }
                _ => continue,
            };
            if let Some(message) = message {
                let edited = edited.map(|at| format!(" {at:?}")).unwrap_or_default();
                *times.entry((kind, format!("{}{edited}", message.whatsapp_id))).or_default() += 1;
            }
        }
        times
            .into_iter()
            .filter(|(_, times)| *times > 1)
            .map(|((kind, id), _)| format!("{kind} {id}"))
            .collect()
    }

    /// What is wrong with the log of one device: gaps, repeated numbers, falling epochs.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (mut sequence, mut epoch) = (0, 0);
        for event in self.lock().iter() {
            if event.sequence != sequence + 1 {
                faults.push(format!("event {} follows event {sequence}", event.sequence));
            }
            if event.owner_epoch < epoch {
                faults
                    .push(format!("event {} has epoch {} after {epoch}", event.sequence, event.owner_epoch));
            }
            (sequence, epoch) = (event.sequence, event.owner_epoch);
        }
        faults
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(callers: Arc<Callers>, parent: String, seen: Arc<Mutex<Vec<Event>>>) {
    let mut cursor = String::new();
    loop {
        let from =
            ReadEventsRequest { parent: parent.clone(), cursor: cursor.clone(), follow: true, limit: 0 };
        if let Ok(answer) = callers.any().events().read_events(from).await {
            let mut stream = answer.into_inner();
            while let Ok(Some(batch)) = stream.message().await {
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.events);
                cursor = batch.cursor;
            }
        }
        sleep(LOOK).await;
    }
}
