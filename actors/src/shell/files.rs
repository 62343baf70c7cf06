//! Fetches files for a device, in tasks of their own, and keeps the piece of history that is being told.
//!
//! What must hold: every request is answered once, also when its task fails; when [`Files::end`] returns no task
//! runs any more. At most one piece of history is open, and it is gone when it has been read to its end.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ractor::ActorRef;
use roost_proto::ask::media::MediaHosts;
use roost_proto::history::{HistoryError, Outline, Position, Slice, Slices, Survey};
use roost_proto::id::BusinessId;
use roost_proto::media::File;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::supervisor::{Child, Input};
use crate::machine::{Fetched, Fetching};
use crate::port::{self, FetchedFile, FileError, ProxyUri, Unneeded};

/// The most packed bytes of one piece of history.
const HISTORY: u64 = 512 << 20;
/// The most bytes of a file that is read as a whole.
const WHOLE: u64 = 32 << 20;

pub(super) struct Files {
    port: Arc<dyn port::Files>,
    tenant: BusinessId,
    open: Arc<Mutex<Option<Open>>>,
    tasks: JoinSet<()>,
    life: u32,
    supervisor: ActorRef<Input>,
}

/// A piece of history that is here.
struct Open {
    file: Box<dyn FetchedFile>,
    slices: Option<Slices>,
}

/// Says what came of a request; that nothing did, when its task fails.
struct Answer {
    token: u64,
    outcome: Option<Result<Fetched, FileError>>,
    life: u32,
    supervisor: ActorRef<Input>,
}

impl Answer {
    fn give(mut self, outcome: Result<Fetched, FileError>) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let failed = || Err(FileError::Unavailable("fetching it failed".to_owned()));
        let child = Child::Fetched(self.token, self.outcome.take().unwrap_or_else(failed));
        let _ = self.supervisor.send_message(Input::Child(self.life, child));
    }
}

impl Files {
    /// Of a device of this tenant.
    pub(super) fn new(
        port: Arc<dyn port::Files>,
        tenant: BusinessId,
        life: u32,
        supervisor: ActorRef<Input>,
    ) -> Files {
        Files { port, tenant, open: Arc::default(), tasks: JoinSet::new(), life, supervisor }
    }

    pub(super) fn fetch(&mut self, token: u64, via: Option<ProxyUri>, hosts: Vec<String>, what: Fetching) {
        while self.tasks.try_join_next().is_some() {}
        let (port, tenant, open) = (self.port.clone(), self.tenant.clone(), self.open.clone());
        let answer = Answer { token, outcome: None, life: self.life, supervisor: self.supervisor.clone() };
        self.tasks.spawn(async move {
            let fetch =
                async |file: Box<File>, most| port.fetch(&tenant, via.as_ref(), &hosts, &file, most).await;
            let outcome = match what {
                Fetching::Whole(file) => whole(fetch(file, WHOLE).await).await.map(Fetched::Whole),
                Fetching::History(file) => {
                    let mut place = open.lock().await;
                    // Its room is free before the next takes some.
                    *place = None;
                    history(fetch(file, HISTORY).await).await.map(|(outline, file)| {
                        *place = Some(Open { file, slices: None });
                        Fetched::History(Box::new(outline))
                    })
                }
                Fetching::Slice(begin) => slice(&mut *open.lock().await, begin).await.map(Fetched::Slice),
            };
            answer.give(outcome);
        });
    }

    pub(super) fn delete(&mut self, via: Option<ProxyUri>, hosts: MediaHosts, file: Box<Unneeded>) {
        while self.tasks.try_join_next().is_some() {}
        let port = self.port.clone();
        self.tasks.spawn(async move { port.delete(via.as_ref(), &hosts, &file).await });
    }

    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
        *self.open.lock().await = None;
    }
}

type Found = Result<Box<dyn FetchedFile>, FileError>;

async fn whole(fetched: Found) -> Result<Bytes, FileError> {
    let (mut fetched, mut bytes) = (fetched?, BytesMut::new());
    while let Some(piece) = fetched.piece().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

async fn history(fetched: Found) -> Result<(Outline, Box<dyn FetchedFile>), FileError> {
    let (mut fetched, mut survey) = (fetched?, Survey::default());
    while let Some(piece) = fetched.piece().await? {
        survey.feed(piece).map_err(no_history)?;
    }
    Ok((survey.finish().map_err(no_history)?, fetched))
}

async fn slice(open: &mut Option<Open>, begin: Position) -> Result<Slice, FileError> {
    let gone = || FileError::Unavailable("it is not here any more".to_owned());
    let Open { file, slices } = open.as_mut().ok_or_else(gone)?;
    let reading = match slices {
        Some(reading) if reading.next_position() == begin => reading,
        _ => {
            file.rewind().await?;
            slices.insert(Slices::from(begin))
        }
    };
    loop {
        if let Some(slice) = reading.slice().map_err(no_history)? {
            if slice.last {
                *open = None;
            }
            return Ok(slice);
        }
        match file.piece().await? {
            Some(piece) => reading.feed(piece),
            None => reading.close(),
        }
    }
}

fn no_history(error: HistoryError) -> FileError {
    FileError::Corrupt(error.to_string())
}
