//! Watching devices: the rows as they are, then each change.
//!
//! What must hold: a change on this node is said within moments, one on another node within the poll;
//! the memory of a watch grows with the devices of its parent and with nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::api;
use roost_proto::api::watch_devices_response::Change;
use tokio::time::Instant;

use super::Api;
use super::parse::Parent;
use super::streams::Sink;
use crate::errors::ApiError;

const PAGE: usize = 500;
/// Shortest pause between two looks, whatever happens.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest pause for a parent with few devices.
const POLL: Duration = Duration::from_secs(1);

/// Produces the answers of `WatchDevices`.
pub(super) async fn devices(
    api: &Api,
    parent: &Parent,
    sink: &Sink<api::WatchDevicesResponse>,
) -> Result<(), ApiError> {
    let tenant = match parent {
        Parent::One(tenant) => Some(tenant),
        Parent::All => None,
    };
    let mut committed = tenant.map(|tenant| api.parts().commits.tenant(tenant));
    let say = |change| sink.send(api::WatchDevicesResponse { change: Some(change) });
    let mut known: BTreeMap<String, api::Device> = BTreeMap::new();
    let mut caught_up = false;
    loop {
        let look = Instant::now();
        let mut found = BTreeMap::new();
        let mut after = None;
        loop {
            let page = api.directory().devices(tenant, after.as_ref(), PAGE).await?;
            after = page.last().map(|device| device.ownership.key.clone());
            let full = page.len() == PAGE;
            for device in page {
                let device = api.shown(&device);
                if known.remove(&device.name).as_ref() != Some(&device) {
                    say(Change::Device(device.clone())).await?;
                }
                found.insert(device.name.clone(), device);
            }
            if !full {
                break;
            }
        }
        for gone in std::mem::take(&mut known).into_keys() {
            say(Change::Deleted(gone)).await?;
        }
        known = found;
        if !caught_up {
            caught_up = true;
            say(Change::CaughtUp(true)).await?;
        }
        // Looking at many devices costs more, so it is done less often.
        let pause = POLL.max(Duration::from_millis(u64::try_from(known.len()).unwrap_or(u64::MAX)));
        match &mut committed {
            Some(committed) => {
                let _ = tokio::time::timeout_at(look + pause, committed.changed()).await;
                tokio::time::sleep_until(look + SHORTEST).await;
            }
            None => tokio::time::sleep_until(look + pause).await,
        }
    }
}
