//! Consumers: one for each tenant, which acknowledges what it was given, quickly or slowly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roost_proto::api::stream_events_request as up;
use roost_proto::api::stream_events_response::Message as Down;
use roost_proto::api::{Event, StreamEventsRequest};
use roost_proto::id::{BusinessId, ConsumerId, DeviceKey, Sequence};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::{Backend, Stage};
use crate::callers::Callers;
use crate::history::What;
use crate::run::{Record, tenant_id};

/// Before a stream that ended is opened again.
const AGAIN: Duration = Duration::from_millis(300);

/// A stream that says nothing for so long is given up: heartbeats come more often.
const SILENCE: Duration = Duration::from_secs(45);

pub(super) struct Consumer {
    callers: Arc<Callers>,
    record: Record,
    tenant: BusinessId,
    consumer: ConsumerId,
    slowness: Duration,
    stage: watch::Receiver<Stage>,
}

impl Consumer {
    pub(super) fn new(backend: &Backend, callers: Arc<Callers>, tenant: usize) -> Consumer {
        Consumer {
            callers,
            record: backend.record.clone(),
            tenant: tenant_id(tenant).parse().expect("a name of ours is an id"),
            consumer: "ledger".parse().expect("a name of ours is an id"),
            slowness: backend.plan.slowness,
            stage: backend.stage.subscribe(),
        }
    }

    pub(super) async fn run(self, nodes: usize) {
        for turn in 0.. {
            // Whatever ends a stream, another node may give the next.
            self.follow(turn % nodes).await;
            sleep(AGAIN).await;
        }
    }

    async fn follow(&self, node: usize) -> Option<()> {
        let (asks, asked) = mpsc::channel(16);
        let open = up::Message::Open(up::Open {
            parent: format!("tenants/{}", self.tenant),
            consumer: self.consumer.to_string(),
            max_outstanding: 100,
            start: up::Start::Earliest.into(),
        });
        asks.send(StreamEventsRequest { message: Some(open) }).await.ok()?;
        let mut client = self.callers.node(node).events();
        let opened = client.stream_events(ReceiverStream::new(asked));
        let mut stream = timeout(SILENCE, opened).await.ok()?.ok()?.into_inner();
        loop {
            let message = timeout(SILENCE, stream.message()).await.ok()?.ok()??.message?;
            match message {
                Down::Events(batch) => {
                    let positions = self.take(batch.events)?;
                    // Slowness is a fault too: it is over when faults are.
                    let quick = self.stage.clone();
                    let _ = timeout(self.slowness, until_hushed(quick)).await;
                    let ack = up::Message::Ack(up::Ack { positions });
                    asks.send(StreamEventsRequest { message: Some(ack) }).await.ok()?;
                }
                Down::Acked(acked) => {
                    for position in acked.positions {
                        let key: DeviceKey = position.device.parse().ok()?;
                        self.record.fact(What::Acknowledged {
                            tenant: self.tenant.clone(),
                            consumer: self.consumer.clone(),
                            key,
                            sequence: Sequence(position.sequence),
                        });
                    }
                }
                Down::GoingAway(_) => return None,
                Down::Opened(_) | Down::Heartbeat(_) => {}
            }
        }
    }

    /// Records what was offered and says up to where it goes.
    fn take(&self, events: Vec<Event>) -> Option<Vec<up::Position>> {
        let mut upto = BTreeMap::new();
        for event in events {
            let key: DeviceKey = event.device.parse().ok()?;
            self.record.fact(What::Offered {
                tenant: self.tenant.clone(),
                consumer: self.consumer.clone(),
                key,
                sequence: Sequence(event.sequence),
            });
            upto.insert(event.device, event.sequence);
        }
        Some(upto.into_iter().map(|(device, sequence)| up::Position { device, sequence }).collect())
    }
}

async fn until_hushed(mut stage: watch::Receiver<Stage>) {
    // The backend is gone when its stage is.
    let _ = stage.wait_for(|stage| *stage >= Stage::Hushed).await;
}
