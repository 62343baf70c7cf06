//! The chosen version of a run's database.

use async_trait::async_trait;
use roost_node::protocol::{Chosen, ProtocolRow};
use roost_placement::ledger::Unavailable;
use roost_proto::version::{Canary, ProtocolVersion};

use super::Database;

#[async_trait]
impl ProtocolRow for Database {
    async fn protocol(&self) -> Result<Chosen, Unavailable> {
        self.model.protocol().await
    }

    async fn choose_protocol(&self, stable: Option<ProtocolVersion>) -> Result<Chosen, Unavailable> {
        self.model.choose_protocol(stable).await
    }

    async fn try_protocol(&self, canary: Option<&Canary>) -> Result<Chosen, Unavailable> {
        self.model.try_protocol(canary).await
    }
}
