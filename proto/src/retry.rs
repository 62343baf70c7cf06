//! The keys that a retry receipt carries from the second attempt on: enough for a new ratchet with the
//! device that asks.
//!
//! What must hold: whatever the receipt lacks or gets wrong means that there are no keys, and nothing
//! else. Whether the keys can be trusted is judged when a ratchet is opened with them.

use crate::signal::{Bundle, PublicSignedPrekey};
use crate::stanza::{Read, Stanza};

/// The bundle in a `<receipt type=retry>`; `None` when it carries none that can be read. Shape: a
/// registration id of 4 bytes beside `<keys>` with identity, signed prekey and at most one one-time key.
pub fn bundle(receipt: &Stanza) -> Option<Bundle> {
    let keys = receipt.child("keys")?;
    let signed = keys.child("skey")?;
    let one_time = keys.child("key").and_then(|key| {
        Some((u32::try_from(key.need_be("id", 3).ok()?).ok()?, key.need_bytes("value").ok()?))
    });
    Some(Bundle {
        registration_id: u32::try_from(receipt.need_be("registration", 4).ok()?).ok()?,
        identity: keys.need_bytes("identity").ok()?,
        signed_prekey: PublicSignedPrekey {
            id: u32::try_from(signed.need_be("id", 3).ok()?).ok()?,
            public: signed.need_bytes("value").ok()?,
            signature: signed.need_bytes("signature").ok()?,
        },
        one_time,
    })
}
