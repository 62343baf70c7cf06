//! Short hashes: WhatsApp's hash of a set of devices, and digests for keys of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::stanza::{Jid, hosted};

/// WhatsApp's participant hash: `2:` and the base64 of the first six bytes of the SHA-256 over the sorted
/// texts `user.0:device@server`. For a one-to-one message over all devices of both sides, the sending one
/// included, in the address form of the message; hosted ones as the wire names them, which is what whatsmeow does.
pub fn phash<'a>(devices: impl IntoIterator<Item = &'a Jid>) -> String {
    let text = |jid: &Jid| {
        let server = hosted::on_the_wire(jid).unwrap_or(jid.server);
        format!("{}.0:{}@{server}", jid.user, jid.device)
    };
    let mut texts: Vec<String> = devices.into_iter().map(text).collect();
    texts.sort_unstable();
    let hash = Sha256::digest(texts.concat());
    format!("2:{}", STANDARD_NO_PAD.encode(&hash[..6]))
}

/// SHA-256 in lower-case hexadecimal, 64 characters.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first 16 bytes of the SHA-256: what stands for a long name where room is dear.
pub fn short_digest(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(bytes)[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_devices_does_not_matter() {
        let (phone, laptop) = (Jid::lid("1234567"), Jid::lid_device("1234567", 5));
        let hash = phash([&phone, &laptop]);
        assert_eq!(hash, phash([&laptop, &phone]));
        assert!(hash.starts_with("2:") && hash.len() == 10);
        assert_ne!(hash, phash([&phone]));
    }

    #[test]
    fn a_digest_is_that_of_the_standard() {
        assert!(digest(b"abc").starts_with("ba7816bf8f01cfea"));
        assert_eq!(hex::encode(short_digest(b"abc")), digest(b"abc")[..32]);
    }
}
