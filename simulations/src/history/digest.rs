//! The running hash of a history.
//!
//! What must hold: everything that tells two facts apart goes in, integers in one byte order, so that the
//! same run has the same hash on every machine.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};

/// SHA-256 over the facts so far.
#[derive(Default)]
pub(super) struct Running {
    digest: Sha256,
    /// One fact: a digest takes many small pieces slowly.
    fact: Vec<u8>,
}

impl Running {
    pub(super) fn add(&mut self, fact: &impl Hash) {
        self.fact.clear();
        fact.hash(&mut Feed(&mut self.fact));
        self.digest.update(&self.fact);
    }

    pub(super) fn hex(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }
}

/// Lets derived `Hash` write bytes.
struct Feed<'a>(&'a mut Vec<u8>);

macro_rules! little_endian {
    ($($name:ident: $kind:ty),* $(,)?) => {
        $(fn $name(&mut self, value: $kind) {
            self.0.extend_from_slice(&value.to_le_bytes());
        })*
    };
}

impl Hasher for Feed<'_> {
    fn finish(&self) -> u64 {
        unreachable!("the digest itself is read")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    little_endian!(write_u16: u16, write_u32: u32, write_u64: u64, write_i16: i16, write_i32: i32, write_i64: i64);

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_i64(value as i64);
    }
}

/// The first 8 bytes of SHA-256: names bytes in facts that would be too long to keep.
pub fn short_digest(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    u64::from_be_bytes(digest.as_slice()[..8].try_into().expect("a digest has 32 bytes"))
}
