//! The chosen version over a link.

use async_trait::async_trait;
use roost_node::protocol::{Chosen, ProtocolRow};
use roost_placement::ledger::Unavailable;
use roost_proto::version::{Canary, ProtocolVersion};

use super::Link;

#[async_trait]
impl ProtocolRow for Link {
    async fn protocol(&self) -> Result<Chosen, Unavailable> {
        self.read(self.database.protocol()).await
    }

    async fn choose_protocol(&self, stable: Option<ProtocolVersion>) -> Result<Chosen, Unavailable> {
        self.read(self.database.choose_protocol(stable)).await
    }

    async fn try_protocol(&self, canary: Option<&Canary>) -> Result<Chosen, Unavailable> {
        self.read(self.database.try_protocol(canary)).await
    }
}
