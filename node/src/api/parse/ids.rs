//! Ids that callers make.

use crate::errors::ApiError;

/// Lengths of an id of WhatsApp that a caller may choose. WhatsApp's own have up to 32 characters; clients take any text,
/// and none shows what WhatsApp would refuse.
const CHOSEN: std::ops::RangeInclusive<usize> = 8..=64;

/// A request id, in its canonical form.
pub(super) fn request_id(field: &str, text: &str) -> Result<String, ApiError> {
    if text.is_empty() {
        return Err(ApiError::field(field, "is required: a UUID that you make once per request"));
    }
    match uuid::Uuid::try_parse(text) {
        Ok(id) if !id.is_nil() => Ok(id.hyphenated().to_string()),
        _ => Err(ApiError::field(field, "must be a UUID")),
    }
}

/// WhatsApp's id of a message that is to be sent; `None` when nobody has chosen it.
pub(super) fn chosen_id(field: &str, text: &str) -> Result<Option<String>, ApiError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match text {
        "" => Ok(None),
        id if CHOSEN.contains(&id.len()) && id.bytes().all(fits) => Ok(Some(id.to_owned())),
        _ => Err(ApiError::field(field, "must have 8 to 64 letters, digits, '-', '_' and '.'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_chosen_has_the_characters_of_ids() {
        assert_eq!(chosen_id("whatsapp_id", "").expect("nobody has chosen it"), None);
        for good in ["3EB0C0FFEE", "order-2026_11.29", &"A".repeat(64)] {
            assert_eq!(chosen_id("whatsapp_id", good).expect("good").as_deref(), Some(good));
        }
        for bad in ["3EB0", &"A".repeat(65), "3EB0 C0FFEE", "3EB0C0FF/E", "3EB0C0FFÉ", "3EB0C0FF\0E"] {
            match chosen_id("whatsapp_id", bad) {
                Err(ApiError::InvalidField { field, .. }) => assert_eq!(field, "whatsapp_id"),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }
}
