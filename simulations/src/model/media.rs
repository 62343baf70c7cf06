//! Rows of files, in the model.

use std::time::Duration;

use async_trait::async_trait;
use roost_node::media::MediaRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::BusinessId;

use super::Model;
use super::tables::ago;

#[async_trait]
impl MediaRows for Model {
    async fn put_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        self.step(|tables, now| {
            let known = tables.tenants.contains_key(tenant);
            if known {
                let row = tables.media.entry((tenant.clone(), id.to_owned())).or_insert((now, Vec::new()));
                row.1 = body.to_vec();
            }
            known
        })
    }

    async fn replace_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        let row = (tenant.clone(), id.to_owned());
        self.step(|tables, _| tables.media.get_mut(&row).map(|row| row.1 = body.to_vec()).is_some())
    }

    async fn media(&self, tenant: &BusinessId, id: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let row = (tenant.clone(), id.to_owned());
        self.step(|tables, _| tables.media.get(&row).map(|(_, body)| body.clone()))
    }

    async fn remove_media(&self, tenant: &BusinessId, id: &str) -> Result<bool, Unavailable> {
        let row = (tenant.clone(), id.to_owned());
        self.step(|tables, _| tables.media.remove(&row).is_some())
    }

    async fn old_media(
        &self,
        retention: Duration,
        limit: usize,
    ) -> Result<Vec<(BusinessId, String)>, Unavailable> {
        self.step(|tables, now| {
            let until = ago(now, retention);
            let old = tables.media.iter().filter(|(_, (created, _))| *created <= until);
            let mut old: Vec<_> = old.map(|(key, (created, _))| (*created, key.clone())).collect();
            old.sort_unstable();
            old.into_iter().take(limit).map(|(_, key)| key).collect()
        })
    }
}
