//! One picture out of a film, by an `ffmpeg` that the operator has named.
//!
//! What must hold: every good decoder of films is written in C and reads files of strangers here, so it runs as a process
//! of its own: with an empty environment, with limits of memory and time, without the right to write a file, and with the
//! film as the only thing that it is given. The film is in memory and has no name, so nothing decrypted is on the disk.
//! It does run as the user of the node: who wants more distance names a program that confines it first, and then becomes it
//! (`exec`), or sets limits of its own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Unseen;

/// Largest film of which a still is made.
pub(super) const LARGEST: u64 = 16 << 20;
/// Largest still that is taken: a PNG of 100 by 100 pixels fits twice.
const MOST: usize = 64 << 10;
/// How long it may take.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
/// Memory of the process, with its code.
const MEMORY: u64 = 1 << 30;

/// From standard input, which can be sought; one picture as PNG to standard output. It reads files alone, opens nothing
/// that the film names, and takes no picture that is larger than a frame of 4096 by 2304 pixels.
const ARGUMENTS: &str = "-hide_banner -loglevel quiet -nostats -max_alloc 134217728 -filter_threads 1 \
    -protocol_whitelist file -threads 1 -max_pixels 9437184 -f mov -i /dev/stdin \
    -map 0:v:0 -frames:v 1 -vf scale=100:100:force_original_aspect_ratio=decrease \
    -threads 1 -pix_fmt rgb24 -c:v png -f image2pipe pipe:1";

/// A film in memory.
pub(super) fn in_memory(mut film: impl Read) -> io::Result<File> {
    let mut memory = File::from(memfd_create("film", MemfdFlags::CLOEXEC)?);
    io::copy(&mut film, &mut memory)?;
    Ok(memory)
}

/// The first picture of a film, as PNG with a longest side of 100 pixels.
pub(super) async fn still(ffmpeg: &Path, film: File, longest: Duration) -> Result<Vec<u8>, Unseen> {
    let mut process = Command::new(ffmpeg)
        .args(ARGUMENTS.split_ascii_whitespace())
        .env_clear()
        .current_dir("/")
        .stdin(film)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(Unseen::Ffmpeg)?;
    let id = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut group = Group(id);
    let id = id.expect("it has not been waited for");
    confine(id).map_err(Unseen::Ffmpeg)?;
    let stdout = process.stdout.take().expect("it is a pipe");
    let mut still = Vec::new();
    let ended = async {
        stdout.take(MOST as u64 + 1).read_to_end(&mut still).await?;
        process.wait().await
    };
    let ended = tokio::time::timeout(longest, ended).await.map_err(|_| Unseen::Late)?;
    // From here on its number may be another's.
    group.0 = None;
    let good = ended.map_err(Unseen::Ffmpeg)?.success() && (1..=MOST).contains(&still.len());
    if good { Ok(still) } else { Err(Unseen::NoStill) }
}

/// A process and what it has started, which end with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // They may have ended by themselves.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Limits that the process cannot lift. They come a moment after its start, when it has not read anything yet.
fn confine(process: Pid) -> io::Result<()> {
    let limits = [
        (Resource::As, MEMORY),
        (Resource::Cpu, LONGEST.as_secs()),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        prlimit(Some(process), resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::kept::FILM;
    use super::super::picture;
    use super::*;

    /// That of this machine; says so when it has none.
    fn ffmpeg() -> Option<PathBuf> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = std::env::split_paths(&folders).map(|folder| folder.join("ffmpeg"));
        let found = paths.find(|path| path.is_file());
        if found.is_none() {
            eprintln!("left out: there is no ffmpeg");
        }
        found
    }

    /// One that is kept beside the films.
    fn kept(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/media/look/kept").join(name)
    }

    fn film(bytes: &[u8]) -> File {
        in_memory(bytes).expect("memory")
    }

    #[tokio::test]
    async fn a_film_has_a_small_picture() {
        let Some(ffmpeg) = ffmpeg() else { return };
        let png = still(&ffmpeg, film(FILM), LONGEST).await.expect("a still");
        let seen = picture::look(&png, false).expect("a picture");
        assert_eq!((seen.width, seen.height), (100, 75));
        assert!(seen.thumbnail.starts_with(&[0xff, 0xd8]), "a JPEG");
    }

    #[tokio::test]
    async fn what_is_no_film_or_a_playlist_has_no_picture() {
        let Some(ffmpeg) = ffmpeg() else { return };
        let playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n";
        for file in [&FILM[..FILM.len() / 2], b"not a film", b"", playlist] {
            let refused = still(&ffmpeg, film(file), LONGEST).await;
            assert!(matches!(refused, Err(Unseen::NoStill)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_or_takes_too_long_is_stopped() {
        let refused = still(&kept("says-too-much"), film(FILM), LONGEST).await;
        assert!(matches!(refused, Err(Unseen::NoStill)), "{refused:?}");
        let refused = still(&kept("takes-too-long"), film(FILM), Duration::from_millis(300)).await;
        assert!(matches!(refused, Err(Unseen::Late)), "{refused:?}");
        let refused = still(&kept("starts-another"), film(FILM), Duration::from_millis(300)).await;
        assert!(matches!(refused, Err(Unseen::Late)), "{refused:?}");
        let missing = still(Path::new("/nonexistent/ffmpeg"), film(FILM), LONGEST).await;
        assert!(matches!(missing, Err(Unseen::Ffmpeg(_))));
    }
}
