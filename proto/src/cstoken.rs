//! The token that goes with a message to somebody who has given us none: it shows that the phone of the account
//! has let this device write to strangers.
//!
//! The phone makes a salt and tells its companions, in history (`nctSalt`) and in app state (`nct_salt_sync`). Rule
//! and form: what WhatsApp Web, whatsmeow and whatsapp-rust send.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::stanza::Jid;

/// The token for a recipient, 32 bytes: HMAC-SHA256 under the salt, of any length, over `{user}@lid`. `None` for an
/// address that is no hidden identity: then no client has one.
pub fn cstoken(salt: &[u8], recipient: &Jid) -> Option<[u8; 32]> {
    if !recipient.is_lid() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes keys of any length");
    mac.update(recipient.to_non_ad().to_string().as_bytes());
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_a_recipient_has_the_same_token_and_a_number_has_none() {
        let token = cstoken(b"salt", &Jid::lid("1234567"));
        // printf 1234567@lid | openssl dgst -sha256 -hmac salt
        assert_eq!(
            token.map(hex::encode).as_deref(),
            Some("a41602ab1e23971fef6be0a0683d8bab53e359c527c9a33fc6bbc473cf86105a")
        );
        assert_eq!(cstoken(b"salt", &Jid::lid_device("1234567", 4)), token);
        assert_ne!(cstoken(b"pepper", &Jid::lid("1234567")), token);
        assert_eq!(cstoken(b"salt", &Jid::pn("1234567")), None);
    }
}
