//! `ClusterService`: membership, ring and ownership as operators see and change them.
//!
//! What must hold: nothing here changes ownership by itself: moves and drains are asked of the node that
//! they concern; a tenant may ask where its own device is, the rest is an operator's.

mod drain;

use std::time::Duration;

use roost_placement::ledger::MemberState;
use roost_proto::api;
use roost_proto::api::cluster_service_server::ClusterService;
use roost_proto::id::{DeviceKey, Life, NodeId};
use roost_proto::peer;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use tonic::{Request, Response, Status, async_trait};

use super::cursor::Scope;
use super::port::{HandOffError, Seen};
use super::streams::{Answers, Until};
use super::{Api, convert, members, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "ClusterService";
/// Lines of a device's history.
const HISTORY: usize = 50;

#[async_trait]
impl ClusterService for Api {
    async fn list_nodes(
        &self,
        request: Request<api::ListNodesRequest>,
    ) -> Result<Response<api::ListNodesResponse>, Status> {
        self.unary(method(SERVICE, "ListNodes"), request, |call, _| async move {
            call.must_operate()?;
            let seen = self.parts().cluster.views().borrow().clone();
            Ok(api::ListNodesResponse {
                nodes: nodes(&seen),
                view_epoch: seen.view.view_epoch,
                answered_by: self.parts().node.to_string(),
                placement_frozen: seen.view.frozen,
                max_version: seen.view.max_version,
            })
        })
        .await
    }

    async fn get_ring(
        &self,
        request: Request<api::GetRingRequest>,
    ) -> Result<Response<api::GetRingResponse>, Status> {
        self.unary(method(SERVICE, "GetRing"), request, |call, request| async move {
            let cluster = &self.parts().cluster;
            let preference = match request.name.as_str() {
                "" => {
                    call.must_operate()?;
                    Vec::new()
                }
                name => {
                    let scope = parse::scope("name", name)?;
                    call.may_name_scope(&scope)?;
                    match scope {
                        Scope::Tenant(tenant) => cluster.preference_of_tenant(&tenant),
                        Scope::Device(key) => {
                            let row = self.parts().ledger.ownership(&key).await?;
                            cluster.preference(&key, &row.map(|row| row.wish).unwrap_or_default())
                        }
                    }
                }
            };
            let shares = cluster.shares().into_iter().map(|share| api::get_ring_response::Share {
                node: share.node.to_string(),
                fraction: share.fraction,
                points: share.points,
            });
            Ok(api::GetRingResponse {
                preference: preference.iter().map(NodeId::to_string).collect(),
                shares: shares.collect(),
                view_epoch: cluster.views().borrow().view.view_epoch,
            })
        })
        .await
    }

    async fn locate_device(
        &self,
        request: Request<api::LocateDeviceRequest>,
    ) -> Result<Response<api::LocateDeviceResponse>, Status> {
        self.unary(method(SERVICE, "LocateDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            call.may_name_device(&key)?;
            let row = self.device(&key).await?.ownership;
            let history = self.parts().ledger.history(&key, HISTORY).await?;
            let seen = self.parts().cluster.views().borrow().clone();
            let address = row.owner.as_ref().and_then(|life| seen.address(life)).unwrap_or_default();
            Ok(api::LocateDeviceResponse {
                ownership: Some(convert::ownership(&row)),
                address: address.to_owned(),
                history: history.iter().map(convert::transition).collect(),
            })
        })
        .await
    }

    async fn move_device(
        &self,
        request: Request<api::MoveDeviceRequest>,
    ) -> Result<Response<api::MoveDeviceResponse>, Status> {
        self.unary(method(SERVICE, "MoveDevice"), request, |call, request| async move {
            let key = parse::device("name", &request.name)?;
            let target = parse::node("target", &request.target)?;
            call.must_operate()?;
            self.target(&target)?;
            let row = self.device(&key).await?.ownership;
            if let Some(node) = row.wish.required().filter(|node| **node != target) {
                return Err(ApiError::Pinned { node: node.clone(), key });
            }
            if row.owner.as_ref().is_some_and(|life| life.node == target) {
                return Ok(moved(convert::ownership(&row), Duration::ZERO));
            }
            if let Some(owner) = row.owner.as_ref().filter(|_| !request.allow_downgrade) {
                self.must_not_go_back(owner, &target)?;
            }
            let moved_to = |epoch: i64, life: &Life| api::Ownership {
                node: life.node.to_string(),
                incarnation: life.incarnation.0,
                epoch,
            };
            let done = self.router().at_owner(
                &call,
                &key,
                |_| async {
                    let target = self.target(&target)?;
                    let done = self.hand_off(&key, &target).await?;
                    Ok(moved(moved_to(done.grant.epoch.0, &target), done.pause))
                },
                |channel| {
                    let wanted = peer::HandOffRequest { device: key.to_string(), target: target.to_string() };
                    let request = call.forward(wanted);
                    let target = &target;
                    async move {
                        let done = PeerServiceClient::new(channel).hand_off(request).await?.into_inner();
                        let pause = Duration::from_micros(done.pause_micros.unsigned_abs());
                        let life = self.target(target).map_err(|error| error.status(&self.parts().node))?;
                        Ok(moved(moved_to(done.epoch, &life), pause))
                    }
                },
            );
            let done = done.await?;
            self.router().forget(&key);
            Ok(done)
        })
        .await
    }

    type DrainNodeStream = Answers<api::DrainNodeResponse>;

    async fn drain_node(
        &self,
        request: Request<api::DrainNodeRequest>,
    ) -> Result<Response<Self::DrainNodeStream>, Status> {
        let named = method(SERVICE, "DrainNode");
        self.streaming(named, request, Until::Itself, |call, request| async move {
            let node = parse::node("node", &request.node)?;
            call.must_operate()?;
            let draining = self.begin_drain(&call, node).await?;
            let api = self.clone();
            Ok(move |sink| async move { drain::follow(&api, draining, &sink).await })
        })
        .await
    }

    async fn cordon_node(
        &self,
        request: Request<api::CordonNodeRequest>,
    ) -> Result<Response<api::CordonNodeResponse>, Status> {
        self.unary(method(SERVICE, "CordonNode"), request, |call, request| async move {
            self.cordon(&call, &request.node, true).await.map(|()| api::CordonNodeResponse {})
        })
        .await
    }

    async fn uncordon_node(
        &self,
        request: Request<api::UncordonNodeRequest>,
    ) -> Result<Response<api::UncordonNodeResponse>, Status> {
        self.unary(method(SERVICE, "UncordonNode"), request, |call, request| async move {
            self.cordon(&call, &request.node, false).await.map(|()| api::UncordonNodeResponse {})
        })
        .await
    }

    async fn freeze_placement(
        &self,
        request: Request<api::FreezePlacementRequest>,
    ) -> Result<Response<api::FreezePlacementResponse>, Status> {
        self.unary(method(SERVICE, "FreezePlacement"), request, |call, _| async move {
            self.freeze(&call, true).await.map(|()| api::FreezePlacementResponse {})
        })
        .await
    }

    async fn unfreeze_placement(
        &self,
        request: Request<api::UnfreezePlacementRequest>,
    ) -> Result<Response<api::UnfreezePlacementResponse>, Status> {
        self.unary(method(SERVICE, "UnfreezePlacement"), request, |call, _| async move {
            self.freeze(&call, false).await.map(|()| api::UnfreezePlacementResponse {})
        })
        .await
    }

    async fn set_max_version(
        &self,
        request: Request<api::SetMaxVersionRequest>,
    ) -> Result<Response<api::SetMaxVersionResponse>, Status> {
        self.unary(method(SERVICE, "SetMaxVersion"), request, |call, request| async move {
            self.limit_version(&call, &request).await.map(|()| api::SetMaxVersionResponse {})
        })
        .await
    }

    async fn pin_device(
        &self,
        request: Request<api::PinDeviceRequest>,
    ) -> Result<Response<api::PinDeviceResponse>, Status> {
        self.unary(method(SERVICE, "PinDevice"), request, |call, request| async move {
            self.pin(&call, &request).await
        })
        .await
    }

    async fn unpin_device(
        &self,
        request: Request<api::UnpinDeviceRequest>,
    ) -> Result<Response<api::UnpinDeviceResponse>, Status> {
        self.unary(method(SERVICE, "UnpinDevice"), request, |call, request| async move {
            self.unpin(&call, &request.name).await.map(|()| api::UnpinDeviceResponse {})
        })
        .await
    }

    type RebalanceClusterStream = Answers<api::RebalanceClusterResponse>;

    async fn rebalance_cluster(
        &self,
        request: Request<api::RebalanceClusterRequest>,
    ) -> Result<Response<Self::RebalanceClusterStream>, Status> {
        let named = method(SERVICE, "RebalanceCluster");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let run = self.begin_rebalance(call, &request).await?;
            Ok(move |sink| async move { run.carry_out(&sink).await })
        })
        .await
    }

    async fn audit_cluster(
        &self,
        request: Request<api::AuditClusterRequest>,
    ) -> Result<Response<api::AuditClusterResponse>, Status> {
        self.unary(method(SERVICE, "AuditCluster"), request, |call, _| async move {
            call.must_operate()?;
            self.audit().await
        })
        .await
    }

    async fn get_protocol_version(
        &self,
        request: Request<api::GetProtocolVersionRequest>,
    ) -> Result<Response<api::ProtocolVersion>, Status> {
        self.unary(method(SERVICE, "GetProtocolVersion"), request, |call, _| async move {
            self.protocol_version(&call).await
        })
        .await
    }

    async fn set_protocol_version(
        &self,
        request: Request<api::SetProtocolVersionRequest>,
    ) -> Result<Response<api::ProtocolVersion>, Status> {
        self.unary(method(SERVICE, "SetProtocolVersion"), request, |call, request| async move {
            self.choose_protocol_version(&call, &request).await
        })
        .await
    }

    type WatchClusterStream = Answers<api::WatchClusterResponse>;

    async fn watch_cluster(
        &self,
        request: Request<api::WatchClusterRequest>,
    ) -> Result<Response<Self::WatchClusterStream>, Status> {
        let named = method(SERVICE, "WatchCluster");
        self.streaming(named, request, Until::Drain, |call, _| async move {
            call.must_operate()?;
            let api = self.clone();
            Ok(move |sink| async move { members::watch(&api, &sink).await })
        })
        .await
    }
}

