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
mod still;
mod waveform;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use roost_proto::api::media::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use super::plain::Plain;

/// Files that are looked at at a time in one process.
const AT_ONCE: usize = 2;
/// How long a file may be read.
const READING: Duration = Duration::from_secs(10);
/// How long a file waits for others that are looked at.
const MOMENT: Duration = Duration::from_secs(3);
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
    /// Size and duration, and a thumbnail with the help of a program.
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
#[derive(Clone)]
pub struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Waits a moment for a place. `None` when others take long: what nobody has looked at is sent all the same.
pub async fn place() -> Option<Place> {
    let permit = tokio::time::timeout(MOMENT, PLACES.clone().acquire_owned()).await.ok()?;
    Some(Place { _permit: Arc::new(permit.expect("it is never closed")) })
}

/// Why something was not found.
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
    #[error(transparent)]
    Film(#[from] film::NoFilm),
    #[error("the program that takes stills cannot be run")]
    Ffmpeg(#[source] io::Error),
    #[error("the program that takes stills took too long")]
    Late,
    #[error("the program that takes stills gave none")]
    NoStill,
    /// A reader failed in a way that it should not.
    #[error(transparent)]
    Broken(JoinError),
}

/// Looks at a file on a thread of its own, and with this program at a film.
pub async fn look(place: Place, sight: Sight, file: Plain, ffmpeg: Option<&Path>) -> Seen {
    if sight != Sight::Film {
        return found(sight, aside(&place, move || read(sight, file)).await);
    }
    let (still, wanted) = (ffmpeg.is_some(), file.length() <= still::LARGEST);
    let told = aside(&place, move || read_film(file, still && wanted)).await;
    let (mut seen, film) = found(sight, told);
    if let (Some(ffmpeg), Some(film)) = (ffmpeg, film) {
        seen.thumbnail = found(sight, thumbnail(&place, ffmpeg, film).await);
    }
    seen
}

/// The file is sent all the same.
fn found<T: Default>(sight: Sight, looked: Result<T, Unseen>) -> T {
    looked.unwrap_or_else(|error| {
        match error {
            Unseen::Broken(error) => tracing::warn!(%error, ?sight, "a file could not be looked at"),
            error => tracing::debug!(error = &error as &dyn Error, ?sight, "a file that cannot be looked at"),
        }
        T::default()
    })
}

/// Works on a thread of its own, which keeps the place for as long as it takes.
async fn aside<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce() -> Result<T, Unseen> + Send + 'static,
) -> Result<T, Unseen> {
    let place = place.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.unwrap_or_else(|error| Err(Unseen::Broken(error)))
}

fn read(sight: Sight, file: Plain) -> Result<Seen, Unseen> {
    let length = file.length();
    let mut file = InTime { file, until: Instant::now() + READING };
    if length > if sight == Sight::Sound { sound::LARGEST } else { picture::LARGEST } {
        return Err(Unseen::TooLarge);
    }
    if sight == Sight::Sound {
        return Ok(sound::look(file, length)?);
    }
    let mut whole = Vec::new();
    file.read_to_end(&mut whole)?;
    Ok(picture::look(&whole, sight == Sight::Sticker)?)
}

/// What a film tells, and the film itself if a still of it is wanted.
fn read_film(file: Plain, still: bool) -> Result<(Seen, Option<File>), Unseen> {
    let mut file = InTime { file, until: Instant::now() + READING };
    let seen = found(Sight::Film, film::look(&mut file).map_err(Unseen::from));
    if !still {
        return Ok((seen, None));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((seen, Some(still::in_memory(file)?)))
}

/// The still of a film as it is shown before the film is there.
async fn thumbnail(place: &Place, ffmpeg: &Path, film: File) -> Result<Vec<u8>, Unseen> {
    let still = still::still(ffmpeg, film, still::LONGEST).await?;
    aside(place, move || Ok(picture::look(&still, false)?.thumbnail)).await
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
