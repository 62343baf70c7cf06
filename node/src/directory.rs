//! The port to what the API reads and changes beside the devices' own state: tenants, device rows,
//! messages, the event log, consumer positions, what operators wish of placement.
//!
//! What must hold in every adapter: `business_id` is in every predicate; nothing here writes device
//! state (that needs a grant, see `roost_actors::port::DeviceStore`); a change of what the tenant
//! wants is one update of the ownership row.

use async_trait::async_trait;
use roost_actors::port::{DeviceStatus, ProxyUri, StoredMessage};
use roost_placement::ledger::{Desired, MemberState, Ownership, Unavailable};
use roost_placement::wish::{Pin, Spreading};
use roost_proto::api;
use roost_proto::id::{
    Age, BusinessId, ConsumerId, DeviceId, DeviceKey, Epoch, NodeId, Sequence, UnixMillis,
};

use crate::imported::ImportRows;
use crate::media::MediaRows;
use crate::polls::PollRows;
use crate::protocol::ProtocolRow;

/// A tenant row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub business_id: BusinessId,
    /// For people.
    pub display_name: String,
    /// When it was made.
    pub created: UnixMillis,
    /// How its devices lie on the ring.
    pub spread: Spreading,
}

/// A device row with its ownership.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Whose, and which.
    pub ownership: Ownership,
    /// For people.
    pub display_name: String,
    /// What the last owner said of it; `None` before any owner did.
    pub status: Option<DeviceStatus>,
    /// When it was made.
    pub created: UnixMillis,
    /// The proxy through which it connects; `None` for its node's own way.
    pub proxy: Option<ProxyUri>,
}

/// What is to be another at a device; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceChange {
    /// For people.
    pub display_name: Option<String>,
    /// Through which proxy it connects, `None` for its node's own way.
    pub proxy: Option<Option<ProxyUri>>,
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    /// Of which device.
    pub key: DeviceKey,
    /// Its place in that device's log.
    pub sequence: Sequence,
    /// Under which epoch it was written.
    pub epoch: Epoch,
    /// When it happened.
    pub occurred: UnixMillis,
    /// When it was committed, by the database's clock.
    pub committed: UnixMillis,
    /// Live, or from the backlog.
    pub origin: api::event::Origin,
    /// What happened.
    pub payload: api::event::Payload,
    /// In which age of the database it was written.
    pub age: Age,
}

/// Where the log of one device begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// Of which device.
    pub key: DeviceKey,
    /// Last sequence of earlier devices of the name; 0 when there was none.
    pub began: Sequence,
    /// First sequence that retention has kept; one more than `latest` when the log is empty.
    pub earliest: Sequence,
    /// Last sequence; 0 when nothing was ever written.
    pub latest: Sequence,
    /// Age of the event there; 0 when it is not kept.
    pub age: Age,
}

impl LogHead {
    /// Where a reader stands that has read nothing of what is kept.
    pub fn before(&self) -> Sequence {
        Sequence(self.earliest.0 - 1)
    }

    /// Where a reader stands that has read everything.
    pub fn end(&self) -> Sequence {
        self.latest.max(self.before())
    }
}

/// Why a row could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The id is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// The tenant of a new device does not exist.
    #[error("tenant {0} does not exist")]
    NoTenant(BusinessId),
    /// No answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Devices that are wanted online and that nobody living holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unowned {
    /// All of them.
    pub all: u64,
    /// Those that require a node which cannot take them now.
    pub unplaceable: u64,
}

/// Stanzas that are kept aside for one device; beyond, the oldest go. Strangers choose how much is put aside.
pub const ASIDE: u16 = 500;

/// Tenants, devices, messages, events, consumers, imports, files, polls, the protocol version.
#[async_trait]
pub trait Directory: ImportRows + MediaRows + PollRows + ProtocolRow {
    /// Makes a tenant.
    async fn create_tenant(&self, id: &BusinessId, display_name: &str) -> Result<Tenant, CreateError>;
    /// One tenant.
    async fn tenant(&self, id: &BusinessId) -> Result<Option<Tenant>, Unavailable>;
    /// Tenants in order of id, those after `after`.
    async fn tenants(&self, after: Option<&BusinessId>, limit: usize) -> Result<Vec<Tenant>, Unavailable>;

