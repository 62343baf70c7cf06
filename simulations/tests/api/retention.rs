//! What stays of events and files by their age, and of files when callers leave or the store of files fails.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{Batch, Clocks, DeviceStore, NewEvent};
use roost_node::api::retention;
use roost_node::directory::Directory;
use roost_node::media::{
    self, BlobError, BlobKey, BlobStore, Folder, HttpClient, MediaOptions, MediaRows, Pieces, round, sweep,
};
use roost_node::metrics::Metrics;
use roost_node::outside::{Dice, Network};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Candidate, Ledger, MemberState};
use roost_proto::api::media::Kind;
use roost_proto::api::*;
use roost_proto::id::{Age, BusinessId, DeviceKey, Sequence, UnixMillis};
use roost_simulations::model::{ManualClock, Model};
use tonic::{Code, Status};

use crate::media::{header, upload};
use crate::world::{LONG, World, refusal, until};

/// What is wrong with the store of files.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mood {
    Well,
    /// It takes a blob and does not say so to who brings it; whether it has taken one.
    Silent(bool),
    /// It takes none.
    Full,
    /// It keeps this one for ever.
    Keeping(String),
}

/// A folder that can be made to fail.
struct Moody {
    folder: Folder,
    mood: Arc<Mutex<Mood>>,
}