impl Api {
    /// The life of a node that can take a device.
    pub(super) fn target(&self, node: &NodeId) -> Result<Life, ApiError> {
        let seen = self.parts().cluster.views().borrow().clone();
        let member = seen.member(node).ok_or_else(|| ApiError::not_found(Resource::Node, node))?;
        if member.state != MemberState::Active {
            return Err(ApiError::TargetUnfit { node: node.clone(), why: "it is not active" });
        }
        if member.cordoned {
            return Err(ApiError::TargetUnfit { node: node.clone(), why: "it is cordoned" });
        }
        Ok(member.life.clone())
    }

    /// Hands a device of this node to another.
    pub(super) async fn hand_off(
        &self,
        key: &DeviceKey,
        target: &Life,
    ) -> Result<super::port::HandedOff, ApiError> {
        self.parts().cluster.hand_off(key, target).await.map_err(|error| match error {
            HandOffError::NotOwner => ApiError::NotOwner { key: key.clone() },
            HandOffError::Target(why) => ApiError::TargetUnfit { node: target.node.clone(), why },
            HandOffError::Unavailable(down) => down.into(),
        })
    }
}

pub(super) fn nodes(seen: &Seen) -> Vec<api::Node> {
    let age = seen.at.elapsed();
    seen.view.members.iter().map(|member| convert::node(member, age)).collect()
}

fn moved(ownership: api::Ownership, pause: Duration) -> api::MoveDeviceResponse {
    api::MoveDeviceResponse { ownership: Some(ownership), pause: Some(convert::duration(pause)) }
}
