//! The edge of `CallService`: calls, and links to them.

use crate::errors::ApiError;

/// What stands before the token in a link: with pictures, and without.
const LINKS: [&str; 2] = ["https://call.whatsapp.com/video/", "https://call.whatsapp.com/voice/"];
/// Longest id of a call.
const LONGEST: usize = 128;

/// WhatsApp's id of a call.
pub fn id(id: &str) -> Result<String, ApiError> {
    if id.is_empty() || id.len() > LONGEST || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::field("call_id", "must be the call_id of an event"));
    }
    Ok(id.to_owned())
}

/// The link with this token.
pub fn url(token: &str, video: bool) -> String {
    let [with_pictures, voice] = LINKS;
    format!("{}{token}", if video { with_pictures } else { voice })
}
