//! The certificate chain that a WhatsApp server proves its Noise key with: root, intermediate, leaf.
//!
//! What must hold: both signatures (XEdDSA over the serialised details) are checked against the root key
//! that the caller passes at run time, so that no build feature and no simulation can switch the check
//! off; both windows contain `now`; serials chain. The root key itself is configuration.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on.

use rand::CryptoRng;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

use crate::id::UnixMillis;
use crate::signal::{KeyPair, verify as signed_by};

/// The public half of WhatsApp's root key, which signs the intermediates of the real servers.
pub const WHATSAPP_ROOT: [u8; 32] = [
    0x14, 0x23, 0x75, 0x57, 0x4d, 0x0a, 0x58, 0x71, 0x66, 0xaa, 0xe7, 0x1e, 0xbe, 0x51, 0x64, 0x37, 0xc4,
    0xa2, 0x8b, 0x73, 0xe3, 0x69, 0x5c, 0x6c, 0xe1, 0xf7, 0xf9, 0x54, 0x5d, 0xa8, 0xee, 0x6b,
];

/// The root's serial, by definition: what an intermediate names as its issuer.
const ROOT_SERIAL: u32 = 0;

/// Which rule a chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// It is not a chain of two certificates with details and 64-byte signatures.
    #[error("the certificate chain is malformed")]
    Malformed,
    /// A signature is not by its issuer.
    #[error("the {0} certificate is not signed by its issuer")]
    Signature(Place),
    /// A certificate names another issuer than the one above it.
    #[error("the {0} certificate names another issuer")]
    Issuer(Place),
    /// A certificate is not valid at this time.
    #[error("the {0} certificate is not valid at this time")]
    Window(Place),
    /// The leaf certifies another key than the server proved to have.
    #[error("the leaf certificate is for another key")]
    OtherKey,
}

/// Where in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Signed by the root.
    Intermediate,
    /// Signed by the intermediate; certifies the server's Noise key.
    Leaf,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Intermediate => "intermediate",
            Self::Leaf => "leaf",
        })
    }
}

/// Verifies a serialised chain against `root` at `now` and returns the key that its leaf certifies, which
/// the caller must compare with the server's static key.
///
/// # Errors
/// [`CertError`]: do not talk to this server.
pub fn verify(chain: &[u8], root: &[u8; 32], now: UnixMillis) -> Result<[u8; 32], CertError> {
    let chain = CertChain::decode_from_slice(chain).map_err(|_| CertError::Malformed)?;
    let intermediate = check(chain.intermediate.as_option(), root, ROOT_SERIAL, now, Place::Intermediate)?;
    let leaf = check(chain.leaf.as_option(), &intermediate.key, intermediate.serial, now, Place::Leaf)?;
    Ok(leaf.key)
}

/// Issues a chain for `server` (a server's static key), signed by `root` through a fresh intermediate: the
/// intermediate is valid 30 days and the leaf 7 days around `now`.
pub fn issue<R: CryptoRng>(root: &KeyPair, server: &[u8; 32], now: UnixMillis, rng: &mut R) -> Vec<u8> {
    const DAY: u64 = 86_400;
    let now = seconds(now);
    let intermediate_key = KeyPair::generate(rng);
    let intermediate = Details {
        serial: Some(7),
        issuer_serial: Some(ROOT_SERIAL),
        key: Some(intermediate_key.public().to_vec()),
        not_before: Some(now.saturating_sub(30 * DAY)),
        not_after: Some(now + 30 * DAY),
    };
    let leaf = Details {
        serial: Some(8),
        issuer_serial: Some(7),
        key: Some(server.to_vec()),
        not_before: Some(now.saturating_sub(7 * DAY)),
        not_after: Some(now + 7 * DAY),
    };
    let chain = CertChain {
        leaf: MessageField::some(sign(&leaf, &intermediate_key, rng)),
        intermediate: MessageField::some(sign(&intermediate, root, rng)),
    };
    chain.encode_to_vec()
}

struct Checked {
    key: [u8; 32],
    serial: u32,
}

