//! The signed prekeys of one device: the one that WhatsApp hands out, the next one until WhatsApp has
//! confirmed it, and earlier ones for messages that are still on their way.
//!
//! What must hold: whichever of them WhatsApp may be handing out is here, so that a message under it can be
//! read; an offered key keeps its id and bytes until WhatsApp has answered, so that offering it again is
//! harmless; private halves are gone [`SignedPrekeys::EARLIER`] rotations after their time.

use rand::{CryptoRng, Rng};

use super::keys::{KeyPair, KeysError, sized, typed};
use super::prekeys::PREKEY_ID_MAX;
use crate::id::UnixMillis;

/// The public half of a signed prekey, as it is uploaded and put into bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicSignedPrekey {
    /// 24 bits.
    pub id: u32,
    /// 32 bytes, without the type byte.
    pub public: [u8; 32],
    /// XEdDSA by the identity key over `05 ‖ public`.
    pub signature: [u8; 64],
}

/// One of them, with its private half.
#[derive(Clone)]
pub(super) struct SignedPrekey {
    pub(super) id: u32,
    pub(super) pair: KeyPair,
    pub(super) signature: [u8; 64],
}

impl SignedPrekey {
    pub(super) fn generate<R: Rng + CryptoRng>(id: u32, identity: &KeyPair, rng: &mut R) -> SignedPrekey {
        let pair = KeyPair::generate(rng);
        let signature = identity.sign(&typed(pair.public()), rng);
        SignedPrekey { id, pair, signature }
    }

    pub(super) fn public(&self) -> PublicSignedPrekey {
        PublicSignedPrekey { id: self.id, public: *self.pair.public(), signature: self.signature }
    }

    fn to_stored(&self) -> StoredSignedPrekey {
        StoredSignedPrekey {
            id: self.id,
            private: self.pair.private().to_vec(),
            signature: self.signature.to_vec(),
        }
    }

    fn from_stored(stored: &StoredSignedPrekey) -> Result<SignedPrekey, KeysError> {
        Ok(SignedPrekey {
            id: stored.id,
            pair: KeyPair::from_private(sized("signed prekey", &stored.private)?),
            signature: sized("signature", &stored.signature)?,
        })
    }
}

/// All signed prekeys that a device has.
#[derive(Clone)]
pub struct SignedPrekeys {
    current: SignedPrekey,
    since: Option<UnixMillis>,
    next: Option<SignedPrekey>,
    /// Newest first.
    earlier: Vec<SignedPrekey>,
}

impl SignedPrekeys {
    /// How many are kept after their time. With WhatsApp's clients replacing them every 27 days, a message
    /// that was encrypted almost two months ago can still be read.
    pub const EARLIER: usize = 2;

    pub(super) fn new(current: SignedPrekey) -> SignedPrekeys {
        SignedPrekeys { current, since: None, next: None, earlier: Vec::new() }
    }

    pub(super) fn current(&self) -> &SignedPrekey {
        &self.current
    }

    pub(super) fn find(&self, id: u32) -> Option<&SignedPrekey> {
        let all = std::iter::once(&self.current).chain(&self.next).chain(&self.earlier);
        all.into_iter().find(|known| known.id == id)
    }

    /// Since when the present one has been in use, if that was noted.
    pub fn since(&self) -> Option<UnixMillis> {
        self.since
    }

    /// Notes since when the present one has been in use.
    pub fn set_since(&mut self, since: UnixMillis) {
        self.since = Some(since);
    }

    /// The one that was offered to WhatsApp and is not confirmed.
    pub fn offered(&self) -> Option<PublicSignedPrekey> {
        self.next.as_ref().map(SignedPrekey::public)
    }

    /// The one to offer to WhatsApp, with an id above `above`: the same until it is confirmed or withdrawn. It must be
    /// durable before it is offered.
    pub fn offer<R: Rng + CryptoRng>(
        &mut self,
        identity: &KeyPair,
        above: u32,
        rng: &mut R,
    ) -> PublicSignedPrekey {
        let id = self.current.id.max(above) % PREKEY_ID_MAX + 1;
        self.next.get_or_insert_with(|| SignedPrekey::generate(id, identity, rng)).public()
    }

    /// WhatsApp has taken the offered one of this id: it is the present one from now on. Nothing happens
    /// when it is not offered (any more).
    pub fn confirm(&mut self, id: u32, now: UnixMillis) {
        if let Some(next) = self.next.take_if(|next| next.id == id) {
            self.earlier.insert(0, std::mem::replace(&mut self.current, next));
            self.earlier.truncate(Self::EARLIER);
            self.since = Some(now);
        }
    }

