//! The gRPC API: the services of `roost.v1` on any node for any device.
//!
//! What must hold: every method reads its input in `parse.rs`, checks the caller before it looks anything
//! up, and answers refusals as [`ApiError`] only; what only the owner of a device can do goes through
//! `route.rs`; everything else is answered from the store. Listening is `server.rs`.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use roost_placement::ledger::Ledger;
use roost_proto::id::{NodeId, UnixMillis};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::commits::Commits;
use crate::directory::Directory;
use crate::errors::ApiError;
use crate::media::Media;
use crate::metrics::Metrics;
use crate::outside::Outside;

mod accounts;
mod asks;
mod audit;
mod business;
pub mod call;
mod calls;
pub mod channels;
mod chats;
mod cluster;
mod consumer;
mod consumers;
mod contacts;
mod convert;
pub mod cursor;
mod devices;
mod explain;
mod groups;
mod health;
mod imports;
mod incoming;
mod making;
mod media;
mod members;
mod messages;
mod newsletters;
mod outage;
mod pairing;
pub mod parse;
mod peers;
mod placing;
mod polls;
pub mod port;
mod presence;
mod protocol;
mod push;
mod reader;
mod reads;
mod rebalance;
pub mod retention;
pub mod route;
pub mod server;
mod statuses;
mod streams;
mod tenants;
pub mod token;
pub mod unowned;
mod watches;

use call::Call;
use outage::Outage;
use port::{Cluster, Hosts};
use route::Router;

/// What the API is made of.
#[derive(Clone)]
pub struct Parts {
    /// Who answers.
    pub node: NodeId,
    /// Tenants, device rows, messages, events, consumers.
    pub directory: Arc<dyn Directory>,
    /// Ownership rows.
    pub ledger: Arc<dyn Ledger>,
    /// Devices of this node.
    pub hosts: Arc<dyn Hosts>,
    /// Membership and placement.
    pub cluster: Arc<dyn Cluster>,
    /// Files.
    pub media: Media,
    /// Wake-ups for watchers.
    pub commits: Commits,
    /// Clocks, jitter, the way to peers.
    pub outside: Outside,
    /// Counters.
    pub metrics: Metrics,
}

/// The services. Cloning gives the same services.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    router: Router,
    outage: Mutex<Outage>,
}

/// A method, for the books.
#[derive(Debug, Clone, Copy)]
struct Method {
    service: &'static str,
    name: &'static str,
}

const fn method(service: &'static str, name: &'static str) -> Method {
    Method { service, name }
}

impl Api {
    /// Services on these parts.
    pub fn new(parts: Parts) -> Api {
        let router = Router::new(
            parts.ledger.clone(),
            parts.hosts.clone(),
            parts.cluster.clone(),
            parts.outside.clone(),
            parts.metrics.clone(),
        );
        Api { inner: Arc::new(Inner { parts, router, outage: Mutex::default() }) }
    }

    fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    fn directory(&self) -> &dyn Directory {
        &*self.inner.parts.directory
    }

    /// The time of day.
    fn wall(&self) -> UnixMillis {
        (self.parts().outside.wall)()
    }

    fn router(&self) -> &Router {
        &self.inner.router
    }

    /// Runs a unary method within its deadline and keeps the books.
    async fn unary<M, A, W, F>(
        &self,
        method: Method,
        request: Request<M>,
        work: W,
    ) -> Result<Response<A>, Status>
    where
        W: FnOnce(Call, M) -> F,
        F: Future<Output = Result<A, ApiError>>,
    {
        let begin = Instant::now();
        let done = match Call::read(request.metadata(), begin) {
            Ok(call) => {
                let limit = call.limit;
                let work = work(call, request.into_inner());
                tokio::time::timeout_at(limit, work).await.unwrap_or(Err(ApiError::DeadlineExceeded))
            }
            Err(error) => Err(error),
        };
        self.book(method, begin, done.as_ref().err());
        done.map(Response::new).map_err(|error| error.status(&self.parts().node))
    }

    /// One call has ended.
    fn book(&self, method: Method, begin: Instant, error: Option<&ApiError>) {
        let code = error.map_or("OK", |error| code_name(error.code()));
        let reason = error.map(ApiError::reason).unwrap_or_default();
        let (service, name) = (("service", method.service), ("method", method.name));
        let labels = [service, name, ("code", code), ("reason", reason.as_str())];
        self.parts().metrics.count("roost_grpc_requests_total", &labels);
        self.parts().metrics.time("roost_grpc_duration_seconds", &[service, name], begin.elapsed());
        if let Some(error) = error
            && matches!(error, ApiError::StoreUnavailable(_))
        {
            let mut outage = self.inner.outage.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(calls) = outage.failed(Instant::now()) {
                tracing::warn!(method = method.name, error = ?error, calls, "the store is away: calls fail");
            }
        }
    }
}

/// The code as gRPC spells it.
fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
