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
/// Packed bytes of it that are read in one go.
const FEW: usize = 4 << 10;
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
    /// What of the file is here and not read yet.
    packed: Bytes,
    slices: Option<Slices>,
}

impl Open {
    /// The next few packed bytes, which may inflate to a thousand times as much: others have their turn before that is read.
    async fn next(&mut self) -> Result<Option<Bytes>, FileError> {
        tokio::task::yield_now().await;
        if self.packed.is_empty() {
            self.packed = self.file.piece().await?.unwrap_or_default();
        }
        let few = self.packed.split_to(self.packed.len().min(FEW));
        Ok((!few.is_empty()).then_some(few))
    }
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
                    history(fetch(file, HISTORY).await).await.map(|(outline, open)| {
                        *place = Some(open);
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

async fn history(fetched: Found) -> Result<(Outline, Open), FileError> {
    let mut open = Open { file: fetched?, packed: Bytes::new(), slices: None };
    let mut survey = Survey::default();
    while let Some(few) = open.next().await? {
        survey.feed(few).map_err(no_history)?;
    }
    Ok((survey.finish().map_err(no_history)?, open))
}

/// The next slice. Behind the last one, and when there is none, the piece is here no more.
async fn slice(place: &mut Option<Open>, begin: Position) -> Result<Slice, FileError> {
    let mut open =
        place.take().ok_or_else(|| FileError::Unavailable("it is not here any more".to_owned()))?;
    let mut reading = match open.slices.take() {
        Some(reading) if reading.next_position() == begin => reading,
        _ => {
            open.file.rewind().await?;
            open.packed.clear();
            Slices::from(begin)
        }
    };
    loop {
        if let Some(slice) = reading.slice().map_err(no_history)? {
            if !slice.last {
                open.slices = Some(reading);
                *place = Some(open);
            }
            return Ok(slice);
        }
        match open.next().await? {
            Some(few) => reading.feed(few),
            None => reading.close(),
        }
    }
}

fn no_history(error: HistoryError) -> FileError {
    FileError::Corrupt(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use roost_proto::e2e;
    use roost_proto::history::{Beside, Conversation, Kind, Past, People, pack};
    use roost_proto::id::UnixMillis;
    use roost_proto::stanza::Jid;

    use super::*;

    /// A file in memory.
    struct Kept(Bytes, usize);

    #[async_trait]
    impl FetchedFile for Kept {
        async fn piece(&mut self) -> Result<Option<Bytes>, FileError> {
            let end = self.0.len().min(self.1 + (64 << 10));
            let piece = self.0.slice(std::mem::replace(&mut self.1, end)..end);
            Ok((!piece.is_empty()).then_some(piece))
        }

        async fn rewind(&mut self) -> Result<(), FileError> {
            self.1 = 0;
            Ok(())
        }
    }

    fn kept(bytes: Vec<u8>) -> Found {
        Ok(Box::new(Kept(bytes.into(), 0)))
    }

    /// History that is about 100 KiB packed.
    fn told() -> Vec<u8> {
        let mut state = 7_u64;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:08x}", state >> 32)
        };
        let past = |at: usize, words: String| Past {
            id: format!("P{at}"),
            from_me: false,
            participant: None,
            at: UnixMillis(1_600_000_000_000),
            push_name: String::new(),
            content: e2e::text(&words).into(),
            beside: Beside::default(),
        };
        let messages: Vec<Past> = (0..250).map(|at| past(at, (0..100).map(|_| word()).collect())).collect();
        let chat = Conversation::new(Jid::pn("4915188888888"), "", &messages);
        pack(Kind::Full, 100, &[chat], &People::default())
    }

    #[tokio::test]
    async fn others_have_their_turn_while_history_is_read() {
        let (packed, turns) = (told(), Arc::new(AtomicUsize::new(0)));
        let few = packed.len() / FEW;
        assert!(few > 20, "{few}");
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let (outline, open) = history(kept(packed)).await.expect("well formed");
        assert_eq!(outline.chats[0].messages, 250);
        assert!(turns.load(Ordering::Relaxed) >= few, "{turns:?}");
        let (mut place, mut begin, mut ids) = (Some(open), Position::default(), 0);
        while place.is_some() {
            let slice = slice(&mut place, begin).await.expect("well formed");
            (begin, ids) = (slice.next, ids + slice.messages.len());
        }
        other.abort();
        assert_eq!(ids, 250);
    }

    #[tokio::test]
    async fn a_piece_that_cannot_be_read_on_keeps_no_room() {
        let (_, mut open) = history(kept(told())).await.expect("well formed");
        open.file = Box::new(Kept(Bytes::from_static(b"no history"), 0));
        let mut place = Some(open);
        let refused = slice(&mut place, Position::default()).await;
        assert!(matches!(refused, Err(FileError::Corrupt(_))), "{refused:?}");
        assert!(place.is_none());
    }
}
