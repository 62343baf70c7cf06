//! no-key-reuse: WhatsApp never sees one message key with two ciphertexts, nor one prekey id with two keys.
//!
//! Accuses by Ciphertext, Prekey and SignedPrekey, as WhatsApp sees them.

use std::collections::BTreeMap;

use roost_proto::id::DeviceKey;

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct NoKeyReuse {
    /// Which ciphertext a key was seen with: sender, receiver, key.
    ciphertexts: BTreeMap<(String, String, u64), u64>,
    prekeys: BTreeMap<(DeviceKey, u32), u64>,
    signed: BTreeMap<(DeviceKey, u32), u64>,
}

impl Check for NoKeyReuse {
    fn name(&self) -> &'static str {
        "no-key-reuse"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Ciphertext { from, to, key, digest } => {
                let place = (from.clone(), to.clone(), *key);
                let before = *self.ciphertexts.entry(place).or_insert(*digest);
                hold(before == *digest, || format!("{from} encrypts twice for {to} under {key:x}"))
            }
            What::Prekey { key, id, public } => {
                let before = *self.prekeys.entry((key.clone(), *id)).or_insert(*public);
                hold(before == *public, || format!("{key} gives the id {id} to another prekey"))
            }
            What::SignedPrekey { key, id, public } => {
                let before = *self.signed.entry((key.clone(), *id)).or_insert(*public);
                hold(before == *public, || format!("{key} gives the id {id} to another signed prekey"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{judge, key};
    use super::*;

    fn ciphertext(key: u64, digest: u64) -> What {
        What::Ciphertext { from: "1".to_owned(), to: "2".to_owned(), key, digest }
    }

    #[test]
    fn a_key_with_other_bytes_is_seen_and_the_same_bytes_again_are_fine() {
        assert!(judge(NoKeyReuse::default(), [ciphertext(1, 1), ciphertext(1, 2)]).is_some());
        let facts = [ciphertext(1, 1), ciphertext(1, 1), ciphertext(2, 2)];
        assert_eq!(judge(NoKeyReuse::default(), facts), None);
    }

    #[test]
    fn a_prekey_id_with_another_key_is_seen() {
        let prekey = |public| What::Prekey { key: key(), id: 7, public };
        assert!(judge(NoKeyReuse::default(), [prekey(1), prekey(2)]).is_some());
        assert_eq!(judge(NoKeyReuse::default(), [prekey(1), prekey(1)]), None);
        let signed = |public| What::SignedPrekey { key: key(), id: 7, public };
        assert!(judge(NoKeyReuse::default(), [signed(1), signed(2)]).is_some());
        assert_eq!(judge(NoKeyReuse::default(), [prekey(1), signed(2), signed(2)]), None);
    }
}
