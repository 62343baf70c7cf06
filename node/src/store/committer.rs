//! Group commit: many devices' batches in one transaction.
//!
//! What must hold: the queue is bounded; batches of one device are written in the order in which they
//! came; a batch of an earlier age than another, a device whose grant does not stand, or whose ownership row or log
//! another transaction holds, falls out of the group alone; an error that may be one batch's fault makes the group go
//! one by one, so one bad device never harms another, and what is committed is answered before the rest is tried again;
//! every batch is answered in bounded time, however many are ahead of it. Watchers are told after the commit, never before.
//! When the outcome of a commit is unknown every batch in it hears "unavailable", and may be given again as it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::DeviceStoreError;
use roost_proto::id::DeviceKey;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::backend::Backend;
use super::fenced::{FencedTx, Written};
use super::options::StoreOptions;
use super::prepared::Prepared;
use super::rows::{SqlResult, unavailable};

/// Batches that may wait for a transaction.
const QUEUE: usize = 1024;
/// A group is closed when it holds this many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// How long the batches that fell out of one group may take together, one by one.
const ALONE: Duration = Duration::from_secs(1);

type Answer = Result<Written, DeviceStoreError>;

struct Request {
    batch: Prepared,
    reply: oneshot::Sender<Answer>,
}

/// Why a commit has no outcome.
#[derive(Debug, thiserror::Error)]
enum Stalled {
    #[error("the commit queue is full")]
    Full,
    #[error("the database did not answer in time")]
    Slow,
    #[error("another transaction holds rows of this device")]
    Held,
    #[error("the store is closed")]
    Closed,
}

/// The handle to the one committer of a store. The task ends when the handle is dropped.
pub(super) struct Committer {
    queue: mpsc::Sender<Request>,
    patience: Duration,
    bound: Duration,
}

impl Committer {
    /// Starts the task in the present runtime.
    pub(super) fn start(
        backend: Arc<dyn Backend>,
        options: &StoreOptions,
        commits: broadcast::Sender<DeviceKey>,
    ) -> Committer {
        let (queue, requests) = mpsc::channel(QUEUE);
        let task = Task {
            backend,
            commits,
            linger: options.linger,
            size: options.group_size.max(1),
            limit: options.call_timeout(),
        };
        tokio::spawn(task.run(requests));
        Committer { queue, patience: options.acquire_timeout, bound: 2 * options.call_timeout() }
    }

    /// Commits one batch with whatever else comes along. Waits for a place in the queue no longer than
    /// for a connection, and for its turn no longer than for the group ahead and its own.
    pub(super) async fn commit(&self, batch: Prepared) -> Answer {
        let (reply, answer) = oneshot::channel();
        let place = timeout(self.patience, self.queue.reserve()).await;
        let place = place.map_err(|_| unavailable(Stalled::Full))?;
        place.map_err(|_| unavailable(Stalled::Closed))?.send(Request { batch, reply });
        match timeout(self.bound, answer).await {
            Ok(answer) => answer.map_err(|_| unavailable(Stalled::Closed))?,
            Err(_) => Err(unavailable(Stalled::Slow).into()),
        }
    }
}

struct Task {
    backend: Arc<dyn Backend>,
    commits: broadcast::Sender<DeviceKey>,
    linger: Duration,
    size: usize,
    limit: Duration,
}

impl Task {
    async fn run(self, mut requests: mpsc::Receiver<Request>) {
        // Waiting for company pays when there is some: a lone device is not made to wait.
        let mut company = false;
        while let Some(first) = requests.recv().await {
            let mut bytes = first.batch.size();
            let mut group = vec![first];
            let close = Instant::now() + self.linger;
            while group.len() < self.size && bytes < GROUP_BYTES {
                let next = match requests.try_recv() {
                    Ok(next) => next,
                    Err(_) if company => match timeout_at(close, requests.recv()).await {
                        Ok(Some(next)) => next,
                        _ => break,
                    },
                    Err(_) => break,
                };
                bytes += next.batch.size();
                group.push(next);
            }
            company = group.len() > 1;
            self.settle(group).await;
        }
    }

