//! A file that has come in, read as it is: decrypted piece by piece, for whoever looks at it on a thread of its own.
//!
//! What must hold: memory does not grow with the file, and it is never on the disk decrypted. A cipher stream goes
//! forward only, so going back begins anew; those who read so have a time limit.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use roost_proto::media::{Decryptor, Hashes, MediaKey, MediaKind};

/// Bytes that are read from the disk at a time.
const PIECE: usize = 64 << 10;

/// A file, decrypted.
pub struct Plain {
    file: File,
    key: MediaKey,
    kind: MediaKind,
    hashes: Hashes,
    length: u64,
    /// `None` when all has been read.
    decryptor: Option<Decryptor>,
    /// What has been decrypted, and where it begins in the file.
    piece: Vec<u8>,
    begins: u64,
    /// Where the reader stands.
    at: u64,
}

impl Plain {
    /// The plain bytes of an encrypted file, which has this many of them.
    pub(super) fn new(file: File, key: MediaKey, kind: MediaKind, hashes: Hashes, length: u64) -> Plain {
        // The reader stands before what there is, so the first read begins.
        let (piece, begins) = (Vec::new(), u64::MAX);
        Plain { file, key, kind, hashes, length, decryptor: None, piece, begins, at: 0 }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.decryptor = Some(Decryptor::new(&self.key, self.kind));
        self.piece.clear();
        self.begins = 0;
        Ok(())
    }

    /// Decrypts the next piece. Returns whether there was one.
    fn next(&mut self) -> io::Result<bool> {
        let Some(mut decryptor) = self.decryptor.take() else { return Ok(false) };
        self.begins += self.piece.len() as u64;
        self.piece.clear();
        let mut sealed = vec![0; PIECE];
        match self.file.read(&mut sealed)? {
            0 => {
                let ended = decryptor.finish(&self.hashes, &mut self.piece);
                ended.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            read => {
                decryptor.update(&sealed[..read], &mut self.piece);
                self.decryptor = Some(decryptor);
            }
        }
        Ok(true)
    }
}

impl Read for Plain {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length {
            return Ok(0);
        }
        if self.at < self.begins {
            self.begin()?;
        }
        while self.at >= self.begins + self.piece.len() as u64 {
            if !self.next()? {
                return Ok(0);
            }
        }
        let from = usize::try_from(self.at - self.begins).expect("it is within a piece");
        let count = into.len().min(self.piece.len() - from);
        into[..count].copy_from_slice(&self.piece[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Plain {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use roost_proto::media::Encryptor;

    use super::*;

    fn plain(file: &[u8]) -> Plain {
        let key = MediaKey::generate(&mut rand::rng());
        let (mut encryptor, mut blob) = (Encryptor::new(&key, MediaKind::Audio), Vec::new());
        encryptor.update(file, &mut blob);
        let sealed = encryptor.finish(&mut blob);
        let mut on_disk = tempfile::tempfile().expect("a file");
        on_disk.write_all(&blob).expect("written");
        Plain::new(on_disk, key, MediaKind::Audio, sealed.hashes, sealed.length)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_file_is_read_whole_whatever_its_length() {
        for length in [1, 16, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let (file, mut read) = (bytes(length), Vec::new());
            let mut plain = plain(&file);
            plain.read_to_end(&mut read).expect("read");
            assert!(read == file, "{length}");
        }
    }

    #[test]
    fn a_reader_may_go_anywhere() {
        let file = bytes(3 * PIECE);
        let mut plain = plain(&file);
        for at in [2 * PIECE + 5, 7, PIECE, 3 * PIECE - 4, 0] {
            plain.seek(SeekFrom::Start(at as u64)).expect("a place");
            let mut four = [0; 4];
            plain.read_exact(&mut four).expect("read");
            assert_eq!(four, file[at..at + 4], "{at}");
        }
        assert_eq!(plain.seek(SeekFrom::End(-1)).expect("a place"), file.len() as u64 - 1);
        plain.seek(SeekFrom::Current(5)).expect("behind the end");
        assert_eq!(plain.read(&mut [0; 4]).expect("nothing"), 0);
        assert!(plain.seek(SeekFrom::End(-(3 * PIECE as i64) - 1)).is_err());
    }
}
