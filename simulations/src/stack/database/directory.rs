//! The API's port of a link.

use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{ProxyUri, StoredMessage};
use roost_node::directory::{
    CreateError, Device, DeviceChange, Directory, LogHead, LoggedEvent, Tenant, Unowned,
};
use roost_placement::ledger::{Desired, MemberState, Unavailable};
use roost_placement::wish::{Pin, Spreading};
use roost_proto::id::{BusinessId, ConsumerId, DeviceId, DeviceKey, NodeId, Sequence};

use super::Link;

#[async_trait]
impl Directory for Link {
    async fn create_tenant(&self, id: &BusinessId, display_name: &str) -> Result<Tenant, CreateError> {
        self.read(self.database.create_tenant(id, display_name)).await
    }

    async fn tenant(&self, id: &BusinessId) -> Result<Option<Tenant>, Unavailable> {
        self.read(self.database.tenant(id)).await
    }

    async fn tenants(&self, after: Option<&BusinessId>, limit: usize) -> Result<Vec<Tenant>, Unavailable> {
        self.read(self.database.tenants(after, limit)).await
    }

    async fn create_device(
        &self,
        key: &DeviceKey,
        display_name: &str,
        proxy: Option<&ProxyUri>,
    ) -> Result<Device, CreateError> {
        self.read(self.database.create_device(key, display_name, proxy)).await
    }

    async fn update_device(
        &self,
        key: &DeviceKey,
        change: &DeviceChange,
    ) -> Result<Option<Device>, Unavailable> {
        self.read(self.database.update_device(key, change)).await
    }

    async fn device(&self, key: &DeviceKey) -> Result<Option<Device>, Unavailable> {
        self.read(self.database.device(key)).await
    }

    async fn devices(
        &self,
        tenant: Option<&BusinessId>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Device>, Unavailable> {
        self.read(self.database.devices(tenant, after, limit)).await
    }

    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Option<Device>, Unavailable> {
        self.read(self.database.desire(key, desired)).await
    }

    async fn delete_device(&self, key: &DeviceKey) -> Result<bool, Unavailable> {
        self.read(self.database.delete_device(key)).await
    }

    async fn pin(&self, key: &DeviceKey, pin: Option<&Pin>) -> Result<Option<Device>, Unavailable> {
        self.read(self.database.pin(key, pin)).await
    }

    async fn spread(&self, tenant: &BusinessId, spread: Spreading) -> Result<Option<Tenant>, Unavailable> {
        self.read(self.database.spread(tenant, spread)).await
    }

    async fn node_state(&self, node: &NodeId) -> Result<Option<MemberState>, Unavailable> {
        self.read(self.database.node_state(node)).await
    }

    async fn unowned(&self) -> Result<Unowned, Unavailable> {
        self.read(self.database.unowned()).await
    }

    async fn cordon(&self, node: &NodeId, cordoned: bool) -> Result<bool, Unavailable> {
        self.read(self.database.cordon(node, cordoned)).await
    }

    async fn freeze(&self, frozen: bool) -> Result<(), Unavailable> {
        self.read(self.database.freeze(frozen)).await
    }

    async fn limit_version(&self, highest: Option<u32>) -> Result<(), Unavailable> {
        self.read(self.database.limit_version(highest)).await
    }

    async fn message(&self, key: &DeviceKey, message_id: &str) -> Result<Option<StoredMessage>, Unavailable> {
        self.read(self.database.message(key, message_id)).await
    }

    async fn requested(
        &self,
        key: &DeviceKey,
        request_id: &str,
    ) -> Result<Option<StoredMessage>, Unavailable> {
        self.read(self.database.requested(key, request_id)).await
    }

    async fn events(
        &self,
        key: &DeviceKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Unavailable> {
        self.read(self.database.events(key, after, limit)).await
    }

    async fn heads(
        &self,
        tenant: &BusinessId,
        device: Option<&DeviceId>,
    ) -> Result<Vec<LogHead>, Unavailable> {
        self.read(self.database.heads(tenant, device)).await
    }

    async fn expire_events(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.read(self.database.expire_events(retention, limit)).await
    }

    async fn expire_quarantine(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.read(self.database.expire_quarantine(retention, limit)).await
    }

    async fn hold_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.read(self.database.hold_consumer(tenant, consumer, holder, lasting)).await
    }

    async fn keep_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.read(self.database.keep_consumer(tenant, consumer, holder, lasting)).await
    }

    async fn drop_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
    ) -> Result<(), Unavailable> {
        self.read(self.database.drop_consumer(tenant, consumer, holder)).await
    }

    async fn positions(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
    ) -> Result<Vec<(DeviceKey, Sequence)>, Unavailable> {
        self.read(self.database.positions(tenant, consumer)).await
    }

    async fn acknowledge(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        positions: &[(DeviceKey, Sequence)],
    ) -> Result<bool, Unavailable> {
        self.read(self.database.acknowledge(tenant, consumer, holder, positions)).await
    }
}
