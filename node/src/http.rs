//! Health and metrics over HTTP.
//!
//! What must hold: `/livez` depends on nothing but the event loop, so that no database outage makes an
//! orchestrator kill a node whose devices could wait; `/readyz` says why not; an idle node is healthy.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use roost_actors::port::{Clocks, DeviceStatus};
use roost_placement::ledger::MemberState;
use roost_proto::api::account_health::capping;
use tokio::net::TcpListener;

use crate::api::port::{Cluster, Hosts};
use crate::directory::Directory;
use crate::metrics::Metrics;

/// How long the store may take to prove that it is there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What exists only once the node has joined.
pub struct Joined {
    /// To ask whether the store answers.
    pub directory: Arc<dyn Directory>,
    /// Membership.
    pub cluster: Arc<dyn Cluster>,
    /// Devices of this node.
    pub hosts: Arc<dyn Hosts>,
    /// Whether the lease lets the node act.
    pub clocks: Arc<dyn Clocks>,
}

/// What the endpoints look at. Cloning gives the same probes.
#[derive(Clone)]
pub struct Probes {
    metrics: Metrics,
    joined: Arc<OnceLock<Joined>>,
}

impl Probes {
    /// Probes of a node that has not joined yet.
    pub fn new(metrics: Metrics) -> Probes {
        Probes { metrics, joined: Arc::default() }
    }

    /// The node has joined. Only the first call counts.
    pub fn joined(&self, joined: Joined) {
        let _ = self.joined.set(joined);
    }

    /// Why the node is not ready; empty when it is.
    pub async fn not_ready(&self) -> Vec<&'static str> {
        let Some(joined) = self.joined.get() else {
            return vec!["it has not joined the cluster yet"];
        };
        let mut why = Vec::new();
        let store = tokio::time::timeout(STORE_PATIENCE, joined.directory.tenants(None, 1)).await;
        if !matches!(store, Ok(Ok(_))) {
            why.push("the store does not answer");
        }
        if !joined.clocks.may_act() {
            why.push("the lease has run out");
        }
        if *joined.cluster.draining().borrow() {
            why.push("it is draining");
        }
        why
    }

    /// Everything in Prometheus' text format; gauges are read now.
    pub fn metrics(&self) -> String {
        if let Some(joined) = self.joined.get() {
            self.gauge(joined);
        }
        self.metrics.render()
    }

    fn gauge(&self, joined: &Joined) {
        let seen = joined.cluster.views().borrow().clone();
        let members = &seen.view.members;
        for (state, label) in [
            (MemberState::Joining, "joining"),
            (MemberState::Active, "active"),
            (MemberState::Draining, "draining"),
        ] {
            let count = members.iter().filter(|member| member.state == state).count();
            self.metrics.set("roost_nodes", &[("state", label)], count as f64);
        }
        self.metrics.set("roost_ring_version", &[], seen.view.view_epoch as f64);
        let left = joined.cluster.may_act_for().as_secs_f64();
        self.metrics.set("roost_node_lease_remaining_seconds", &[], left);
        let statuses: Vec<_> =
            joined.hosts.all().iter().map(|device| device.status().borrow().clone()).collect();
        let locked = statuses.iter().filter(|status| status.health.time_lock.is_some()).count();
        self.metrics.set("roost_reachout_locked_devices", &[], locked as f64);
        let capped = |status: &&DeviceStatus| {
            status.health.capping.as_ref().is_some_and(|quota| quota.status() == capping::Status::Capped)
        };
        let capped = statuses.iter().filter(capped).count();
        self.metrics.set("roost_capped_devices", &[], capped as f64);
        let states: Vec<_> = statuses.iter().map(|status| status.state).collect();
        for number in 1.. {
            let Ok(state) = roost_proto::api::device::State::try_from(number) else { break };
            let count = states.iter().filter(|found| **found == state).count();
            self.metrics.set("roost_devices", &[("state", state.as_str_name())], count as f64);
        }
    }
}

/// Binds the address. The listener's own address tells the port when 0 was asked for.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `shutdown` is over.
pub async fn serve(
    listener: TcpListener,
    probes: Probes,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(probes)).with_graceful_shutdown(shutdown).await
}

fn router(probes: Probes) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn readyz(State(probes): State<Probes>) -> (StatusCode, String) {
    let why = probes.not_ready().await;
    match why.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", why.join("; "))),
    }
}

async fn startupz(State(probes): State<Probes>) -> (StatusCode, &'static str) {
    match probes.joined.get() {
        Some(_) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "it has not joined the cluster yet\n"),
    }
}

async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], probes.metrics())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        answer
    }

    #[tokio::test]
    async fn a_node_that_has_not_joined_lives_and_is_not_ready() {
        let probes = Probes::new(Metrics::new());
        let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, probes.clone(), async {
            let _ = stopped.await;
        }));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/startupz").await.starts_with("HTTP/1.1 503"));
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("has not joined"), "{ready}");
        probes.metrics.count("roost_sends_total", &[("result", "accepted")]);
        assert!(get(address, "/metrics").await.contains("roost_sends_total"));
        assert!(get(address, "/nowhere").await.starts_with("HTTP/1.1 404"));
        stop.send(()).expect("it still runs");
        server.await.expect("no panic").expect("a clean end");
    }
}
