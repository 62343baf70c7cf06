//! The chosen version of WhatsApp Web, in the model.

use async_trait::async_trait;
use roost_node::protocol::{Chosen, ProtocolRow};
use roost_placement::ledger::Unavailable;
use roost_proto::id::UnixMillis;
use roost_proto::version::{Canary, ProtocolVersion};

use super::Model;

#[async_trait]
impl ProtocolRow for Model {
    async fn protocol(&self) -> Result<Chosen, Unavailable> {
        self.step(|tables, _| tables.protocol.clone())
    }

    async fn choose_protocol(&self, stable: Option<ProtocolVersion>) -> Result<Chosen, Unavailable> {
        self.step(|tables, now| {
            tables.protocol.rollout.stable = stable;
            tables.protocol.rollout.canary = None;
            tables.protocol.changed = Some(UnixMillis(now));
            tables.view_epoch += 1;
            tables.protocol.clone()
        })
    }

    async fn try_protocol(&self, canary: Option<&Canary>) -> Result<Chosen, Unavailable> {
        self.step(|tables, now| {
            tables.protocol.rollout.canary = canary.cloned();
            tables.protocol.changed = Some(UnixMillis(now));
            tables.view_epoch += 1;
            tables.protocol.clone()
        })
    }
}
