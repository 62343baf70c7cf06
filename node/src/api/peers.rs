//! `PeerService`: what nodes say to each other. Hints and requests; nothing here proves anything.

use std::time::Duration;

use roost_proto::id::Epoch;
use roost_proto::peer;
use roost_proto::peer::peer_service_server::PeerService;
use roost_proto::stanza;
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "PeerService";

#[async_trait]
impl PeerService for Api {
    async fn adopt(
        &self,
        request: Request<peer::AdoptRequest>,
    ) -> Result<Response<peer::AdoptResponse>, Status> {
        self.unary(method(SERVICE, "Adopt"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.must_operate()?;
            self.router().forget(&key);
            match request.epoch {
                0 => self.parts().cluster.sweep(),
                epoch => {
                    let stopped = Duration::from_micros(request.stopped_micros.unsigned_abs());
                    self.parts().hosts.given(&key, Epoch(epoch), stopped);
                    self.parts().cluster.adopt(&key, Epoch(epoch));
                }
            }
            Ok(peer::AdoptResponse {})
        })
        .await
    }

    async fn warm(
        &self,
        request: Request<peer::WarmRequest>,
    ) -> Result<Response<peer::WarmResponse>, Status> {
        self.unary(method(SERVICE, "Warm"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.must_operate()?;
            let cluster = &self.parts().cluster;
            let row = self.directory().device(&key).await?;
            let owner = row.as_ref().and_then(|row| row.ownership.owner.clone());
            let another = owner.is_some_and(|owner| owner != cluster.me());
            if !another || *cluster.draining().borrow() {
                return Err(ApiError::TargetUnfit {
                    node: cluster.me().node,
                    why: "it will not be given it",
                });
            }
            let via = row.and_then(|row| row.proxy);
            self.parts().hosts.prepare(&key, via.as_ref()).await.map_err(|error| {
                tracing::debug!(%key, %error, "not prepared");
                ApiError::TargetUnfit { node: cluster.me().node, why: "it could not prepare" }
            })?;
            Ok(peer::WarmResponse {})
        })
        .await
    }

    async fn report(
        &self,
        request: Request<peer::ReportRequest>,
    ) -> Result<Response<peer::ReportResponse>, Status> {
        self.unary(method(SERVICE, "Report"), request, |call, request| async move {
            let key = match request.device.as_str() {
                "" => None,
                name => Some(parse::device("device", name)?),
            };
            call.must_operate()?;
            self.running(key.as_ref()).await
        })
        .await
    }

    async fn ask(&self, request: Request<peer::AskRequest>) -> Result<Response<peer::AskResponse>, Status> {
        self.unary(method(SERVICE, "Ask"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.must_operate()?;
            let iq = stanza::decode(&request.request);
            let iq = iq.map_err(|error| ApiError::field("request", error.to_string()))?;
            let answer = self.ask_owner(&call, &key, &iq, request.changes).await?;
            let answer = stanza::encode(&answer);
            let answer = answer.map_err(|error| ApiError::field("request", error.to_string()))?;
            Ok(peer::AskResponse { answer })
        })
        .await
    }

    async fn count(
        &self,
        request: Request<peer::CountRequest>,
    ) -> Result<Response<peer::CountResponse>, Status> {
        self.unary(method(SERVICE, "Count"), request, |call, _| async move {
            call.must_operate()?;
            Ok(self.count())
        })
        .await
    }

    async fn import_part(
        &self,
        request: Request<peer::ImportPartRequest>,
    ) -> Result<Response<peer::ImportPartResponse>, Status> {
        self.unary(method(SERVICE, "ImportPart"), request, |call, request| async move {
            self.import_part(&call, &request).await?;
            Ok(peer::ImportPartResponse {})
        })
        .await
    }

    async fn hand_off(
        &self,
        request: Request<peer::HandOffRequest>,
    ) -> Result<Response<peer::HandOffResponse>, Status> {
        self.unary(method(SERVICE, "HandOff"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            let target = parse::node("target", &request.target)?;
            call.must_operate()?;
            let life = self.parts().cluster.views().borrow().life(&target).cloned();
            let life = life.ok_or_else(|| ApiError::not_found(Resource::Node, &target))?;
            let done = self.hand_off(&key, &life).await?;
            let pause_micros = i64::try_from(done.pause.as_micros()).unwrap_or(i64::MAX);
            Ok(peer::HandOffResponse { epoch: done.grant.epoch.0, pause_micros })
        })
        .await
    }
}
