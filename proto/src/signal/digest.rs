//! What WhatsApp says that it has of a device's keys, so that the device can compare.
//!
//! What must hold: the hash is SHA-1 over identity, signed prekey, its signature and the listed one-time prekeys, in
//! the order of the list. (WhatsApp Web compares the same; no peer learns of it.)

use sha1::{Digest as _, Sha1};

use super::PublicSignedPrekey;
use crate::stanza::{Missing, Read, Stanza};

/// The most one-time prekeys that are looked at: ids have 24 bits, and no client uploads as many as this.
const LISTED: usize = 1 << 16;

/// `<digest>`: what WhatsApp has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigest {
    /// Registration id.
    pub registration_id: u32,
    /// Identity key.
    pub identity: [u8; 32],
    /// The signed prekey that is handed out.
    pub signed_prekey: PublicSignedPrekey,
    /// Ids of the one-time prekeys that were not handed out yet, in WhatsApp's order.
    pub one_time: Vec<u32>,
    /// Over all of them.
    pub hash: [u8; 20],
}

impl KeyDigest {
    /// Reads `<digest>`.
    ///
    /// # Errors
    /// [`Missing`]: it lacks something.
    pub fn read(digest: &Stanza) -> Result<KeyDigest, Missing> {
        let signed = digest.need_child("skey")?;
        let listed = digest.child("list").map(Read::all).unwrap_or_default().iter().take(LISTED);
        let ids = listed.filter_map(|id| match id.leaf() {
            Some(&[a, b, c]) => Some(u32::from_be_bytes([0, a, b, c])),
            _ => None,
        });
        Ok(KeyDigest {
            registration_id: u32::try_from(digest.need_be("registration", 4)?).expect("four bytes"),
            identity: digest.need_bytes("identity")?,
            signed_prekey: PublicSignedPrekey {
                id: u32::try_from(signed.need_be("id", 3)?).expect("three bytes"),
                public: signed.need_bytes("value")?,
                signature: signed.need_bytes("signature")?,
            },
            one_time: ids.collect(),
            hash: digest.need_bytes("hash")?,
        })
    }

    /// The hash that stands for the keys named here, when the one-time prekeys are these.
    pub fn hash_with<'a>(&self, one_time: impl IntoIterator<Item = &'a [u8; 32]>) -> [u8; 20] {
        let mut hash = Sha1::new();
        hash.update(self.identity);
        hash.update(self.signed_prekey.public);
        hash.update(self.signed_prekey.signature);
        one_time.into_iter().for_each(|public| hash.update(public));
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Builder;

    fn digest(parts: &[&str]) -> Stanza {
        let leaf = |tag: &'static str, bytes: &[u8]| Builder::new(tag).bytes(bytes.to_vec()).build();
        let skey = [leaf("id", &[0, 0, 7]), leaf("value", &[2; 32]), leaf("signature", &[3; 64])];
        let ids = [leaf("id", &[0, 1, 0]), leaf("id", &[0, 0, 9]), leaf("id", &[9])];
        let all = [
            leaf("registration", &[0, 0, 1, 2]),
            leaf("identity", &[1; 32]),
            Builder::new("skey").children(skey).build(),
            Builder::new("list").children(ids).build(),
            leaf("hash", &[4; 20]),
        ];
        let kept = all.into_iter().filter(|part| parts.is_empty() || parts.contains(&&*part.tag));
        Builder::new("digest").children(kept).build()
    }

    #[test]
    fn it_names_the_keys_that_whatsapp_has_in_their_order() {
        let read = KeyDigest::read(&digest(&[])).expect("complete");
        assert_eq!((read.registration_id, read.signed_prekey.id), (258, 7));
        assert_eq!(read.one_time, [256, 9], "an id has three bytes");
        assert!(KeyDigest::read(&digest(&["registration", "identity", "skey", "list"])).is_err());
        assert!(KeyDigest::read(&digest(&["identity", "list", "hash"])).is_err());
    }

    #[test]
    fn the_hash_depends_on_the_order_of_the_prekeys() {
        let read = KeyDigest::read(&digest(&[])).expect("complete");
        let (a, b) = ([5; 32], [6; 32]);
        assert_ne!(read.hash_with([&a, &b]), read.hash_with([&b, &a]));
        assert_eq!(hex::encode(read.hash_with([])), SHA1_OF_THE_REST);
    }

    /// Of 32 bytes 01, 32 bytes 02 and 64 bytes 03.
    const SHA1_OF_THE_REST: &str = "d3cbdce98e6f71fc557487685a17f13a4524861f";
}
