//! The edge of `CallService`: calls, and links to them.

use roost_proto::api;

use crate::errors::ApiError;

/// What stands before the token in a link: with pictures, and without. The first of each is ours; whatsapp-rust writes the
/// last.
const VIDEO: &[&str] = &["https://call.whatsapp.com/video/"];
const VOICE: &[&str] = &["https://call.whatsapp.com/voice/", "https://call.whatsapp.com/audio/"];
/// Longest id of a call, and longest token.
const LONGEST: usize = 128;

/// WhatsApp's id of a call.
pub fn id(id: &str) -> Result<String, ApiError> {
    if id.is_empty() || id.len() > LONGEST || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::field("call_id", "must be the call_id of an event"));
    }
    Ok(id.to_owned())
}

/// When a call is planned, in seconds.
pub fn start(time: Option<&api::Timestamp>) -> Result<Option<u64>, ApiError> {
    let seconds = |time: &api::Timestamp| {
        let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds > 0 && time.nanos == 0);
        seconds.ok_or_else(|| ApiError::field("start_time", "must be a time in whole seconds"))
    };
    time.map(seconds).transpose()
}

/// The link with this token.
pub fn url(token: &str, video: bool) -> String {
    format!("{}{token}", if video { VIDEO[0] } else { VOICE[0] })
}

/// The token of a link, and whether it leads to a call with pictures.
pub fn link(link: &str) -> Result<(String, bool), ApiError> {
    let behind = |starts: &[&str]| starts.iter().find_map(|start| link.strip_prefix(start));
    let found =
        behind(VIDEO).map(|token| (token, true)).or_else(|| behind(VOICE).map(|token| (token, false)));
    let well_formed = |token: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !token.is_empty() && token.len() <= LONGEST && token.bytes().all(fits)
    };
    match found.filter(|(token, _)| well_formed(token)) {
        Some((token, video)) => Ok((token.to_owned(), video)),
        None => {
            Err(ApiError::field("link", "must be a link as https://call.whatsapp.com/video/… or …/voice/…"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_call_says_of_which_kind_it_is() {
        for (given, wanted) in [
            ("https://call.whatsapp.com/video/aB-_1", ("aB-_1", true)),
            ("https://call.whatsapp.com/voice/T", ("T", false)),
            ("https://call.whatsapp.com/audio/T", ("T", false)),
        ] {
            assert_eq!(link(given).expect("a link"), (wanted.0.to_owned(), wanted.1), "{given}");
        }
        assert_eq!(link(&url("T", true)).expect("ours"), ("T".to_owned(), true));
        assert_eq!(link(&url("T", false)).expect("ours"), ("T".to_owned(), false));
        let long = url(&"t".repeat(LONGEST + 1), true);
        let bad = ["", "T", "https://call.whatsapp.com/video/", "https://call.whatsapp.com/chat/T", &long];
        for bad in
            bad.into_iter().chain(["https://call.whatsapp.com/video/T/2", "http://call.whatsapp.com/voice/T"])
        {
            let field = link(bad).expect_err(bad);
            assert!(matches!(field, ApiError::InvalidField { field, .. } if field == "link"), "{bad}");
        }
    }

    #[test]
    fn a_planned_call_begins_at_a_whole_second() {
        let at = |seconds, nanos| start(Some(&api::Timestamp { seconds, nanos }));
        assert_eq!(start(None).expect("none"), None);
        assert_eq!(at(1_800_000_000, 0).expect("a time"), Some(1_800_000_000));
        for (seconds, nanos) in [(0, 0), (-1, 0), (1, 1)] {
            assert!(matches!(at(seconds, nanos), Err(ApiError::InvalidField { .. })), "{seconds} {nanos}");
        }
    }
}
