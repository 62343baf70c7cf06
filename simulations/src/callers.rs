//! gRPC clients of a whole cluster: a call goes to any node, and to the next one when that one is gone.
//!
//! What must hold: every call has a limit and a bounded number of tries; a call that changes something
//! carries a request id or is idempotent, so that trying again is safe. This is what a careful backend
//! would do, and nothing a backend could not do.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roost_node::client::Client;
use tonic::{Code, Request, Status};

/// Clients of all nodes, used in turn.
#[derive(Debug)]
pub struct Callers {
    nodes: Vec<Client>,
    turn: AtomicUsize,
}

impl Callers {
    /// One client for each node, at least one.
    pub fn new(nodes: Vec<Client>) -> Callers {
        assert!(!nodes.is_empty(), "a cluster has at least one node");
        Callers { nodes, turn: AtomicUsize::new(0) }
    }

    /// The client of one node.
    pub fn node(&self, place: usize) -> Client {
        self.nodes[place % self.nodes.len()].clone()
    }

    /// The client of the node whose turn it is.
    pub fn any(&self) -> Client {
        self.node(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls until it succeeds, is refused for good, or `limit` is over; each try goes to another node.
    pub async fn call<T, F>(&self, limit: Duration, mut call: impl FnMut(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let end = tokio::time::Instant::now() + limit;
        let mut pause = Duration::from_millis(20);
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let tried = tokio::time::timeout(left, call(self.any())).await;
            let refused = match tried {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => status,
                Err(_) => return Err(Status::deadline_exceeded("no answer within the limit")),
            };
            if !worth_trying_again(&refused) {
                return Err(refused);
            }
            let jitter = rand::random_range(0.5..1.5);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}

fn worth_trying_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled)
        || (status.code() == Code::Unknown && status.message().contains("transport"))
}

/// A request with a deadline that travels with it.
pub fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
