//! Texts from the network, made fit for a text column.
//!
//! What must hold: PostgreSQL refuses the zero byte in a text, so one hostile id could make a batch
//! fail for ever; escaping is injective, so two names never become one. Digests stand for keys that
//! are only compared and never shown.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Escapes `\` and the zero character. Texts without either (nearly all) are not copied.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b == 0 || b == b'\\') {
        Cow::Owned(text.replace('\\', "\\\\").replace('\0', "\\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Undoes [`escape`].
pub(super) fn unescape(text: String) -> String {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('0') => '\0',
                other => other.unwrap_or('\\'),
            },
            plain => plain,
        });
    }
    out
}

/// The first 16 bytes of SHA-256: a dedupe key of any length, as it is stored.
pub(super) fn digest(text: &str) -> [u8; 16] {
    let full = Sha256::digest(text.as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&full[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_undone_and_keeps_names_apart() {
        let names = ["", "a", "\0", "\\", "\\0", "\\\\0", "a\0b\\c", "ä\0"];
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            let stored = escape(name);
            assert!(!stored.contains('\0'));
            assert_eq!(unescape(stored.clone().into_owned()), name);
            assert!(seen.insert(stored.into_owned()), "{name:?} is like another");
        }
    }
}
