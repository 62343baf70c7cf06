//! Files on their way in: encrypted while they come, gathered on disk, described when they are whole.
//!
//! What must hold: no plaintext touches the disk; a file that does not become whole leaves nothing behind, and what a process
//! has left that was killed goes before long.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use roost_proto::media::{Encryptor, MediaKey, MediaKind, Sealed};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::blobs::Pieces;
use super::plain::Plain;
use super::problem::MediaProblem;

/// Bytes that are read from a file at a time.
const PIECE: usize = 64 << 10;

/// How files here end.
const SUFFIX: &str = "spool";
/// One that nobody has written to for so long is left over: whoever is given a file waits less for its next piece.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// A file that is coming in.
pub struct Spooling {
    key: MediaKey,
    encryptor: Encryptor,
    file: Spool,
    sealed: Vec<u8>,
    taken: u64,
    most: u64,
}

/// A file that has come in whole.
pub struct Spooled {
    /// Its key.
    pub key: MediaKey,
    /// Its hashes and lengths.
    pub sealed: Sealed,
    file: Spool,
}

/// An encrypted file on disk that goes with its handle.
struct Spool {
    path: PathBuf,
    file: File,
}

impl Drop for Spool {
    fn drop(&mut self) {
        // A store may have moved it; what is left of it is of no use to anybody.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Spooling {
    /// Begins in this folder, which is made if need be. `name` is unique; `most` bytes are taken.
    pub async fn begin(
        folder: &Path,
        name: &str,
        kind: MediaKind,
        most: u64,
    ) -> Result<Spooling, MediaProblem> {
        fs::create_dir_all(folder).await.map_err(MediaProblem::spool)?;
        let path = folder.join(format!("{name}.{SUFFIX}"));
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).await.map_err(MediaProblem::spool)?;
        let key = MediaKey::generate(&mut rand::rng());
        let encryptor = Encryptor::new(&key, kind);
        Ok(Spooling { key, encryptor, file: Spool { path, file }, sealed: Vec::new(), taken: 0, most })
    }

    /// Takes its name off the disk, for a file that is read here alone: so it goes with this process, however that ends.
    pub async fn nameless(self) -> Result<Spooling, MediaProblem> {
        fs::remove_file(&self.file.path).await.map_err(MediaProblem::spool)?;
        Ok(self)
    }

    /// Takes the next piece.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), MediaProblem> {
        self.taken += piece.len() as u64;
        if self.taken > self.most {
            return Err(MediaProblem::TooLarge { most: self.most });
        }
        self.sealed.clear();
        self.encryptor.update(piece, &mut self.sealed);
        self.file.file.write_all(&self.sealed).await.map_err(MediaProblem::spool)
    }

    /// There is no more; it is on disk when this returns.
    pub async fn finish(mut self) -> Result<Spooled, MediaProblem> {
        self.sealed.clear();
        let sealed = self.encryptor.finish(&mut self.sealed);
        let file = &mut self.file.file;
        file.write_all(&self.sealed).await.map_err(MediaProblem::spool)?;
        // A write is heard to have failed with whatever comes next; the sync would not say it.
        file.flush().await.map_err(MediaProblem::spool)?;
        file.sync_all().await.map_err(MediaProblem::spool)?;
        if file.metadata().await.map_err(MediaProblem::spool)?.len() != sealed.sealed_length {
            return Err(MediaProblem::spool(io::ErrorKind::WriteZero.into()));
        }
        Ok(Spooled { key: self.key, sealed, file: self.file })
    }
}

impl Spooled {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Reads it from the beginning.
    pub async fn read(&mut self) -> Result<Pieces, MediaProblem> {
        self.file.file.seek(SeekFrom::Start(0)).await.map_err(MediaProblem::spool)?;
        let file = self.file.file.try_clone().await.map_err(MediaProblem::spool)?;
        Ok(pieces(file))
    }

    /// The file as it is, for a reader on another thread.
    pub async fn plain(&self, kind: MediaKind) -> Result<Plain, MediaProblem> {
        let file = self.file.file.try_clone().await.map_err(MediaProblem::spool)?.into_std().await;
        Ok(Plain::new(file, self.key.clone(), kind, self.sealed.hashes, self.sealed.length))
    }
}

/// Keeps this folder clear of what killed processes have left, until it is dropped.
pub async fn keep_clear(folder: PathBuf) {
    loop {
        // The folder is made with the first file.
        if let Err(error) = clear(&folder, SystemTime::now()).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what is left in the spool folder stays there");
        }
        tokio::time::sleep(LEFT_OVER / 4).await;
    }
}

