//! Opaque texts that callers hold for us: page tokens and cursors.
//!
//! What must hold: a text reads back only with the kind and the query that it was made for; garbage,
//! damage and texts of other versions are told apart from it and refused; nothing is allocated beyond
//! the given limit. It is a checksum, not a signature: a forged text reaches nothing that the same
//! caller could not ask for, because names are checked apart from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;
const QUERY_LEN: usize = 8;
const CHECK_LEN: usize = 4;
const HEADER_LEN: usize = 2 + QUERY_LEN;

/// What a text is for; stored in it, so the numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Where a page of tenants begins.
    TenantPage = 1,
    /// Where a page of devices begins.
    DevicePage = 2,
    /// Position in the log of one device.
    DeviceCursor = 3,
    /// Positions in the logs of a tenant's devices.
    TenantCursor = 4,
    /// Where a page of chats begins.
    ChatPage = 5,
    /// Where a page of contacts begins.
    ContactPage = 6,
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not made by us, or damaged.
    #[error("is not one that this API has given out")]
    Garbage,
    /// Made by a version that we do not know.
    #[error("comes from another version of this API")]
    Version,
    /// Made for another call or other arguments.
    #[error("belongs to another query")]
    OtherQuery,
}

/// Writes a text for `kind` and `query` around `body`.
pub fn seal(kind: Kind, query: &str, body: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len() + CHECK_LEN);
    bytes.extend([VERSION, kind as u8]);
    bytes.extend(&Sha256::digest(query.as_bytes())[..QUERY_LEN]);
    bytes.extend(body);
    let check = Sha256::digest(&bytes);
    bytes.extend(&check[..CHECK_LEN]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads the body back. `limit` is the longest text that is looked at, in bytes.
pub fn open(kind: Kind, query: &str, text: &str, limit: usize) -> Result<Vec<u8>, TokenError> {
    if text.len() > limit {
        return Err(TokenError::Garbage);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Garbage)?;
    let body_len = bytes.len().checked_sub(HEADER_LEN + CHECK_LEN).ok_or(TokenError::Garbage)?;
    let (signed, check) = bytes.split_at(HEADER_LEN + body_len);
    if Sha256::digest(signed)[..CHECK_LEN] != *check {
        return Err(TokenError::Garbage);
    }
    if signed[0] != VERSION {
        return Err(TokenError::Version);
    }
    if signed[1] != kind as u8 || signed[2..HEADER_LEN] != Sha256::digest(query.as_bytes())[..QUERY_LEN] {
        return Err(TokenError::OtherQuery);
    }
    Ok(signed[HEADER_LEN..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_only_for_its_own_query() {
        let text = seal(Kind::DevicePage, "tenants/acme", b"body");
        assert_eq!(open(Kind::DevicePage, "tenants/acme", &text, 1024), Ok(b"body".to_vec()));
        assert_eq!(open(Kind::DevicePage, "tenants/other", &text, 1024), Err(TokenError::OtherQuery));
        assert_eq!(open(Kind::TenantPage, "tenants/acme", &text, 1024), Err(TokenError::OtherQuery));
    }

    #[test]
    fn garbage_damage_and_length_are_refused() {
        let text = seal(Kind::DevicePage, "q", b"body");
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("still ASCII");
            assert_eq!(open(Kind::DevicePage, "q", &damaged, 1024), Err(TokenError::Garbage), "at {at}");
        }
        for garbage in ["", "x", "!!!!", "AAAA", "ä"] {
            assert_eq!(open(Kind::DevicePage, "q", garbage, 1024), Err(TokenError::Garbage));
        }
        assert_eq!(open(Kind::DevicePage, "q", &text, text.len() - 1), Err(TokenError::Garbage));
    }

    #[test]
    fn a_text_of_another_version_is_told_apart_from_garbage() {
        let mut bytes = URL_SAFE_NO_PAD.decode(seal(Kind::DevicePage, "q", b"")).expect("ours");
        bytes.truncate(HEADER_LEN);
        bytes[0] = VERSION + 1;
        let check = Sha256::digest(&bytes);
        bytes.extend(&check[..CHECK_LEN]);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(open(Kind::DevicePage, "q", &text, 1024), Err(TokenError::Version));
    }
}
