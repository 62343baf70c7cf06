//! The port to what is kept of imports: which devices of other libraries have become ours.
//!
//! What must hold in every adapter: a device is imported as one device of the whole cluster and no second time, whoever asks
//! and also when that one is deleted; nobody is told whose it became. What has become nothing is noted as nothing.

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

/// What is kept of imports.
#[async_trait]
pub trait ImportRows: Send + Sync + 'static {
    /// Notes that what has this identity key (SHA-256 of the public one) becomes the device `key`, before it does. Nothing is
    /// noted when it has become another, or one that is deleted; with `again` it is noted all the same.
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<Claim, Unavailable>;

    /// Takes back what was noted first just now: the device has refused it, so it has become nothing.
    async fn unclaim_import(&self, identity: [u8; 32], key: &DeviceKey) -> Result<(), Unavailable>;
}

/// What was noted of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// That it becomes this device; nothing was noted of it before.
    First,
    /// The same once more, or with `again`.
    Again,
    /// Nothing: it was noted of another device.
    Refused,
}
