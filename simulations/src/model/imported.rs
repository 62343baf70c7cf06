//! What has been imported, in the model.

use std::collections::btree_map::Entry;

use async_trait::async_trait;
use roost_node::imported::{Claim, ImportRows};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;
use tokio::sync::watch;

use super::Model;

/// Where claims pass, until a test closes it.
#[derive(Debug)]
pub struct ClaimGate {
    open: watch::Sender<bool>,
    before: watch::Sender<usize>,
}

impl Default for ClaimGate {
    fn default() -> ClaimGate {
        ClaimGate { open: watch::Sender::new(true), before: watch::Sender::new(0) }
    }
}

impl ClaimGate {
    /// Holds claims up, or lets them go on.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Until so many claims have come to it, since there is one.
    pub async fn reached(&self, claims: usize) {
        let mut before = self.before.subscribe();
        before.wait_for(|seen| *seen >= claims).await.expect("the gate is there");
    }

    async fn passed(&self) {
        self.before.send_modify(|seen| *seen += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the gate is there");
    }
}

#[async_trait]
impl ImportRows for Model {
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<Claim, Unavailable> {
        self.claims.passed().await;
        self.step(|tables, _| match tables.imported.entry(identity) {
            Entry::Vacant(place) => {
                place.insert(Some(key.clone()));
                Claim::First
            }
            Entry::Occupied(mut row) if again || row.get().as_ref() == Some(key) => {
                row.insert(Some(key.clone()));
                Claim::Again
            }
            Entry::Occupied(_) => Claim::Refused,
        })
    }

    async fn unclaim_import(&self, identity: [u8; 32], key: &DeviceKey) -> Result<(), Unavailable> {
        self.step(|tables, _| {
            if tables.imported.get(&identity).is_some_and(|row| row.as_ref() == Some(key)) {
                tables.imported.remove(&identity);
            }
        })
    }
}
