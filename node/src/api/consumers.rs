//! `EventService`, and of it `StreamEvents`: delivery to a named consumer from its acknowledged positions.
//!
//! What must hold: one stream at a time holds a consumer, and loses it when its hold is not renewed, or when the
//! database may have lost a tail: positions are what remains then, and the next stream begins there; an
//! acknowledgement is answered only when it is durable; what was not acknowledged is sent again by the
//! next stream; a heartbeat comes at least every 15 s; a node that drains says GoingAway and leaves time
//! for the last acknowledgements.

use std::time::Duration;

use roost_placement::seeded::{self, Bug};
use roost_proto::api;
use roost_proto::api::event_service_server::EventService;
use roost_proto::api::stream_events_request as up;
use roost_proto::api::stream_events_response as down;
use roost_proto::id::{BusinessId, ConsumerId, DeviceKey, Sequence};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::consumer::{AckRefused, Start, Window};
use super::cursor::Scope;
use super::reader::{Batch, TURN};
use super::reads::Reading;
use super::streams::{Answers, Sink, Until, drained, unread};
use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "EventService";
/// How long a hold lasts without renewal.
const HOLD: Duration = Duration::from_secs(15);
/// How long opening waits for the stream before it to let go.
const TAKE_OVER: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Between looks at the logs of other nodes' devices.
const POLL: Duration = Duration::from_millis(500);
/// After GoingAway, for the last acknowledgements.
const LEAVING: Duration = Duration::from_secs(3);
/// Positions in one acknowledgement.
const MOST_POSITIONS: usize = 10_000;

#[async_trait]
impl EventService for Api {
    type ReadEventsStream = Answers<api::ReadEventsResponse>;

    async fn read_events(
        &self,
        request: Request<api::ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        let named = method(SERVICE, "ReadEvents");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let scope = parse::scope("parent", &request.parent)?;
            call.may_name_scope(&scope)?;
            let reading = Reading::open(self, scope, &request).await?;
            let api = self.clone();
            Ok(move |sink| reading.run(api, sink))
        })
        .await
    }

    type StreamEventsStream = Answers<api::StreamEventsResponse>;

    async fn stream_events(
        &self,
        request: Request<Streaming<api::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let named = method(SERVICE, "StreamEvents");
        self.streaming(named, request, Until::Itself, |call, mut asked| async move {
            let first = asked.message().await.map_err(|status| unread("open", &status))?;
            let Some(up::Message::Open(open)) = first.and_then(|first| first.message) else {
                return Err(ApiError::field("open", "must be the first message of the stream"));
            };
            let tenant = parse::tenant("open.parent", &open.parent)?;
            let consumer = parse::consumer("open.consumer", &open.consumer)?;
            let limit = parse::max_outstanding("open.max_outstanding", open.max_outstanding)?;
            let start = match up::Start::try_from(open.start) {
                Ok(up::Start::Latest) => Start::Latest,
                Ok(up::Start::Earliest | up::Start::Unspecified) => Start::Earliest,
                Err(_) => return Err(ApiError::field("open.start", "has no such value")),
            };
            call.may_name(&tenant)?;
            let hold = Hold::take(self, tenant, consumer).await?;
            let delivery = Delivery::open(self, hold, limit, start).await?;
            Ok(move |sink| delivery.run(asked, sink))
        })
        .await
    }
}

/// A consumer that this stream holds. Renewed by a task of its own, so that a slow reader keeps it;
/// given back when dropped.
struct Hold {
    api: Api,
    tenant: BusinessId,
    consumer: ConsumerId,
    holder: String,
    lost: watch::Receiver<bool>,
    renewing: tokio::task::JoinHandle<()>,
}

