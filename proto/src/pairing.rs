//! The text of the QR code that links a companion.
//!
//! Two forms are in use: the bare comma list, and the same behind a link of wa.me. Both have the fields
//! `ref,noise public,identity public,ADV secret` and, in newer clients, a client type; keys are standard
//! base64 with padding, 32 bytes each. We write the link with five fields and read all of them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const LINK: &str = "https://wa.me/settings/linked_devices#";
/// The longest text that is looked at; real ones have about 240 characters.
const LIMIT: usize = 1024;

/// What a QR code says. `Display` writes it, `FromStr` reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// What the server calls this attempt; has no comma.
    pub reference: String,
    /// Noise public key of the companion, 32 bytes.
    pub noise: [u8; 32],
    /// Identity public key of the companion, 32 bytes.
    pub identity: [u8; 32],
    /// Secret of the HMAC, 32 bytes.
    pub adv_secret: [u8; 32],
    /// Kind of client: `1` is Chrome, `9` other; absent in the old form.
    pub client_type: Option<char>,
}

/// Why a text is not a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// Longer than 1024 bytes.
    #[error("the QR text is longer than {LIMIT} bytes")]
    TooLong,
    /// Not four or five fields.
    #[error("the QR text has {0} fields, not 4 or 5")]
    Fields(usize),
    /// The reference is empty.
    #[error("the QR text has no reference")]
    Reference,
    /// A key is not base64 of 32 bytes.
    #[error("the {0} in the QR text is not base64 of 32 bytes")]
    Key(&'static str),
    /// The client type is not one character.
    #[error("the client type in the QR text is not one character")]
    ClientType,
}

impl FromStr for QrCode {
    type Err = QrError;

    fn from_str(text: &str) -> Result<QrCode, QrError> {
        if text.len() > LIMIT {
            return Err(QrError::TooLong);
        }
        let text = text.trim();
        let list = text.strip_prefix(LINK).unwrap_or(text);
        let fields: Vec<&str> = list.split(',').collect();
        let (&[reference, noise, identity, secret], rest) =
            fields.split_first_chunk::<4>().ok_or(QrError::Fields(fields.len()))?;
        if reference.is_empty() {
            return Err(QrError::Reference);
        }
        let client_type = match rest {
            [] => None,
            [one] => {
                let mut characters = one.chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => Some(character),
                    _ => return Err(QrError::ClientType),
                }
            }
            _ => return Err(QrError::Fields(fields.len())),
        };
        Ok(QrCode {
            reference: reference.to_owned(),
            noise: key("Noise key", noise)?,
            identity: key("identity key", identity)?,
            adv_secret: key("ADV secret", secret)?,
            client_type,
        })
    }
}

impl fmt::Display for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [noise, identity, secret] =
            [&self.noise, &self.identity, &self.adv_secret].map(|key| STANDARD.encode(key));
        write!(f, "{LINK}{},{noise},{identity},{secret}", self.reference)?;
        match self.client_type {
            Some(kind) => write!(f, ",{kind}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QrCode({})", self.reference)
    }
}

fn key(what: &'static str, text: &str) -> Result<[u8; 32], QrError> {
    let bytes = STANDARD.decode(text).map_err(|_| QrError::Key(what))?;
    bytes.try_into().map_err(|_| QrError::Key(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> QrCode {
        QrCode {
            reference: "2@abc/def+ghi==".to_owned(),
            noise: [1; 32],
            identity: [2; 32],
            adv_secret: [3; 32],
            client_type: Some('1'),
        }
    }

    #[test]
    fn a_code_reads_back_from_both_forms() {
        let text = code().to_string();
        assert!(text.starts_with("https://wa.me/settings/linked_devices#2@abc"));
        assert_eq!(text.parse(), Ok(code()));
        assert_eq!(text[LINK.len()..].parse(), Ok(code()));
        let old = text[LINK.len()..text.len() - 2].to_owned() + "\n";
        assert_eq!(old.parse(), Ok(QrCode { client_type: None, ..code() }));
    }

    #[test]
    fn malformed_texts_say_what_is_wrong() {
        let list = code().to_string()[LINK.len()..].to_owned();
        let cases = [
            ("".to_owned(), QrError::Fields(1)),
            ("hello".to_owned(), QrError::Fields(1)),
            (list.clone() + ",x", QrError::Fields(6)),
            (list.replacen("2@abc/def+ghi==", "", 1), QrError::Reference),
            (list.replacen("AQEB", "AQE", 1), QrError::Key("Noise key")),
            (list.replacen("AgIC", "", 1), QrError::Key("identity key")),
            (list.replacen("AwMD", "!!!!", 1), QrError::Key("ADV secret")),
            (list + "2", QrError::ClientType),
            ("x".repeat(2000), QrError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<QrCode>(), Err(error), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert!(!format!("{:?}", code()).contains("AwMD"));
    }
}
