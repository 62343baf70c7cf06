//! Senders: devices write to each other and to a friend, and phones write to devices.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_node::client::Client;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::{Recipient, SendMessageRequest, recipient};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Backend, Speaker, Stage};
use crate::callers::{Callers, within};
use crate::history::{What, short_digest};
use crate::run::Record;
use crate::wa::{Pn, SimServer};

/// How long one message may take to be accepted, whatever happens to the cluster meanwhile.
const ACCEPT: Duration = Duration::from_secs(60);

/// Limit of one try.
const TRY: Duration = Duration::from_secs(8);

pub(super) struct Sender {
    callers: Arc<Callers>,
    sim: Arc<SimServer>,
    record: Record,
    speakers: Arc<[Speaker]>,
    friend: Pn,
    number: usize,
    pause: Duration,
    rng: StdRng,
}

impl Sender {
    pub(super) fn new(
        backend: &Backend,
        callers: Arc<Callers>,
        speakers: Arc<[Speaker]>,
        friend: Pn,
        number: usize,
        seed: u64,
    ) -> Sender {
        Sender {
            callers,
            sim: backend.sim.clone(),
            record: backend.record.clone(),
            speakers,
            friend,
            number,
            pause: backend.plan.pause,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) async fn run(mut self, mut stage: watch::Receiver<Stage>) {
        for count in 0.. {
            let pause = self.pause.mul_f64(self.rng.random());
            let hushed = stage.wait_for(|stage| *stage >= Stage::Hushed);
            if timeout(pause, hushed).await.is_ok() {
                return;
            }
            let text = format!("message {count} of sender {}", self.number);
            if self.rng.random_bool(0.4) {
                self.phone_says(&text);
            } else {
                self.say(&text).await;
            }
        }
    }

    fn pick(&mut self) -> Speaker {
        self.speakers[self.rng.random_range(0..self.speakers.len())].clone()
    }

    /// The friend writes to a device; it cannot fail, because nothing of ours takes part yet.
    fn phone_says(&mut self, text: &str) {
        let to = self.pick();
        self.sim.phone_sends(self.friend, &to.pn.to_string(), text).expect("both accounts exist");
    }

    /// A device writes to the friend or to another device.
    async fn say(&mut self, text: &str) {
        let from = self.pick();
        let to = self.pick();
        let to = if to.pn == from.pn || self.rng.random() { self.friend } else { to.pn };
        let (key, tenant) = (from.key.clone(), from.key.business_id.clone());
        let request = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string();
        let content = short_digest(text.as_bytes());
        let asked =
            What::Asked { tenant: tenant.clone(), key: key.clone(), request: request.clone(), content };
        self.record.fact(asked);
        let message = SendMessageRequest {
            parent: key.to_string(),
            to: Some(Recipient { to: Some(recipient::To::PhoneNumber(to.to_string())) }),
            content: Some(Content::Text(text.to_owned())),
            request_id: request.clone(),
            wait_for: WaitFor::Accepted.into(),
            ..Default::default()
        };
        let send = |client: Client| {
            let message = within(message.clone(), TRY);
            async move { client.messages().send_message(message).await }
        };
        match self.callers.call(ACCEPT, send).await {
            Ok(accepted) => {
                let message = accepted.into_inner().whatsapp_id;
                self.record.fact(What::Accepted { tenant, key, request, message });
            }
            Err(status) => {
                self.record.fact(What::Refused { request, why: status.code().description() });
                // Whoever is refused waits a little.
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
