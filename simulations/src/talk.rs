//! Conversations: devices that send each other numbered texts through the gRPC API, and readers that
//! follow the event logs, both writing into one tally.
//!
//! What must hold: a text is counted as sent when, and only when, the API has accepted it; a call whose
//! outcome is unknown is repeated under the same request id until it is known. The readers resume from
//! the last cursor on another node when a stream breaks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roost_node::client::Client;
use roost_proto::api::{ReadEventsRequest, Recipient, SendMessageRequest, recipient, send_message_request};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::callers::{Callers, within};
use crate::tally::Tally;

/// A paired device that takes part.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Its resource name.
    pub device: String,
    /// Its phone number, digits only.
    pub phone_number: String,
}

/// The tally that senders and readers share.
#[derive(Debug, Clone, Default)]
pub struct Books(Arc<Mutex<Tally>>);

impl Books {
    /// Looks at, or writes into, the tally.
    pub fn with<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long one message may take to be accepted, whatever happens to the cluster meanwhile.
const ACCEPT_LIMIT: Duration = Duration::from_secs(60);

/// Conversations in progress. Dropping it ends them without waiting.
#[derive(Debug)]
pub struct Talk {
    senders: JoinSet<Vec<String>>,
    readers: JoinSet<()>,
    enough: watch::Sender<bool>,
}

impl Talk {
    /// Starts `senders` tasks that pick pairs of speakers in a fixed pattern, each with `pause` between
    /// its messages, and one reader for each tenant.
    pub fn start(
        callers: &Arc<Callers>,
        books: &Books,
        speakers: &[Speaker],
        tenants: &[String],
        senders: usize,
        pause: Duration,
    ) -> Talk {
        let (enough, stop) = watch::channel(false);
        let speakers: Arc<[Speaker]> = speakers.into();
        let mut talk = Talk { senders: JoinSet::new(), readers: JoinSet::new(), enough };
        for place in 0..senders {
            let sender = Sender {
                callers: callers.clone(),
                books: books.clone(),
                speakers: speakers.clone(),
                place,
                step: senders,
            };
            talk.senders.spawn(sender.run(pause, stop.clone()));
        }
        for tenant in tenants {
            talk.readers.spawn(follow(callers.clone(), books.clone(), tenant.clone()));
        }
        talk
    }

    /// Ends the senders after the messages that they are sending. Returns what was refused, in words.
    pub async fn hush(&mut self) -> Vec<String> {
        self.enough.send_replace(true);
        let mut refused = Vec::new();
        while let Some(ended) = self.senders.join_next().await {
            refused.extend(ended.unwrap_or_else(|error| vec![format!("a sender ended: {error}")]));
        }
        refused
    }

    /// Waits until everything that was accepted has arrived, or `limit` is over. Says which.
    pub async fn all_arrived(&self, books: &Books, limit: Duration) -> bool {
        let arrived = async {
            while books.with(|tally| tally.missing()) > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(limit, arrived).await.is_ok()
    }
}

struct Sender {
    callers: Arc<Callers>,
    books: Books,
    speakers: Arc<[Speaker]>,
    place: usize,
    step: usize,
}

impl Sender {
    async fn run(self, pause: Duration, mut stop: watch::Receiver<bool>) -> Vec<String> {
        let mut refused = Vec::new();
        for count in 0.. {
            if *stop.borrow() {
                break;
            }
            if let Err(status) = self.say(count).await {
                refused.push(format!("{:?}: {}", status.code(), status.message()));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => {}
            }
        }
        refused
    }

    /// Sends the `count`-th message of this sender. Each sender walks over the speakers with a stride of
    /// its own, so that everybody talks to several others.
    async fn say(&self, count: usize) -> Result<(), tonic::Status> {
        let number = count * self.step + self.place;
        let all = self.speakers.len();
        let from = &self.speakers[number % all];
        let distance = 1 + (number / all + self.place) % (all - 1);
        let to = &self.speakers[(number + distance) % all];
        let text = format!("message {number} from {}", from.device);
        let request = SendMessageRequest {
            parent: from.device.clone(),
            to: Some(Recipient { to: Some(recipient::To::PhoneNumber(to.phone_number.clone())) }),
            content: Some(send_message_request::Content::Text(text.clone())),
            request_id: Uuid::new_v4().to_string(),
            wait_for: send_message_request::WaitFor::Accepted.into(),
            ..Default::default()
        };
        let send = |client: Client| {
            let request = within(request.clone(), Duration::from_secs(10));
            async move { client.messages().send_message(request).await }
        };
        let accepted = self.callers.call(ACCEPT_LIMIT, send).await?.into_inner();
        let conversation = format!("{} {} {}", self.place, from.device, to.device);
        self.books.with(|tally| tally.said(&conversation, &text, &to.device, &accepted.whatsapp_id));
        Ok(())
    }
}

/// Follows the log of one tenant for ever, on whichever node answers.
async fn follow(callers: Arc<Callers>, books: Books, tenant: String) {
    let mut cursor = String::new();
    loop {
        let request =
            ReadEventsRequest { parent: tenant.clone(), cursor: cursor.clone(), follow: true, limit: 0 };
        match read(&callers, &books, request, &mut cursor).await {
            // The log does not reach to this cursor any more: from the beginning of what there is.
            Err(status) if status.code() == tonic::Code::OutOfRange => cursor.clear(),
            Ok(()) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads the logs of these tenants from their beginning to their end, against what the books say was sent.
pub async fn read_all(callers: &Callers, books: &Books, tenants: &[String]) -> Result<Tally, tonic::Status> {
    let fresh = Books(Arc::new(Mutex::new(books.with(|tally| tally.unread()))));
    for tenant in tenants {
        let mut cursor = String::new();
        let end = tokio::time::Instant::now() + ACCEPT_LIMIT;
        loop {
            let request =
                ReadEventsRequest { parent: tenant.clone(), cursor: cursor.clone(), ..Default::default() };
            match read(callers, &fresh, request, &mut cursor).await {
                Ok(()) => break,
                Err(status) if tokio::time::Instant::now() > end => return Err(status),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    Ok(fresh.with(std::mem::take))
}

async fn read(
    callers: &Callers,
    books: &Books,
    request: ReadEventsRequest,
    cursor: &mut String,
) -> Result<(), tonic::Status> {
    let mut stream = callers.any().events().read_events(request).await?.into_inner();
    while let Some(batch) = stream.message().await? {
        let now = std::time::Instant::now();
        books.with(|tally| batch.events.iter().for_each(|event| tally.read(event, now)));
        *cursor = batch.cursor;
    }
    Ok(())
}
