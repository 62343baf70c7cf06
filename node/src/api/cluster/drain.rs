//! A drain, asked of the node that it concerns and followed to its end.
//!
//! What must hold: only a node that had given everything away is told as drained.

use std::time::Duration;

use roost_proto::api;
use roost_proto::api::cluster_service_client::ClusterServiceClient;
use roost_proto::id::NodeId;
use tonic::Streaming;

use crate::api::Api;
use crate::api::call::Call;
use crate::api::route::{Peer, of_node};
use crate::api::streams::Sink;
use crate::errors::{ApiError, Resource};

/// Between looks at what a draining node still owns.
const POLL: Duration = Duration::from_millis(100);

/// A drain that has begun.
pub(super) enum Draining {
    Here,
    There(Peer, Box<Streaming<api::DrainNodeResponse>>),
}

impl Api {
    pub(super) async fn begin_drain(&self, call: &Call, node: NodeId) -> Result<Draining, ApiError> {
        if node == self.parts().node {
            self.parts().cluster.drain().map_err(|_| ApiError::AlreadyDraining(node))?;
            return Ok(Draining::Here);
        }
        let life = self.parts().cluster.views().borrow().life(&node).cloned();
        let peer = life.and_then(|life| self.router().peer(life));
        let Some(peer) = peer.filter(|_| !call.forwarded) else {
            return Err(ApiError::not_found(Resource::Node, node));
        };
        let request = call.forward_stream(api::DrainNodeRequest { node: node.to_string() });
        let mut there = ClusterServiceClient::new(peer.channel.clone());
        let answers = there.drain_node(request).await.map_err(|status| of_node(node, status))?;
        Ok(Draining::There(peer, Box::new(answers.into_inner())))
    }
}

pub(super) async fn follow(
    api: &Api,
    draining: Draining,
    sink: &Sink<api::DrainNodeResponse>,
) -> Result<(), ApiError> {
    let mut last = None;
    match draining {
        Draining::Here => loop {
            let remaining = u32::try_from(api.parts().cluster.owned()).unwrap_or(u32::MAX);
            if last != Some(remaining) {
                last = Some(remaining);
                sink.send(api::DrainNodeResponse { remaining }).await?;
            }
            if remaining == 0 {
                return Ok(());
            }
            let cluster = &api.parts().cluster;
            if cluster.is_dead() {
                return Err(ApiError::DrainIncomplete { node: api.parts().node.clone(), left: remaining });
            }
            tokio::time::sleep(POLL).await;
        },
        Draining::There(peer, mut answers) => {
            while let Ok(Some(answer)) = answers.message().await {
                last = Some(answer.remaining);
                sink.send(answer).await?;
            }
            match last {
                Some(0) => Ok(()),
                // Whoever drains says so before it leaves.
                left => {
                    api.router().death(&peer.life).await;
                    let (node, left) = (peer.life.node.clone(), left.unwrap_or_default());
                    Err(ApiError::DrainIncomplete { node, left })
                }
            }
        }
    }
}