    /// Answers every request of the group that somebody still waits for; the others may have been given
    /// again.
    async fn settle(&self, mut group: Vec<Request>) {
        group.retain(|request| !request.reply.is_closed());
        if group.is_empty() {
            return;
        }
        let batches: Vec<&Prepared> = group.iter().map(|request| &request.batch).collect();
        match self.attempt(&batches, false).await {
            Ok(answers) => {
                let mut left = Vec::new();
                for (request, answer) in group.into_iter().zip(answers) {
                    match answer {
                        Some(written) => {
                            let _ = request.reply.send(Ok(written));
                        }
                        None => left.push(request),
                    }
                }
                self.one_by_one(left).await;
            }
            Err(Failure::MaybeOne(_)) => self.one_by_one(group).await,
            Err(Failure::All(error)) => {
                for request in group {
                    let _ = request.reply.send(Err(unavailable(error.clone()).into()));
                }
            }
        }
    }

    /// What fell out of a group, in the order in which it came.
    async fn one_by_one(&self, requests: Vec<Request>) {
        let deadline = Instant::now() + ALONE;
        for request in requests {
            self.alone(request, deadline).await;
        }
    }

    /// One batch in a transaction of its own, which may wait a little for the row.
    async fn alone(&self, request: Request, deadline: Instant) {
        let answer = match timeout_at(deadline, self.attempt(&[&request.batch], true)).await {
            Err(_) => Err(unavailable(Stalled::Held).into()),
            Ok(Ok(answers)) => match answers.into_iter().next().flatten() {
                Some(written) => Ok(written),
                None => Err(DeviceStoreError::Fenced),
            },
            Ok(Err(Failure::All(error) | Failure::MaybeOne(error))) => Err(unavailable(error).into()),
        };
        let _ = request.reply.send(answer);
    }

    async fn attempt(&self, batches: &[&Prepared], wait: bool) -> Result<Vec<Option<Written>>, Failure> {
        let answers = match timeout(self.limit, self.transact(batches, wait)).await {
            Ok(result) => result.map_err(Failure::of)?,
            Err(_) => return Err(Failure::All(Arc::new(Stalled::Slow))),
        };
        let written = batches.iter().zip(&answers).filter(|(_, answer)| answer.is_some());
        let keys: BTreeSet<&DeviceKey> = written.map(|(batch, _)| &batch.grant.key).collect();
        for key in keys {
            // Nobody may be watching.
            let _ = self.commits.send(key.clone());
        }
        Ok(answers)
    }

    async fn transact(&self, batches: &[&Prepared], wait: bool) -> SqlResult<Vec<Option<Written>>> {
        let rows = self.backend.begin().await?;
        let mut tx = FencedTx::begin(rows, batches, wait).await?;
        let answers = tx.write(batches).await?;
        if answers.iter().any(Option::is_some) {
            tx.commit().await?;
        }
        Ok(answers)
    }
}

type Shared = Arc<dyn std::error::Error + Send + Sync>;

enum Failure {
    /// The database, the network or time: nobody's own fault.
    All(Shared),
    /// The rows of one batch may be what the database refuses.
    MaybeOne(Shared),
}

impl Failure {
    fn of(error: sqlx::Error) -> Failure {
        let one = match &error {
            sqlx::Error::RowNotFound | sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } => true,
            sqlx::Error::Database(db) => db.code().is_some_and(|code| blames_rows(&code)),
            _ => false,
        };
        let error = Arc::new(error);
        if one { Failure::MaybeOne(error) } else { Failure::All(error) }
    }
}

/// PostgreSQL: data, integrity and limit errors, and the deadlock victim, who may just try again.
/// SQLite: value too big, constraint, mismatch.
fn blames_rows(code: &str) -> bool {
    let postgres = code.len() == 5
        && (["22", "23", "54"].iter().any(|class| code.starts_with(class)) || code == "40P01");
    let sqlite = code.parse::<i32>().is_ok_and(|code| [18, 19, 20].contains(&(code & 0xff)));
    if code.len() == 5 { postgres } else { sqlite }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_rows_can_cause_split_a_group() {
        for code in ["23505", "22021", "54000", "40P01", "19", "1555", "18"] {
            assert!(blames_rows(code), "{code}");
        }
        for code in ["57P01", "57014", "53300", "08006", "5", "10", "11", "XX000"] {
            assert!(!blames_rows(code), "{code}");
        }
    }
}