impl Moody {
    fn mood(&self) -> Mood {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn broken() -> BlobError {
    BlobError::Unavailable("it is broken".into())
}

#[async_trait]
impl BlobStore for Moody {
    async fn put(&self, key: &BlobKey, file: &Path) -> Result<(), BlobError> {
        match self.mood() {
            Mood::Full => Err(broken()),
            Mood::Silent(_) => {
                self.folder.put(key, file).await?;
                *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = Mood::Silent(true);
                std::future::pending().await
            }
            Mood::Well | Mood::Keeping(_) => self.folder.put(key, file).await,
        }
    }

    async fn get(&self, key: &BlobKey) -> Result<Pieces, BlobError> {
        self.folder.get(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self.mood() {
            Mood::Keeping(id) if id == key.id => Err(broken()),
            _ => self.folder.delete(key).await,
        }
    }
}

/// A node with a store of files in this mood, and the tenant `acme`.
async fn world(mood: Mood) -> (World, Arc<Mutex<Mood>>) {
    let mood = Arc::new(Mutex::new(mood));
    let given = mood.clone();
    let world = World::keeping(1, |folder| Arc::new(Moody { folder, mood: given })).await;
    world.tenant("acme").await;
    (world, mood)
}

async fn give(world: &World) -> Result<Media, Status> {
    upload(world.at(0), header(Kind::Audio, "audio/ogg"), b"sound").await
}

/// Removes everything, and says how many files that were.
async fn forget(world: &World) -> u64 {
    round(&*world.store, &world.media, Duration::ZERO).await
}

/// Blobs of the tenant.
fn blobs(world: &World) -> usize {
    std::fs::read_dir(world.files().join("acme")).map(Iterator::count).unwrap_or_default()
}

#[tokio::test]
async fn a_blob_of_an_upload_that_did_not_come_to_its_end_goes_with_the_retention() {
    let (world, mood) = world(Mood::Silent(false)).await;
    let client = world.at(0);
    let uploading =
        tokio::spawn(async move { upload(client, header(Kind::Audio, "audio/ogg"), b"sound").await });
    let taken = async || (*mood.lock().expect("nobody failed") == Mood::Silent(true)).then_some(());
    until("the blob is taken", taken).await;
    uploading.abort();
    assert!(uploading.await.expect_err("its caller left").is_cancelled());
    assert_eq!(blobs(&world), 1);
    assert_eq!(forget(&world).await, 1);
    assert_eq!(blobs(&world), 0);
}

#[tokio::test]
async fn what_the_store_of_files_did_not_take_goes_with_the_retention() {
    let (world, mood) = world(Mood::Full).await;
    assert_eq!(refusal(give(&world).await), (Code::Unavailable, "MEDIA_STORE_UNAVAILABLE".into()));
    *mood.lock().expect("nobody failed") = Mood::Well;
    give(&world).await.expect("taken");
    assert_eq!((blobs(&world), forget(&world).await, blobs(&world)), (1, 2, 0));
}

#[tokio::test]
async fn a_blob_that_cannot_be_deleted_keeps_no_other() {
    let (world, mood) = world(Mood::Well).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(give(&world).await.expect("taken").name);
    }
    let first = names[0].rsplit('/').next().expect("an id").to_owned();
    *mood.lock().expect("nobody failed") = Mood::Keeping(first);
    assert_eq!((forget(&world).await, blobs(&world)), (2, 1));
    let kept = world.at(0).media().get_media(GetMediaRequest { name: names[0].clone() }).await;
    kept.expect("it has its row as long as its blob");
    *mood.lock().expect("nobody failed") = Mood::Well;
    assert_eq!((forget(&world).await, blobs(&world)), (1, 0));
}

/// The clocks of a node whose calendar shows this moment.
struct Calendar(UnixMillis);

impl Clocks for Calendar {
    fn boot(&self) -> BootTime {
        BootTime(1)
    }

    fn wall(&self) -> UnixMillis {
        self.0
    }

    fn may_act(&self) -> bool {
        true
    }

    fn age(&self) -> Age {
        Age::default()
    }

    fn trusted(&self) -> Age {
        Age::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_node_removes_nothing_and_keeps_nothing() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let began = 1_800_000_000_000;
    let database = ManualClock::at(UnixMillis(began));
    let store = Model::new(database.clock());
    let acme: BusinessId = "acme".parse().expect("an id");
    let key: DeviceKey = "tenants/acme/devices/shop".parse().expect("a name");
    store.create_tenant(&acme, "").await.expect("made");
    store.create_device(&key, "", None).await.expect("made");
    let candidate = Candidate {
        node: "n1".parse().expect("an id"),
        address: String::new(),
        zone: String::new(),
        weight: 1,
        version: 1,
    };
    let me = store.join(&candidate, None, &LONG).await.expect("the slot is free");
    assert!(store.set_state(&me, MemberState::Active).await.expect("an answer"));
    let grant = store.claim(&me, None, std::slice::from_ref(&key)).await.expect("an answer").remove(0);
    let told = NewEvent {
        dedupe: "one".to_owned(),
        occurred: UnixMillis(began),
        origin: event::Origin::Live,
        payload: event::Payload::MessageReceived(MessageReceived::default()),
    };
    store.commit(&grant, Batch { events: vec![told], ..Batch::default() }).await.expect("committed");
    store.put_media(&acme, "one", b"body").await.expect("written");

    let folder = tempfile::tempdir().expect("a folder");
    let options = MediaOptions { retention: 7 * DAY, ..MediaOptions::default() };
    let http = Arc::new(HttpClient::new(None, Network::System));
    let media = media::Media::new(options, Arc::new(Folder::new(folder.path())), http, Dice::default());
    let some_rounds = async |calendar: UnixMillis| {
        let (clocks, metrics) = (Arc::new(Calendar(calendar)), Metrics::new());
        let both = async {
            tokio::join!(
                retention::run(store.clone(), clocks.clone(), 7 * DAY, Dice::default(), metrics.clone()),
                sweep(store.clone(), media.clone(), clocks.clone(), metrics.clone())
            )
        };
        assert!(tokio::time::timeout(Duration::from_secs(3600), both).await.is_err(), "they go on");
        let events = store.events(&key, Sequence(0), 10).await.expect("an answer").len();
        (events, store.media(&acme, "one").await.expect("an answer").is_some())
    };
    let days = |days: i64| days * 24 * 3600 * 1000;
    assert_eq!(some_rounds(UnixMillis(began + days(1000))).await, (1, true), "far ahead");
    database.advance(6 * DAY);
    assert_eq!(some_rounds(UnixMillis(began + days(1000))).await, (1, true), "still");
    database.advance(2 * DAY);
    assert_eq!(some_rounds(UnixMillis(began - days(1000))).await, (0, false), "far behind");
}
