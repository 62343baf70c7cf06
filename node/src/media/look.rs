//! What a file is like, found in the file itself for who does not say it: pictures, sound and films, as WhatsApp's
//! clients show them before they have the file.
//!
//! What must hold: a file from outside cannot take more memory or time than the limits say, whatever it claims to be;
//! what cannot be read is sent all the same, without. Each kind has its own reader below; here is what they share.

mod film;
#[cfg(test)]
mod kept;
mod picture;
mod sound;
mod waveform;

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use roost_proto::api::media::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::plain::Plain;

/// Files that are looked at at a time in one process.
const AT_ONCE: usize = 2;
/// How long a file may be read.
const READING: Duration = Duration::from_secs(10);
/// Longest sound or film that is believed, in seconds: a week.
const LONGEST: f64 = 7.0 * 24.0 * 3600.0;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// In pixels; 0 when not known.
    pub width: u32,
    /// In pixels; 0 when not known.
    pub height: u32,
    /// JPEG, or PNG where transparency counts; empty when there is none.
    pub thumbnail: Vec<u8>,
    /// In seconds, at least 1.
    pub seconds: Option<u32>,
    /// 64 values of 0 to 100, or empty.
    pub waveform: Vec<u8>,
}

/// What to look for in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Size and thumbnail.
    Picture,
    /// The same, with transparency.
    Sticker,
    /// Duration and waveform.
    Sound,
    /// Size and duration.
    Film,
}

impl Sight {
    /// `None` for a kind or a type that nothing is known of.
    pub fn of(kind: Kind, mime_type: &str) -> Option<Sight> {
        match kind {
            Kind::Image => picture::can_look_at(mime_type).then_some(Sight::Picture),
            Kind::Sticker => picture::can_look_at(mime_type).then_some(Sight::Sticker),
            Kind::Audio => sound::can_look_at(essence(mime_type)).then_some(Sight::Sound),
            Kind::Video => film::can_look_at(essence(mime_type)).then_some(Sight::Film),
            _ => None,
        }
    }
}

/// A media type without its parameters.
fn essence(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

/// A right to look at a file, to be had before the file is read.
pub struct Place(OwnedSemaphorePermit);

/// Waits for a place.
pub async fn place() -> Place {
    Place(PLACES.clone().acquire_owned().await.expect("it is never closed"))
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("it is too large")]
    TooLarge,
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Picture(#[from] image::ImageError),
    #[error(transparent)]
    Sound(#[from] symphonia::core::errors::Error),
    #[error("no film: {0:?}")]
    Film(mp4parse::Error),
}

/// Looks at a file on a thread of its own.
pub async fn look(place: Place, sight: Sight, file: Plain) -> Seen {
    let looked = tokio::task::spawn_blocking(move || {
        let _place = place.0;
        read(sight, file)
    });
    match looked.await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => {
            tracing::debug!(%error, ?sight, "a file that cannot be looked at");
            Seen::default()
        }
        // A decoder failed in a way that it should not; the file is sent all the same.
        Err(error) => {
            tracing::warn!(%error, ?sight, "a file could not be looked at");
            Seen::default()
        }
    }
}

fn read(sight: Sight, file: Plain) -> Result<Seen, Unseen> {
    let length = file.length();
    let mut file = InTime { file, until: Instant::now() + READING };
    match sight {
        Sight::Picture | Sight::Sticker => {
            if length > picture::LARGEST {
                return Err(Unseen::TooLarge);
            }
            let mut whole = Vec::new();
            file.read_to_end(&mut whole)?;
            Ok(picture::look(&whole, sight == Sight::Sticker)?)
        }
        Sight::Sound => Ok(sound::look(file, length)?),
        Sight::Film => film::look(file).map_err(Unseen::Film),
    }
}

/// A duration that a file tells, as WhatsApp's clients count it. `None` when it makes no sense.
fn whole_seconds(seconds: f64) -> Option<u32> {
    (0.0..=LONGEST).contains(&seconds).then(|| (seconds.round() as u32).max(1))
}

/// A file that can be read until some moment, so that nobody goes back and forth in it for ever.
struct InTime<F> {
    file: F,
    until: Instant,
}

impl<F> InTime<F> {
    fn check(&self) -> io::Result<()> {
        if Instant::now() < self.until { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

impl<F: Read> Read for InTime<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.file.read(into)
    }
}

impl<F: Seek> Seek for InTime<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.check()?;
        self.file.seek(to)
    }
}
