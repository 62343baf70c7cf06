//! What operators wish of placement: cordons, the freeze, the highest version, pins.
//!
//! What must hold: a wish is a row that is written first; what it moves at once is an ordinary hand-off
//! that may fail, and then the owner's node does it later. A wish for a node that never was, or is dead,
//! is refused: it is more often a typing error than a plan.

use std::time::Duration;

use roost_placement::ledger::MemberState;
use roost_proto::api;
use roost_proto::id::{DeviceKey, Life, NodeId};
use roost_proto::peer;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use tokio::time::Instant;

use super::call::Call;
use super::route::of_owner;
use super::{Api, convert, parse};
use crate::errors::{ApiError, Downgrade, Resource};

/// How long an owner may take to learn of its grant: until its next audit, when the hint was lost.
const GRANTED: Duration = Duration::from_secs(4);
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Api {
    /// Marks a node, or takes the mark away.
    pub(super) async fn cordon(&self, call: &Call, node: &str, cordoned: bool) -> Result<(), ApiError> {
        let node = parse::node("node", node)?;
        call.must_operate()?;
        // The mark of a dead one may be taken away before it comes back.
        if cordoned {
            self.must_live(&node).await?;
        }
        match self.directory().cordon(&node, cordoned).await? {
            true => Ok(()),
            false => Err(ApiError::not_found(Resource::Node, node)),
        }
    }

    /// Stops all rebalancing, or lets it go on.
    pub(super) async fn freeze(&self, call: &Call, frozen: bool) -> Result<(), ApiError> {
        call.must_operate()?;
        Ok(self.directory().freeze(frozen).await?)
    }

    /// Sets the highest version that devices are given to, or takes the limit away.
    pub(super) async fn limit_version(
        &self,
        call: &Call,
        request: &api::SetMaxVersionRequest,
    ) -> Result<(), ApiError> {
        call.must_operate()?;
        if request.max_version == Some(0) {
            return Err(ApiError::field("max_version", "must be at least 1, or absent"));
        }
        let seen = self.parts().cluster.views().borrow().clone();
        let highest = request.max_version.filter(|_| !request.allow_downgrade).unwrap_or(u32::MAX);
        if let Some(above) = seen.view.members.iter().find(|member| member.version > highest) {
            let (node, theirs) = (above.life.node.clone(), above.version);
            return Err(ApiError::Downgrade(Downgrade::Limit { node, theirs, highest }));
        }
        Ok(self.directory().limit_version(request.max_version).await?)
    }

    /// A move is no way back to an older version, unless somebody says so.
    pub(super) fn must_not_go_back(&self, owner: &Life, target: &NodeId) -> Result<(), ApiError> {
        let seen = self.parts().cluster.views().borrow().clone();
        let version = |node: &NodeId| seen.member(node).map(|member| member.version);
        match version(target).zip(version(&owner.node)) {
            Some((theirs, owners)) if theirs < owners => {
                Err(ApiError::Downgrade(Downgrade::Move { node: target.clone(), theirs, owners }))
            }
            _ => Ok(()),
        }
    }

    /// Pins a device, and hands it over if its node can take it now.
    pub(super) async fn pin(
        &self,
        call: &Call,
        request: &api::PinDeviceRequest,
    ) -> Result<api::PinDeviceResponse, ApiError> {
        let key = parse::device("name", &request.name)?;
        let pin = parse::pin("pin", request.pin.as_ref())?;
        call.must_operate()?;
        self.must_live(&pin.node).await?;
        let device = self.directory().pin(&key, Some(&pin)).await?;
        let row = device.ok_or_else(|| ApiError::not_found(Resource::Device, &key))?.ownership;
        let answer = |row: api::Ownership, waits_for: String| api::PinDeviceResponse {
            ownership: Some(row),
            waits_for,
        };
        let Some(owner) = row.owner.clone().filter(|owner| owner.node != pin.node) else {
            let waits = if row.owner.is_none() { format!("{} to take it", pin.node) } else { String::new() };
            return Ok(answer(convert::ownership(&row), waits));
        };
        let target = self.must_not_go_back(&owner, &pin.node).and_then(|()| self.target(&pin.node));
        let moved = match target {
            Ok(target) => self.hand_over(call, &key, &owner, &target).await.map(|(epoch, _)| {
                api::Ownership { node: target.node.to_string(), incarnation: target.incarnation.0, epoch }
            }),
            Err(error) => Err(error),
        };
        Ok(match moved {
            Ok(row) => answer(row, String::new()),
            Err(error) => {
                let waits = format!("{} to take it; it cannot yet: {}", pin.node, error.sentence());
                answer(convert::ownership(&row), waits)
            }
        })
    }

    /// Takes a pin away.
    pub(super) async fn unpin(&self, call: &Call, name: &str) -> Result<(), ApiError> {
        let key = parse::device("name", name)?;
        call.must_operate()?;
        let device = self.directory().pin(&key, None).await?;
        device.map(|_| ()).ok_or_else(|| ApiError::not_found(Resource::Device, key))
    }

    /// Has the owner, here or on another node, hand a device to a target. The new epoch and the pause. An
    /// owner that has not yet heard of its grant, or of the target, is asked again for a moment.
    pub(super) async fn hand_over(
        &self,
        call: &Call,
        key: &DeviceKey,
        owner: &Life,
        target: &Life,
    ) -> Result<(i64, Duration), ApiError> {
        let until = call.deadline.min(Instant::now() + GRANTED);
        loop {
            match self.try_hand_over(call, key, owner, target).await {
                Err(error) if is_news(&error) && Instant::now() < until => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                done => return done,
            }
        }
    }

    async fn try_hand_over(
        &self,
        call: &Call,
        key: &DeviceKey,
        owner: &Life,
        target: &Life,
    ) -> Result<(i64, Duration), ApiError> {
        if *owner == self.parts().cluster.me() {
            let done = self.hand_off(key, target).await?;
            return Ok((done.grant.epoch.0, done.pause));
        }
        let unreachable = || {
            let (key, node) = (key.clone(), owner.node.clone());
            ApiError::OwnerUnreachable { key, node, heard: true }
        };
        let peer = self.router().peer(owner.clone()).ok_or_else(unreachable)?;
        let wanted = peer::HandOffRequest { device: key.to_string(), target: target.node.to_string() };
        let mut there = PeerServiceClient::new(peer.channel);
        let done = there.hand_off(call.forward(wanted)).await;
        let done = done.map_err(|status| of_owner(key, &owner.node, status))?.into_inner();
        self.router().forget(key);
        Ok((done.epoch, Duration::from_micros(done.pause_micros.unsigned_abs())))
    }

    async fn must_live(&self, node: &NodeId) -> Result<(), ApiError> {
        match self.directory().node_state(node).await? {
            None => Err(ApiError::not_found(Resource::Node, node)),
            Some(MemberState::Dead) => Err(ApiError::NodeDead(node.clone())),
            Some(_) => Ok(()),
        }
    }
}

/// Whether the owner has only not heard yet: of its grant, or of a target that joined just now.
fn is_news(error: &ApiError) -> bool {
    matches!(error.reason().as_str(), "NOT_OWNER" | "NODE_NOT_FOUND")
}