/// Removes what killed processes have left in this folder. What cannot be removed holds nothing up: of that the last is told.
async fn clear(folder: &Path, now: SystemTime) -> io::Result<()> {
    let mut files = fs::read_dir(folder).await?;
    let mut done = Ok(());
    while let Some(file) = files.next_entry().await? {
        let path = file.path();
        // One that is gone by now is no trouble.
        let Ok(seen) = file.metadata().await else { continue };
        let age = seen.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
        if age >= LEFT_OVER && path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            tracing::info!(path = %path.display(), "a file that a process has left is removed");
            match fs::remove_file(&path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => done = Err(error),
                _ => {}
            }
        }
    }
    done
}

/// A file from where it stands, in pieces.
pub(super) fn pieces(file: File) -> Pieces {
    Box::pin(futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    }))
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use roost_proto::media::Decryptor;

    use super::*;

    #[tokio::test]
    async fn what_lies_on_disk_is_encrypted_and_goes_with_its_handle() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spooling =
            Spooling::begin(folder.path(), "one", MediaKind::Document, 1000).await.expect("begun");
        for piece in [&b"a secret "[..], b"in two pieces"] {
            spooling.write(piece).await.expect("written");
        }
        let mut spooled = spooling.finish().await.expect("whole");
        let path = spooled.path().to_owned();
        let blob = std::fs::read(&path).expect("it is there");
        assert!(!blob.windows(6).any(|window| window == b"secret"));
        let read: Vec<Bytes> = spooled.read().await.expect("read").try_collect().await.expect("pieces");
        assert_eq!(read.concat(), blob);
        let (mut decryptor, mut plain) = (Decryptor::new(&spooled.key, MediaKind::Document), Vec::new());
        decryptor.update(&blob, &mut plain);
        decryptor.finish(&spooled.sealed.hashes, &mut plain).expect("our own");
        assert_eq!(plain, b"a secret in two pieces");
        drop(spooled);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_disk_that_is_full_at_the_last_write_is_not_taken_for_a_whole_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = Spooling::begin(folder.path(), "full", MediaKind::Document, 1000).await;
        let mut spooling = begun.expect("begun");
        spooling.file.file = File::options().write(true).open("/dev/full").await.expect("it is there");
        let refused = spooling.finish().await.map(drop);
        let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        assert!(matches!(&refused, Err(MediaProblem::Spool(error)) if full(error)), "{refused:?}");
    }

    #[tokio::test]
    async fn a_file_without_a_name_is_read_like_any_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let spooling =
            Spooling::begin(folder.path(), "three", MediaKind::History, 1000).await.expect("begun");
        let mut spooling = spooling.nameless().await.expect("it has no name");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        spooling.write(b"of the past").await.expect("written");
        let mut spooled = spooling.finish().await.expect("whole");
        let read: Vec<Bytes> = spooled.read().await.expect("read").try_collect().await.expect("pieces");
        assert_eq!(read.concat().len() as u64, spooled.sealed.sealed_length);
    }

    #[tokio::test]
    async fn what_a_killed_process_has_left_goes_when_it_is_old() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["left.spool", "other.txt"] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        let there = || std::fs::read_dir(folder.path()).expect("a folder").count();
        clear(folder.path(), SystemTime::now()).await.expect("cleared");
        assert_eq!(there(), 2, "somebody may be writing to it");
        clear(folder.path(), SystemTime::now() + LEFT_OVER).await.expect("cleared");
        assert_eq!(there(), 1);
        assert!(folder.path().join("other.txt").exists());
        assert!(clear(&folder.path().join("none"), SystemTime::now()).await.is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_removed_holds_up_nothing_that_can() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b", "c", "d"] {
            // Whichever comes first, a folder is no file and stays.
            std::fs::create_dir(folder.path().join(format!("{name}.spool"))).expect("made");
            std::fs::write(folder.path().join(format!("{name}{name}.spool")), "x").expect("written");
        }
        assert!(clear(folder.path(), SystemTime::now() + LEFT_OVER).await.is_err(), "it is told");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 4);
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spooling = Spooling::begin(folder.path(), "two", MediaKind::Image, 10).await.expect("begun");
        spooling.write(&[1; 10]).await.expect("just as large as allowed");
        assert!(matches!(spooling.write(&[1]).await, Err(MediaProblem::TooLarge { most: 10 })));
        drop(spooling);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