    /// WhatsApp will never take the offered one of this id: the present one stays for another term.
    pub fn withdraw(&mut self, id: u32, now: UnixMillis) {
        if self.next.take_if(|next| next.id == id).is_some() {
            self.since = Some(now);
        }
    }

    pub(super) fn to_stored(&self) -> StoredRotation {
        StoredRotation {
            since: self.since.map(|since| since.0),
            next: self.next.as_ref().map(SignedPrekey::to_stored),
            earlier: self.earlier.iter().map(SignedPrekey::to_stored).collect(),
        }
    }

    pub(super) fn from_stored(
        current: SignedPrekey,
        stored: StoredRotation,
    ) -> Result<SignedPrekeys, KeysError> {
        Ok(SignedPrekeys {
            current,
            since: stored.since.map(UnixMillis),
            next: stored.next.as_ref().map(SignedPrekey::from_stored).transpose()?,
            earlier: stored.earlier.iter().map(SignedPrekey::from_stored).collect::<Result<_, _>>()?,
        })
    }
}

/// What is stored beside the present one.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredRotation {
    #[prost(int64, optional, tag = "1")]
    since: Option<i64>,
    #[prost(message, optional, tag = "2")]
    next: Option<StoredSignedPrekey>,
    #[prost(message, repeated, tag = "3")]
    earlier: Vec<StoredSignedPrekey>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredSignedPrekey {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    private: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::{Keys, verify};
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn rotate(keys: &mut Keys, rng: &mut StdRng) -> PublicSignedPrekey {
        let (signed, identity) = keys.signed_prekeys();
        let offered = signed.offer(identity, 0, rng);
        signed.confirm(offered.id, NOW);
        offered
    }

    #[test]
    fn an_offered_key_is_the_same_until_it_is_confirmed_and_survives_the_store() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut keys = Keys::generate(&mut rng);
        let before = keys.signed_prekey();
        let (signed, identity) = keys.signed_prekeys();
        let offered = signed.offer(identity, 0, &mut rng);
        assert!(verify(identity.public(), &typed(&offered.public), &offered.signature));
        assert_eq!((before.id, offered.id), (1, 2));
        let mut again = Keys::from_bytes(&keys.to_bytes()).expect("own encoding");
        assert_eq!(again.signed_prekey(), before);
        let (signed, identity) = again.signed_prekeys();
        assert_eq!(signed.offer(identity, 0, &mut rng), offered);
        signed.confirm(offered.id, NOW);
        let mut confirmed = Keys::from_bytes(&again.to_bytes()).expect("own encoding");
        assert_eq!(confirmed.signed_prekey(), offered);
        assert_eq!(confirmed.signed_prekeys().0.since(), Some(NOW));
    }

    #[test]
    fn earlier_keys_are_found_until_enough_others_came_after_them() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut keys = Keys::generate(&mut rng);
        let first = keys.signed_prekey();
        for rotation in 1..=3u32 {
            let newest = rotate(&mut keys, &mut rng);
            let found: Vec<u32> = (1..10).filter(|id| keys.find_signed_prekey(*id).is_some()).collect();
            let oldest = newest.id.saturating_sub(2).max(1);
            assert_eq!(found, (oldest..=newest.id).collect::<Vec<_>>(), "after {rotation} rotations");
        }
        assert!(keys.find_signed_prekey(first.id).is_none());
    }

    #[test]
    fn a_key_that_whatsapp_will_not_have_is_gone_and_the_next_one_is_another() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut keys = Keys::generate(&mut rng);
        let before = keys.signed_prekey();
        let (signed, identity) = keys.signed_prekeys();
        let offered = signed.offer(identity, 0, &mut rng);
        signed.withdraw(offered.id, NOW);
        signed.confirm(offered.id, NOW);
        assert!(signed.find(offered.id).is_none());
        assert_ne!(signed.offer(identity, 0, &mut rng).public, offered.public);
        assert_eq!(keys.signed_prekey(), before);
    }

    #[test]
    fn ids_go_round_at_24_bits() {
        let mut rng = StdRng::seed_from_u64(4);
        let identity = KeyPair::generate(&mut rng);
        let mut signed = SignedPrekeys::new(SignedPrekey::generate(PREKEY_ID_MAX, &identity, &mut rng));
        assert_eq!(signed.offer(&identity, 0, &mut rng).id, 1);
    }
}
