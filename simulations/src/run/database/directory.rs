//! The API's port of a run's database.

use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{ProxyUri, StoredMessage};
use roost_node::directory::{
    CreateError, Device, DeviceChange, Directory, LogHead, LoggedEvent, Tenant, Unowned,
};
use roost_placement::ledger::{Desired, MemberState, Unavailable};
use roost_placement::wish::{Pin, PinMode, Spreading};
use roost_proto::id::{BusinessId, ConsumerId, DeviceId, DeviceKey, NodeId, Sequence};

use super::Database;
use crate::history::What;

#[async_trait]
impl Directory for Database {
    async fn create_tenant(&self, id: &BusinessId, display_name: &str) -> Result<Tenant, CreateError> {
        self.model.create_tenant(id, display_name).await
    }

    async fn tenant(&self, id: &BusinessId) -> Result<Option<Tenant>, Unavailable> {
        self.model.tenant(id).await
    }

    async fn tenants(&self, after: Option<&BusinessId>, limit: usize) -> Result<Vec<Tenant>, Unavailable> {
        self.model.tenants(after, limit).await
    }

    async fn create_device(
        &self,
        key: &DeviceKey,
        display_name: &str,
        proxy: Option<&ProxyUri>,
    ) -> Result<Device, CreateError> {
        let device = self.model.create_device(key, display_name, proxy).await?;
        self.record.fact(What::Desired { key: key.clone(), desired: Desired::Online });
        Ok(device)
    }

    async fn update_device(
        &self,
        key: &DeviceKey,
        change: &DeviceChange,
    ) -> Result<Option<Device>, Unavailable> {
        self.model.update_device(key, change).await
    }

    async fn device(&self, key: &DeviceKey) -> Result<Option<Device>, Unavailable> {
        self.model.device(key).await
    }

    async fn devices(
        &self,
        tenant: Option<&BusinessId>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Device>, Unavailable> {
        self.model.devices(tenant, after, limit).await
    }

    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Option<Device>, Unavailable> {
        let device = self.model.desire(key, desired).await?;
        if device.is_some() {
            self.record.fact(What::Desired { key: key.clone(), desired });
        }
        Ok(device)
    }

    async fn delete_device(&self, key: &DeviceKey) -> Result<bool, Unavailable> {
        self.model.delete_device(key).await
    }

    async fn pin(&self, key: &DeviceKey, pin: Option<&Pin>) -> Result<Option<Device>, Unavailable> {
        let device = self.model.pin(key, pin).await?;
        if device.is_some() {
            let required = pin.filter(|pin| pin.mode == PinMode::Require);
            let (key, node) = (key.clone(), required.map(|pin| pin.node.clone()));
            self.record.fact(What::Required { key, node });
        }
        Ok(device)
    }

    async fn spread(&self, tenant: &BusinessId, spread: Spreading) -> Result<Option<Tenant>, Unavailable> {
        self.model.spread(tenant, spread).await
    }

    async fn node_state(&self, node: &NodeId) -> Result<Option<MemberState>, Unavailable> {
        self.model.node_state(node).await
    }

    async fn unowned(&self) -> Result<Unowned, Unavailable> {
        self.model.unowned().await
    }

    async fn cordon(&self, node: &NodeId, cordoned: bool) -> Result<bool, Unavailable> {
        self.model.cordon(node, cordoned).await
    }

    async fn freeze(&self, frozen: bool) -> Result<(), Unavailable> {
        self.model.freeze(frozen).await
    }

    async fn limit_version(&self, highest: Option<u32>) -> Result<(), Unavailable> {
        self.model.limit_version(highest).await
    }

    async fn message(&self, key: &DeviceKey, message_id: &str) -> Result<Option<StoredMessage>, Unavailable> {
        self.model.message(key, message_id).await
    }

    async fn requested(
        &self,
        key: &DeviceKey,
        request_id: &str,
    ) -> Result<Option<StoredMessage>, Unavailable> {
        self.model.requested(key, request_id).await
    }

    async fn events(
        &self,
        key: &DeviceKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Unavailable> {
        self.model.events(key, after, limit).await
    }

    async fn heads(
        &self,
        tenant: &BusinessId,
        device: Option<&DeviceId>,
    ) -> Result<Vec<LogHead>, Unavailable> {
        self.model.heads(tenant, device).await
    }

    async fn expire_events(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.model.expire_events(retention, limit).await
    }

    async fn expire_quarantine(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.model.expire_quarantine(retention, limit).await
    }

    async fn hold_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.model.hold_consumer(tenant, consumer, holder, lasting).await
    }

    async fn keep_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.model.keep_consumer(tenant, consumer, holder, lasting).await
    }

    async fn drop_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
    ) -> Result<(), Unavailable> {
        self.model.drop_consumer(tenant, consumer, holder).await
    }

    async fn positions(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
    ) -> Result<Vec<(DeviceKey, Sequence)>, Unavailable> {
        self.model.positions(tenant, consumer).await
    }

    async fn acknowledge(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        positions: &[(DeviceKey, Sequence)],
    ) -> Result<bool, Unavailable> {
        self.model.acknowledge(tenant, consumer, holder, positions).await
    }
}
