//! The rows of polls and events: what their answers are encrypted under, for good.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::content::Secret;
use roost_proto::prost::Message as _;

use crate::machine::codec::{Reader, Writer};
use crate::machine::inbound::bounded;

/// First byte of a row: a key, then the encoded poll, empty for an event.
const FORMAT: u8 = 2;
/// As it was before: a key, then the options alone.
const OPTIONS_ALONE: u8 = 1;

/// Name of the row of a secret: who has made the poll or the event, as a bare address, and its id.
pub fn secret_name(author: &str, id: &str) -> String {
    bounded(format!("{author}/{id}"))
}

/// The row of a poll or an event.
pub(super) fn row_of(secret: &Secret) -> Bytes {
    let mut row = Writer::new(FORMAT);
    row.bytes(&secret.key);
    row.bytes(&secret.poll.as_ref().map(api::Poll::encode_to_vec).unwrap_or_default());
    row.finish()
}

/// Reads it; `None` when it is none.
pub fn secret_from(row: &Bytes) -> Option<Secret> {
    if let Some(mut rest) = Reader::new(OPTIONS_ALONE, row) {
        let key = rest.bytes()?.to_vec();
        let options: Vec<String> = std::iter::from_fn(|| rest.text().map(str::to_owned)).collect();
        let poll = (!options.is_empty()).then(|| api::Poll { options, ..Default::default() });
        return Some(Secret { key, poll, lasting: true });
    }
    let mut rest = Reader::new(FORMAT, row)?;
    let key = rest.bytes()?.to_vec();
    let poll = match rest.bytes()? {
        [] => None,
        poll => Some(api::Poll::decode(poll).ok()?),
    };
    Some(Secret { key, poll, lasting: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_poll_or_an_event_reads_back_and_one_of_before_has_its_options() {
        let options = vec!["yes".to_owned(), "no".to_owned()];
        let added_options = vec!["later".to_owned()];
        let poll = api::Poll {
            question: "?".into(),
            options,
            selectable: 1,
            correct_option: "no".into(),
            open: true,
            added_options,
            end_time: Some(api::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
            hide_voters: true,
            ..Default::default()
        };
        let of_poll = Secret { key: vec![7; 32], poll: Some(poll), lasting: true };
        let of_event = Secret { poll: None, ..of_poll.clone() };
        for secret in [of_poll, of_event] {
            assert_eq!(secret_from(&row_of(&secret)), Some(secret));
        }
        let mut before = Writer::new(OPTIONS_ALONE);
        before.bytes(&[7; 32]);
        for option in ["yes", "no"] {
            before.text(option);
        }
        let read = secret_from(&before.finish()).expect("a row of before");
        assert_eq!(read.poll.map(|poll| poll.options.concat()), Some("yesno".into()));
        for torn in [&b""[..], b"\x02", b"\x02\0\0\0\x05abc", b"\x03abc"] {
            assert_eq!(secret_from(&Bytes::from_static(torn)), None);
        }
    }
}
