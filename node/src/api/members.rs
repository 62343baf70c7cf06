//! `WatchCluster`: the members as they come and go, and how far each has come with its logins.
//!
//! What must hold: the view is the answering node's; the numbers are each node's own, asked for at that moment,
//! and a node that does not answer in time has none. A change of members is said at once, but for that time.

use std::time::Duration;

use futures_util::future::join_all;
use roost_proto::api;
use roost_proto::api::device::State;
use roost_proto::id::Life;
use roost_proto::peer;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use tokio::time::{Instant, timeout, timeout_at};

use super::cluster::nodes;
use super::streams::Sink;
use super::{Api, convert};
use crate::errors::ApiError;

/// At least this often a watch says the members.
const WATCH: Duration = Duration::from_secs(1);

/// How long a node may take to count.
const PATIENCE: Duration = Duration::from_millis(300);

pub(super) async fn watch(api: &Api, sink: &Sink<api::WatchClusterResponse>) -> Result<(), ApiError> {
    let mut views = api.parts().cluster.views();
    loop {
        let until = Instant::now() + WATCH;
        let seen = views.borrow_and_update().clone();
        let counts = join_all(seen.view.members.iter().map(|member| api.ask_count(&member.life))).await;
        let mut nodes = nodes(&seen);
        for (node, count) in nodes.iter_mut().zip(counts) {
            (node.connected, node.waiting) = count.map(|count| (count.connected, count.waiting)).unzip();
        }
        let now = (api.parts().outside.wall)();
        let answer = api::WatchClusterResponse {
            nodes,
            view_epoch: seen.view.view_epoch,
            time: Some(convert::timestamp(now)),
            placement_frozen: seen.view.frozen,
        };
        sink.send(answer).await?;
        loop {
            match timeout_at(until, views.changed()).await {
                Ok(Ok(())) if views.borrow().view.view_epoch == seen.view.view_epoch => {}
                Ok(Ok(())) | Err(_) => break,
                // The cluster's part of this process has ended.
                Ok(Err(_)) => return Ok(()),
            }
        }
    }
}

impl Api {
    /// What a life counts: this node, or another in one hop.
    async fn ask_count(&self, of: &Life) -> Option<peer::CountResponse> {
        if *of == self.parts().cluster.me() {
            return Some(self.count());
        }
        let peer = self.router().peer(of.clone())?;
        let mut there = PeerServiceClient::new(peer.channel);
        let said = timeout(PATIENCE, there.count(peer::CountRequest {})).await.ok()?.ok()?.into_inner();
        (said.incarnation == of.incarnation.0).then_some(said)
    }

    /// The devices of this node in numbers.
    pub(super) fn count(&self) -> peer::CountResponse {
        let hosts = &self.parts().hosts;
        let all = hosts.all();
        let connected = all.iter().filter(|device| device.status().borrow().state == State::Online).count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        peer::CountResponse {
            incarnation: self.parts().cluster.me().incarnation.0,
            connected: number(connected),
            waiting: number(hosts.waiting()),
        }
    }
}