fn check(
    certificate: Option<&NoiseCertificate>,
    issuer: &[u8; 32],
    issuer_serial: u32,
    now: UnixMillis,
    place: Place,
) -> Result<Checked, CertError> {
    let certificate = certificate.ok_or(CertError::Malformed)?;
    let signed = certificate.details.as_deref().ok_or(CertError::Malformed)?;
    let signature = certificate.signature.as_deref().and_then(|s| s.try_into().ok());
    let signature = signature.ok_or(CertError::Malformed)?;
    if !signed_by(issuer, signed, signature) {
        return Err(CertError::Signature(place));
    }
    let details = Details::decode_from_slice(signed).map_err(|_| CertError::Malformed)?;
    if details.issuer_serial.unwrap_or(0) != issuer_serial {
        return Err(CertError::Issuer(place));
    }
    // An absent end counts as expired.
    let window = details.not_before.unwrap_or(0)..=details.not_after.unwrap_or(0);
    if !window.contains(&seconds(now)) {
        return Err(CertError::Window(place));
    }
    let key = details.key.as_deref().and_then(|k| k.try_into().ok()).ok_or(CertError::Malformed)?;
    Ok(Checked { key, serial: details.serial.unwrap_or(0) })
}

fn sign<R: CryptoRng>(details: &Details, issuer: &KeyPair, rng: &mut R) -> NoiseCertificate {
    let details = details.encode_to_vec();
    let signature = issuer.sign(&details, rng).to_vec();
    NoiseCertificate { details: Some(details), signature: Some(signature) }
}

fn seconds(time: UnixMillis) -> u64 {
    u64::try_from(time.0 / 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn chain() -> (KeyPair, Vec<u8>) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(2);
        let root = KeyPair::generate(&mut rng);
        let chain = issue(&root, &[9; 32], NOW, &mut rng);
        (root, chain)
    }

    fn changed(chain: &[u8], change: impl FnOnce(&mut CertChain)) -> Vec<u8> {
        let mut parsed = CertChain::decode_from_slice(chain).expect("issued");
        change(&mut parsed);
        parsed.encode_to_vec()
    }

    #[test]
    fn an_issued_chain_certifies_the_server_key() {
        let (root, chain) = chain();
        assert_eq!(verify(&chain, root.public(), NOW), Ok([9; 32]));
    }

    #[test]
    fn another_root_is_refused() {
        let (_, chain) = chain();
        let refused = verify(&chain, &WHATSAPP_ROOT, NOW);
        assert_eq!(refused, Err(CertError::Signature(Place::Intermediate)));
    }

    #[test]
    fn a_chain_is_refused_outside_its_windows() {
        let (root, chain) = chain();
        let day = 86_400_000;
        let late = verify(&chain, root.public(), UnixMillis(NOW.0 + 8 * day));
        assert_eq!(late, Err(CertError::Window(Place::Leaf)));
        let early = verify(&chain, root.public(), UnixMillis(NOW.0 - 31 * day));
        assert_eq!(early, Err(CertError::Window(Place::Intermediate)));
    }

    #[test]
    fn a_leaf_that_the_intermediate_did_not_sign_is_refused() {
        let (root, chain) = chain();
        let forged = changed(&chain, |c| {
            let mut rng = rand::rngs::StdRng::seed_from_u64(3);
            let stranger = KeyPair::generate(&mut rng);
            let details = Details { serial: Some(8), issuer_serial: Some(7), ..Default::default() };
            c.leaf = MessageField::some(sign(&details, &stranger, &mut rng));
        });
        assert_eq!(verify(&forged, root.public(), NOW), Err(CertError::Signature(Place::Leaf)));
    }

    #[test]
    fn an_intermediate_cannot_stand_as_a_leaf() {
        let (root, chain) = chain();
        let twisted = changed(&chain, |c| c.leaf = c.intermediate.clone());
        assert_eq!(verify(&twisted, root.public(), NOW), Err(CertError::Signature(Place::Leaf)));
    }

    #[test]
    fn halves_and_garbage_are_malformed() {
        let (root, chain) = chain();
        let half = changed(&chain, |c| c.leaf = MessageField::none());
        for bad in [&half[..], b"", b"\xff\xff\xff"] {
            assert_eq!(verify(bad, root.public(), NOW), Err(CertError::Malformed));
        }
    }
}
