//! Answers that are streams: a task that produces, a bounded channel, and an end that says why.
//!
//! What must hold: a caller that is gone ends the task at once, a caller that is slow holds it back;
//! a node that drains ends its streams with NODE_DRAINING, so that callers go elsewhere and the server
//! can leave; the last item of a failed stream is its refusal.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::call::Call;
use super::{Api, Method};
use crate::errors::ApiError;

/// Answers that a slow caller may leave lying.
const QUEUE: usize = 16;

/// How long a caller may leave them lying while others wait.
const SLOWEST: Duration = Duration::from_secs(30);

/// A stream of answers.
pub(super) type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

/// The producer's end.
pub(super) struct Sink<A> {
    to: mpsc::Sender<Result<A, Status>>,
}

impl<A> Clone for Sink<A> {
    fn clone(&self) -> Sink<A> {
        Sink { to: self.to.clone() }
    }
}

impl<A> Sink<A> {
    /// Hands one answer over; waits while the caller is slow.
    pub(super) async fn send(&self, answer: A) -> Result<(), ApiError> {
        self.to.send(Ok(answer)).await.map_err(|_| ApiError::Cancelled)
    }

    /// The same, for an answer that others wait behind: a caller who takes nothing for [`SLOWEST`] gets no more.
    pub(super) async fn send_in_time(&self, answer: A) -> Result<(), ApiError> {
        tokio::time::timeout(SLOWEST, self.send(answer)).await.unwrap_or(Err(ApiError::DeadlineExceeded))
    }
}

/// Why a message of a caller's stream did not come: `field` is what it should have been.
pub(super) fn unread(field: &str, status: &Status) -> ApiError {
    // Without a cause it was the library that judged what came, and the caller is there to hear of it.
    let judged = std::error::Error::source(status).is_none();
    match status.code() {
        Code::OutOfRange if judged => ApiError::field(field, "is larger than any message may be"),
        Code::Internal if judged => ApiError::field(field, "cannot be read"),
        _ => ApiError::Cancelled,
    }
}

/// When a stream ends beside its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// With the drain of this node.
    Drain,
    /// The work looks at the drain itself.
    Itself,
}

impl Api {
    /// Opens a stream: `open` refuses or prepares within the deadline, the work that it returns produces.
    pub(super) async fn streaming<M, A, O, OF, W, F>(
        &self,
        method: Method,
        request: Request<M>,
        until: Until,
        open: O,
    ) -> Result<Response<Answers<A>>, Status>
    where
        A: Send + 'static,
        O: FnOnce(Call, M) -> OF,
        OF: Future<Output = Result<W, ApiError>>,
        W: FnOnce(Sink<A>) -> F + Send + 'static,
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        let begin = Instant::now();
        let opened = match Call::read(request.metadata(), begin) {
            Ok(call) => {
                let limit = call.limit;
                let open = open(call, request.into_inner());
                tokio::time::timeout_at(limit, open).await.unwrap_or(Err(ApiError::DeadlineExceeded))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok(work) => Ok(Response::new(self.produce(method, begin, until, work))),
            Err(error) => {
                self.book(method, begin, Some(&error));
                Err(error.status(&self.parts().node))
            }
        }
    }

    fn produce<A, W, F>(&self, method: Method, begin: Instant, until: Until, work: W) -> Answers<A>
    where
        A: Send + 'static,
        W: FnOnce(Sink<A>) -> F + Send + 'static,
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        let (to, answers) = mpsc::channel(QUEUE);
        let api = self.clone();
        tokio::spawn(async move {
            let labels = [("method", method.name)];
            api.parts().metrics.shift("roost_open_streams", &labels, 1.0);
            let mut draining = api.parts().cluster.draining();
            let done = tokio::select! {
                biased;
                done = work(Sink { to: to.clone() }) => done,
                () = to.closed() => Err(ApiError::Cancelled),
                () = drained(&mut draining), if until == Until::Drain => {
                    Err(ApiError::NodeDraining(api.parts().node.clone()))
                }
            };
            api.parts().metrics.shift("roost_open_streams", &labels, -1.0);
            api.book(method, begin, done.as_ref().err());
            if let Err(error) = done {
                // Nobody may be there to read it.
                let _ = to.send(Err(error.status(&api.parts().node))).await;
            }
        });
        Box::pin(ReceiverStream::new(answers))
    }
}

/// Waits for the drain of this node.
pub(super) async fn drained(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        // The cluster's part of this process is gone without a drain: the process is ending.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_takes_nothing_while_others_wait_gets_no_more() {
        let (to, mut taken) = mpsc::channel::<Result<u8, Status>>(1);
        let sink = Sink { to };
        sink.send_in_time(1).await.expect("there is a place");
        let refused = sink.send_in_time(2).await;
        assert!(matches!(refused, Err(ApiError::DeadlineExceeded)), "{refused:?}");
        assert!(matches!(taken.recv().await, Some(Ok(1))));
        sink.send_in_time(3).await.expect("there is a place again");
        drop(taken);
        assert!(matches!(sink.send_in_time(4).await, Err(ApiError::Cancelled)));
    }

    #[test]
    fn a_message_that_cannot_be_read_is_a_bad_field_and_a_broken_connection_is_none() {
        let field = |status: Status| match unread("part", &status) {
            ApiError::InvalidField { field, .. } => Some(field),
            _ => None,
        };
        assert_eq!(field(Status::out_of_range("too large")).as_deref(), Some("part"));
        assert_eq!(field(Status::internal("invalid wire type")).as_deref(), Some("part"));
        let mut broken = Status::internal("h2 protocol error");
        broken.set_source(std::sync::Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        assert_eq!(field(broken), None);
        assert_eq!(field(Status::cancelled("gone")), None);
    }
}
