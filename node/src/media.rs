//! Files: taken from callers, kept encrypted until they are sent, moved to and from WhatsApp's media hosts.
//!
//! What must hold: memory does not grow with a file; what is kept outside of the database is only what
//! WhatsApp's servers would see too, because the keys are in sealed rows; nothing here is on the way of events.
//! Everything that waits is bounded, in time and in number. Who may do what is the API's business.

mod blobs;
mod delete;
mod fetch;
mod files;
mod folder;
mod hosts;
mod http;
mod look;
mod offer;
mod pace;
mod packs;
mod places;
mod plain;
mod problem;
mod rows;
mod s3;
mod spool;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::ProxyUri;
use roost_proto::id::BusinessId;

pub use blobs::{BlobError, BlobKey, BlobStore, Pieces};
pub use fetch::{Download, Fetched, Taker, fetch, is_there};
pub use files::DeviceFiles;
pub use folder::Folder;
pub use hosts::HostCache;
pub use http::{HttpClient, HttpError};
pub use look::{Seen, Sight, look, place as looking_place};
pub use offer::{Shown, Unoffered, Uploaded, offer, publish, show};
pub use pace::{Pace, TooSlow};
pub use packs::{PackProblem, STICKERS, sticker_pack};
pub use plain::Plain;
pub use problem::MediaProblem;
pub use rows::{MediaRows, location_row};
pub use s3::{S3, S3Options, S3OptionsError};
pub use spool::{Spooled, Spooling, keep_clear};
pub use sweep::{round, run as sweep};

use crate::outside::Dice;
use places::{Place, Places};

/// Uploads of callers, and separately their downloads, and what devices and messages move to and from WhatsApp, that run at a
/// time, and of one tenant a quarter of them; more wait.
const AT_ONCE: usize = 32;
/// How long they wait.
const WAITING: Duration = Duration::from_secs(60);

/// Bounds of files.
#[derive(Debug, Clone)]
pub struct MediaOptions {
    /// Where files are gathered before they are stored.
    pub spool: PathBuf,
    /// Largest file that is taken from a caller, in bytes.
    pub max_bytes: u64,
    /// How long uploaded files are kept.
    pub retention: Duration,
    /// Where packs of stickers are described: a URL without a query.
    pub stickers: String,
    /// What takes stills out of films; without it they have none.
    pub ffmpeg: Option<PathBuf>,
    /// Where files are uploaded to; empty for where WhatsApp says.
    pub upload_hosts: Vec<String>,
}

impl Default for MediaOptions {
    fn default() -> MediaOptions {
        MediaOptions {
            spool: std::env::temp_dir(),
            max_bytes: 100 << 20,
            retention: Duration::from_secs(72 * 3600),
            stickers: STICKERS.to_owned(),
            ffmpeg: None,
            upload_hosts: Vec::new(),
        }
    }
}

/// What moves files. Cloning gives the same.
#[derive(Clone)]
pub struct Media {
    /// Bounds.
    pub options: MediaOptions,
    /// Where uploaded files wait.
    pub blobs: Arc<dyn BlobStore>,
    /// The way to WhatsApp's media hosts.
    pub http: Arc<HttpClient>,
    /// Where they are.
    pub hosts: Arc<HostCache>,
    /// For jitter.
    pub dice: Dice,
    packs: Arc<packs::Packs>,
    uploads: Arc<Places>,
    downloads: Arc<Places>,
    transfers: Arc<Places>,
}

impl Media {
    /// Files within these bounds, in this store, over this client.
    pub fn new(options: MediaOptions, blobs: Arc<dyn BlobStore>, http: Arc<HttpClient>, dice: Dice) -> Media {
        let places = || Arc::new(Places::new(AT_ONCE, WAITING));
        let (uploads, downloads, transfers) = (places(), places(), places());
        let (hosts, packs) = (Arc::default(), Arc::default());
        Media { options, blobs, http, hosts, dice, packs, uploads, downloads, transfers }
    }

    /// The same for a device with this proxy, whose files go through it as its socket does: the way of the node is not taken
    /// then.
    #[must_use]
    pub fn via(&self, proxy: Option<&ProxyUri>) -> Media {
        let http = proxy.map(|proxy| Arc::new(self.http.through(proxy)));
        Media { http: http.unwrap_or_else(|| self.http.clone()), ..self.clone() }
    }

    /// Waits for a place among the uploads of callers.
    ///
    /// # Errors
    /// This and the next two: [`MediaProblem::Busy`] when the tenant has none in time.
    pub async fn upload_place(&self, tenant: &BusinessId) -> Result<Place, MediaProblem> {
        self.uploads.take(tenant).await
    }

    /// Waits for a place among the downloads of callers from WhatsApp, which are as slow as the callers.
    pub async fn download_place(&self, tenant: &BusinessId) -> Result<Place, MediaProblem> {
        self.downloads.take(tenant).await
    }

    /// Waits for a place among the transfers with WhatsApp that no caller can hold up.
    pub async fn transfer_place(&self, tenant: &BusinessId) -> Result<Place, MediaProblem> {
        self.transfers.take(tenant).await
    }
}