impl Hold {
    async fn take(api: &Api, tenant: BusinessId, consumer: ConsumerId) -> Result<Hold, ApiError> {
        api.heads(&Scope::Tenant(tenant.clone())).await?;
        let holder = format!("{}/{}", api.parts().node, api.parts().outside.name());
        let until = Instant::now() + TAKE_OVER;
        while !api.directory().hold_consumer(&tenant, &consumer, &holder, HOLD).await? {
            if Instant::now() >= until {
                return Err(ApiError::ConsumerBusy { consumer, retry: HOLD / 3 });
            }
            tokio::time::sleep(TAKE_OVER / 5).await;
        }
        let (say, lost) = watch::channel(false);
        let renewing = tokio::spawn({
            let (api, tenant, consumer, holder) =
                (api.clone(), tenant.clone(), consumer.clone(), holder.clone());
            async move {
                loop {
                    tokio::time::sleep(HOLD / 3).await;
                    // A store that does not answer may still have the hold: only a no ends the stream.
                    let held = api.directory().keep_consumer(&tenant, &consumer, &holder, HOLD).await;
                    if matches!(held, Ok(false)) {
                        say.send_replace(true);
                        return;
                    }
                }
            }
        });
        Ok(Hold { api: api.clone(), tenant, consumer, holder, lost, renewing })
    }

    /// Asks whether this stream still holds the consumer.
    async fn renew(&self) -> Result<(), ApiError> {
        let directory = self.api.directory();
        if directory.keep_consumer(&self.tenant, &self.consumer, &self.holder, HOLD).await? {
            Ok(())
        } else {
            Err(self.busy())
        }
    }

    fn busy(&self) -> ApiError {
        ApiError::ConsumerBusy { consumer: self.consumer.clone(), retry: HOLD / 3 }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewing.abort();
        let directory = self.api.parts().directory.clone();
        let (tenant, consumer, holder) =
            (self.tenant.clone(), self.consumer.clone(), std::mem::take(&mut self.holder));
        tokio::spawn(async move {
            // If this fails, the hold runs out by itself.
            let _ = directory.drop_consumer(&tenant, &consumer, &holder).await;
        });
    }
}

/// One open stream.
struct Delivery {
    api: Api,
    hold: Hold,
    scope: Scope,
    window: Window,
    start: Start,
}

impl Delivery {
    async fn open(api: &Api, hold: Hold, limit: usize, start: Start) -> Result<Delivery, ApiError> {
        let acked = api.directory().positions(&hold.tenant, &hold.consumer).await?;
        // A consumer that knows some devices has been here before: what is new to it came meanwhile.
        let start = if acked.is_empty() { start } else { Start::Earliest };
        let scope = Scope::Tenant(hold.tenant.clone());
        let window = Window::new(limit, acked);
        let mut delivery = Delivery { api: api.clone(), hold, scope, window, start };
        delivery.look().await?;
        // Devices that appear from now on are read from their beginning.
        delivery.start = Start::Earliest;
        Ok(delivery)
    }

    async fn run(
        mut self,
        mut asked: Streaming<api::StreamEventsRequest>,
        sink: Sink<api::StreamEventsResponse>,
    ) -> Result<(), ApiError> {
        let mut committed = self.api.parts().commits.tenant(&self.hold.tenant);
        let mut lost = self.hold.lost.clone();
        let mut draining = self.api.parts().cluster.draining();
        let mut poll = interval(POLL);
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.reset();
        say(&sink, down::Message::Opened(down::Opened { lag: self.window.lag() })).await?;
        loop {
            self.deliver(&sink).await?;
            tokio::select! {
                // What ends the stream goes first; acknowledgements free the window for what is new.
                biased;
                _ = lost.changed() => return Err(self.hold.busy()),
                () = drained(&mut draining) => {
                    say(&sink, down::Message::GoingAway(down::GoingAway {})).await?;
                    return timeout(LEAVING, self.last_acks(&mut asked, &sink)).await.unwrap_or(Ok(()));
                }
                _ = heartbeat.tick() => {
                    say(&sink, down::Message::Heartbeat(down::Heartbeat { lag: self.window.lag() })).await?;
                }
                message = asked.message() => match message {
                    Ok(Some(message)) => self.answer(message, &sink).await?,
                    // The caller closed its side.
                    Ok(None) => return Ok(()),
                    Err(status) => return Err(unread("message", &status)),
                },
                () = committed.changed() => self.look().await?,
                _ = poll.tick() => self.look().await?,
            }
        }
    }

