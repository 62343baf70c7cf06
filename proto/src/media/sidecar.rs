//! MACs of the parts of a blob, with which a client checks each part alone and plays before all has come.
//!
//! What must hold: part `n` is the blob from `n` times 64 KiB on and one block of the next part with it; its MAC is the
//! first ten bytes of HMAC-SHA256 under the blob's own key. The MAC at the end of the blob is of the last part. Rule:
//! what whatsapp-rust computes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

const PART: usize = 64 << 10;
/// What a part has of the next one.
const OVERLAP: usize = 16;
const MAC: usize = 10;

/// Computes them while a blob is made.
pub(super) struct Sidecar {
    key: Zeroizing<[u8; 32]>,
    part: Hmac<Sha256>,
    /// The part before, while it still takes its overlap.
    before: Option<Hmac<Sha256>>,
    /// Bytes of the part so far.
    at: usize,
    macs: Vec<u8>,
}

impl Sidecar {
    pub(super) fn new(key: [u8; 32]) -> Sidecar {
        Sidecar { part: hmac(&key), key: Zeroizing::new(key), before: None, at: 0, macs: Vec::new() }
    }

    /// The next bytes of the blob.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let limit = if self.before.is_some() { OVERLAP } else { PART };
            let (now, rest) = bytes.split_at(bytes.len().min(limit - self.at));
            self.part.update(now);
            if let Some(before) = &mut self.before {
                before.update(now);
            }
            self.at += now.len();
            bytes = rest;
            if self.at == OVERLAP {
                self.end_before();
            }
            if self.at == PART {
                self.before = Some(std::mem::replace(&mut self.part, hmac(&self.key)));
                self.at = 0;
            }
        }
    }

    /// All of them, in order.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_before();
        if self.at > 0 {
            self.macs.extend_from_slice(&self.part.finalize().into_bytes()[..MAC]);
        }
        self.macs
    }

    fn end_before(&mut self) {
        if let Some(before) = self.before.take() {
            self.macs.extend_from_slice(&before.finalize().into_bytes()[..MAC]);
        }
    }
}

fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the rule, from a blob that is there as a whole.
    fn by_rule(key: &[u8; 32], blob: &[u8]) -> Vec<u8> {
        let parts = (0..blob.len()).step_by(PART).map(|from| {
            let part = &blob[from..blob.len().min(from + PART + OVERLAP)];
            hmac(key).chain_update(part).finalize().into_bytes()[..MAC].to_vec()
        });
        parts.collect::<Vec<_>>().concat()
    }

    #[test]
    fn the_parts_are_the_same_whatever_the_pieces() {
        let blob: Vec<u8> = (0..PART * 3).map(|at| (at % 251) as u8).collect();
        for length in [0, 10, OVERLAP, PART - 1, PART, PART + 1, PART + OVERLAP, 2 * PART + 42, 3 * PART] {
            for piece in [7, OVERLAP, 1000, PART, 3 * PART] {
                let mut sidecar = Sidecar::new([5; 32]);
                blob[..length].chunks(piece).for_each(|piece| sidecar.update(piece));
                assert_eq!(sidecar.finish(), by_rule(&[5; 32], &blob[..length]), "{length} by {piece}");
            }
        }
    }
}