    /// Makes a device, wanted online, owned by nobody. An id that was deleted may be used again; its
    /// epoch goes on growing.
    async fn create_device(
        &self,
        key: &DeviceKey,
        display_name: &str,
        proxy: Option<&ProxyUri>,
    ) -> Result<Device, CreateError>;
    /// Changes what is told or set of a device. `None` when there is no such device.
    async fn update_device(
        &self,
        key: &DeviceKey,
        change: &DeviceChange,
    ) -> Result<Option<Device>, Unavailable>;
    /// One device; `None` when there is none or it is deleted.
    async fn device(&self, key: &DeviceKey) -> Result<Option<Device>, Unavailable>;
    /// Devices of one tenant, or of all, in order of key, those after `after`.
    async fn devices(
        &self,
        tenant: Option<&BusinessId>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Device>, Unavailable>;
    /// Changes what the tenant wants. `None` when there is no such device.
    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Option<Device>, Unavailable>;
    /// Deletes every row of a device but its ownership row, which becomes free and `Deleted` with a new
    /// epoch, all in one transaction. `false` when there is no such device.
    async fn delete_device(&self, key: &DeviceKey) -> Result<bool, Unavailable>;

    /// Pins a device to a node, or unpins it. `None` when there is no such device. Nothing moves by this.
    async fn pin(&self, key: &DeviceKey, pin: Option<&Pin>) -> Result<Option<Device>, Unavailable>;
    /// Changes how a tenant's devices lie on the ring. `None` when there is no such tenant.
    async fn spread(&self, tenant: &BusinessId, spread: Spreading) -> Result<Option<Tenant>, Unavailable>;
    /// State of a node's row, in its last life; `None` when there never was such a node.
    async fn node_state(&self, node: &NodeId) -> Result<Option<MemberState>, Unavailable>;
    /// Counts the devices that are wanted online and that nobody living holds.
    async fn unowned(&self) -> Result<Unowned, Unavailable>;
    /// Marks a node so that it takes nothing new, or takes the mark away. `false` when there never was
    /// such a node.
    async fn cordon(&self, node: &NodeId, cordoned: bool) -> Result<bool, Unavailable>;
    /// Stops all rebalancing, or lets it go on.
    async fn freeze(&self, frozen: bool) -> Result<(), Unavailable>;
    /// Sets the highest version that devices are given to while there are several; `None`: any.
    async fn limit_version(&self, highest: Option<u32>) -> Result<(), Unavailable>;

    /// One message by our id.
    async fn message(&self, key: &DeviceKey, message_id: &str) -> Result<Option<StoredMessage>, Unavailable>;
    /// The message that was accepted under a caller's request id.
    async fn requested(
        &self,
        key: &DeviceKey,
        request_id: &str,
    ) -> Result<Option<StoredMessage>, Unavailable>;

    /// Events of one device after a sequence, in order.
    async fn events(
        &self,
        key: &DeviceKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Unavailable>;
    /// Heads of the logs of a tenant's devices, or of one device, in order of key.
    async fn heads(
        &self,
        tenant: &BusinessId,
        device: Option<&DeviceId>,
    ) -> Result<Vec<LogHead>, Unavailable>;
    /// Removes events that were committed this long ago or longer, by the database's clock alone, at most `limit`, each
    /// log from its front and in a transaction of its own; moves `earliest` on. Returns how many.
    async fn expire_events(&self, retention: std::time::Duration, limit: usize)
    -> Result<usize, Unavailable>;
    /// Removes stanzas that were put aside this long ago or longer, at most `limit`. Returns how many. When that was, the
    /// node has said that put them aside: a wrong clock of its own concerns its own alone.
    async fn expire_quarantine(
        &self,
        retention: std::time::Duration,
        limit: usize,
    ) -> Result<usize, Unavailable>;

    /// Takes a consumer for one stream; a stream that is known to have ended, or whose `until` is over,
    /// loses it, and every stream does when the database may have lost a tail: what it has sent may not be in
    /// the log any more. `false` when another stream holds it.
    async fn hold_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: std::time::Duration,
    ) -> Result<bool, Unavailable>;
    /// Prolongs the hold. `false` when `holder` has lost it.
    async fn keep_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: std::time::Duration,
    ) -> Result<bool, Unavailable>;
    /// Gives it back, if `holder` has it.
    async fn drop_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
    ) -> Result<(), Unavailable>;
    /// Acknowledged position per device, in order of key.
    async fn positions(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
    ) -> Result<Vec<(DeviceKey, Sequence)>, Unavailable>;
    /// Moves positions on; a position never goes back. Only while `holder` has the consumer: `false`
    /// otherwise, and nothing is written.
    async fn acknowledge(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        positions: &[(DeviceKey, Sequence)],
    ) -> Result<bool, Unavailable>;
}