    /// Only acknowledgements, until the caller leaves.
    async fn last_acks(
        &mut self,
        asked: &mut Streaming<api::StreamEventsRequest>,
        sink: &Sink<api::StreamEventsResponse>,
    ) -> Result<(), ApiError> {
        while let Some(message) = asked.message().await.map_err(|status| unread("message", &status))? {
            self.answer(message, sink).await?;
        }
        Ok(())
    }

    /// Where the logs stand now.
    async fn look(&mut self) -> Result<(), ApiError> {
        let heads = self.api.directory().heads(self.scope.tenant(), None).await?;
        if self.window.is_beyond(&heads) {
            // The log has lost its end, which ends the hold.
            self.hold.renew().await?;
        }
        let new = self.window.heads(&heads, self.start);
        if !new.is_empty() {
            self.keep(&new).await?;
        }
        Ok(())
    }

    /// Sends what the window allows.
    async fn deliver(&mut self, sink: &Sink<api::StreamEventsResponse>) -> Result<(), ApiError> {
        let mut batch = Batch::default();
        while let Some((device_id, after, most)) = self.window.next(TURN) {
            let key = DeviceKey { business_id: self.hold.tenant.clone(), device_id };
            let events = self.api.directory().events(&key, after, most).await?;
            self.window.sent(&key.device_id, events.last().map(|event| event.sequence));
            if seeded::on(Bug::PositionFirst)
                && let Some(last) = events.last()
            {
                self.keep(&[(key.clone(), last.sequence)]).await?;
            }
            for event in events {
                if let Some(full) = batch.push(event) {
                    self.hand_over(full, sink).await?;
                }
            }
        }
        if !batch.is_empty() {
            self.hand_over(batch.take(), sink).await?;
        }
        Ok(())
    }

    async fn hand_over(
        &self,
        events: Vec<api::Event>,
        sink: &Sink<api::StreamEventsResponse>,
    ) -> Result<(), ApiError> {
        let sent = u64::try_from(events.len()).unwrap_or(u64::MAX);
        say(sink, down::Message::Events(down::EventBatch { events })).await?;
        self.api.parts().metrics.add("roost_event_deliveries_total", &[("result", "sent")], sent);
        Ok(())
    }

    async fn answer(
        &mut self,
        message: api::StreamEventsRequest,
        sink: &Sink<api::StreamEventsResponse>,
    ) -> Result<(), ApiError> {
        let Some(up::Message::Ack(ack)) = message.message else {
            return Err(ApiError::field("ack", "is all that may follow the first message"));
        };
        if ack.positions.len() > MOST_POSITIONS {
            return Err(ApiError::field("ack.positions", format!("must be at most {MOST_POSITIONS}")));
        }
        let mut positions = Vec::with_capacity(ack.positions.len());
        for (n, position) in ack.positions.iter().enumerate() {
            let field = format!("ack.positions[{n}]");
            let key = parse::device(&format!("{field}.device"), &position.device)?;
            let up_to = Sequence(position.sequence);
            if key.business_id != self.hold.tenant {
                return Err(ApiError::field(format!("{field}.device"), "is not of this consumer's tenant"));
            }
            match self.window.may_ack(&key.device_id, up_to) {
                Ok(()) => positions.push((key, up_to)),
                // Deleted meanwhile: nothing is left to acknowledge.
                Err(AckRefused::UnknownDevice) => {}
                Err(AckRefused::NotSent) => {
                    let why = "was not sent on this stream";
                    return Err(ApiError::field(format!("{field}.sequence"), why));
                }
            }
        }
        self.keep(&positions).await?;
        for (key, up_to) in &positions {
            self.window.acked(&key.device_id, *up_to);
        }
        say(sink, down::Message::Acked(down::Acked { positions: ack.positions })).await
    }

    /// Makes positions durable.
    async fn keep(&self, positions: &[(DeviceKey, Sequence)]) -> Result<(), ApiError> {
        let hold = &self.hold;
        let directory = self.api.directory();
        if directory.acknowledge(&hold.tenant, &hold.consumer, &hold.holder, positions).await? {
            Ok(())
        } else {
            Err(hold.busy())
        }
    }
}

async fn say(sink: &Sink<api::StreamEventsResponse>, message: down::Message) -> Result<(), ApiError> {
    sink.send(api::StreamEventsResponse { message: Some(message) }).await
}
