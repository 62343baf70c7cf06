//! gRPC clients of a whole cluster: a call goes to any node, and to the next one when that one is gone.
//!
//! What must hold: every call has a limit and a bounded number of tries; a call that changes something
//! carries a request id or is idempotent, so that trying again is safe. This is what a careful backend
//! would do, and nothing a backend could not do.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use roost_node::client::Client;
use roost_node::outside::Dice;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

/// How long one try may take before another node is tried.
const TRY: Duration = Duration::from_secs(2);

/// How long a node that did not answer a try is left alone.
const SHUN: Duration = Duration::from_secs(4);

/// Clients of all nodes, used in turn.
#[derive(Debug)]
pub struct Callers {
    nodes: Vec<Client>,
    turn: AtomicUsize,
    silent_until: Mutex<Vec<Option<Instant>>>,
    dice: Dice,
}

impl Callers {
    /// One client for each node, at least one.
    pub fn new(nodes: Vec<Client>) -> Callers {
        Callers::with_dice(nodes, Dice::default())
    }

    /// The same with the jitter of these dice.
    pub fn with_dice(nodes: Vec<Client>, dice: Dice) -> Callers {
        assert!(!nodes.is_empty(), "a cluster has at least one node");
        let silent_until = Mutex::new(vec![None; nodes.len()]);
        Callers { nodes, turn: AtomicUsize::new(0), silent_until, dice }
    }

    /// The client of one node.
    pub fn node(&self, place: usize) -> Client {
        self.nodes[place % self.nodes.len()].clone()
    }

    /// The client of the node whose turn it is, among those that are not known to be silent.
    pub fn any(&self) -> Client {
        self.node(self.next())
    }

    fn next(&self) -> usize {
        let silent = self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = |place: &usize| silent[*place].is_none_or(|until| until <= Instant::now());
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut places = (first..first + self.nodes.len()).map(|turn| turn % self.nodes.len());
        places.find(answers).unwrap_or(first % self.nodes.len())
    }

    /// Leaves a node alone for a while, for whoever knows that it does not answer.
    pub fn leave_alone(&self, place: usize, span: Duration) {
        let mut silent = self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        silent[place] = Some(Instant::now() + span);
    }

    /// Calls until it succeeds, is refused for good, or `limit` is over; each try goes to another node.
    pub async fn call<T, F>(&self, limit: Duration, mut call: impl FnMut(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(20);
        loop {
            let place = self.next();
            let try_until = end.min(Instant::now() + TRY);
            let refused = match tokio::time::timeout_at(try_until, call(self.node(place))).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer within the limit"),
            };
            // tonic says CANCELLED when its own timer runs out.
            if matches!(refused.code(), Code::DeadlineExceeded | Code::Cancelled) {
                self.leave_alone(place, SHUN);
            }
            if !worth_trying_again(&refused) || Instant::now() >= end {
                return Err(refused);
            }
            tokio::time::sleep(pause.mul_f64(self.dice.between(0.5, 1.5))).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}

/// A connection that breaks has many codes; what they share is that no node has refused anything.
pub(crate) fn worth_trying_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled)
        || ["transport", "h2 protocol error"].iter().any(|broken| status.message().contains(broken))
}

/// A request with a deadline that travels with it.
pub fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
