//! Keys for a new ratchet with a device, as WhatsApp's directory gives them and as retry receipts carry them.
//!
//! What must hold: whatever is missing or malformed means that there are no keys, and nothing else; so does an identity key
//! that the account of the device has not signed, where that can be known. Whether keys can be trusted is judged when a
//! ratchet is opened with them.

use crate::adv;
use crate::signal::{Bundle, PublicSignedPrekey};
use crate::stanza::{Read, Stanza};

/// Reads the parts of `keys`: identity, signed prekey, at most one one-time key. The registration id of 4 bytes is a child of
/// `beside`. `account` is the key of the account, where it is known.
pub fn read(keys: &Stanza, beside: &Stanza, account: Option<&[u8; 32]>) -> Option<Bundle> {
    let signed = keys.child("skey")?;
    let one_time = keys.child("key").and_then(|key| {
        Some((u32::try_from(key.need_be("id", 3).ok()?).ok()?, key.need_bytes("value").ok()?))
    });
    let bundle = Bundle {
        registration_id: u32::try_from(beside.need_be("registration", 4).ok()?).ok()?,
        identity: keys.need_bytes("identity").ok()?,
        signed_prekey: PublicSignedPrekey {
            id: u32::try_from(signed.need_be("id", 3).ok()?).ok()?,
            public: signed.need_bytes("value").ok()?,
            signature: signed.need_bytes("signature").ok()?,
        },
        one_time,
    };
    match keys.child("device-identity").and_then(Read::leaf) {
        Some(identity) if adv::check_peer(identity, &bundle.identity, account).is_err() => None,
        _ => Some(bundle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Builder;

    fn leaf(tag: &'static str, bytes: Vec<u8>) -> Stanza {
        Builder::new(tag).bytes(bytes).build()
    }

    #[test]
    fn keys_with_an_identity_that_no_account_has_signed_are_none() {
        let read_with = |identity: Option<Stanza>| {
            let signed =
                [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
            let parts = [leaf("identity", vec![1; 32]), Builder::new("skey").children(signed).build()];
            let keys = Builder::new("keys").children(parts.into_iter().chain(identity)).build();
            let registration = leaf("registration", vec![0, 0, 0, 9]);
            read(&keys, &Builder::new("receipt").children([registration]).build(), None)
        };
        let account = (vec![4; 32], vec![5; 64]);
        let forged = adv::signed_identity(b"details".to_vec(), account.0, account.1.clone(), account.1);
        assert!(read_with(None).is_some());
        for identity in [forged, b"garbage".to_vec()] {
            assert!(read_with(Some(leaf("device-identity", identity))).is_none());
        }
    }
}
