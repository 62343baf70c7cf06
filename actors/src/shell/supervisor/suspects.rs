//! Stanzas during whose handling the device failed, so that they are put aside when they come again.
//!
//! What must hold: the latest are remembered, and each is known again whatever WhatsApp says of how often it has
//! given it.

use std::collections::VecDeque;

use roost_proto::phash::digest;
use roost_proto::stanza;

/// So many are remembered, the latest.
const KEPT: usize = 16;

/// Their digests.
#[derive(Debug, Default)]
pub(super) struct Suspects(VecDeque<String>);

impl Suspects {
    pub(super) fn add(&mut self, raw: &[u8]) {
        self.0.push_back(mark(raw));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub(super) fn has(&self, raw: &[u8]) -> bool {
        !self.0.is_empty() && self.0.contains(&mark(raw))
    }
}

/// What a stanza is known by. One that was queued before it is given says so in an attribute.
fn mark(raw: &[u8]) -> String {
    let plain = stanza::decode(raw).ok().and_then(|mut stanza| {
        stanza.attrs.0.retain(|(key, _)| key != "offline");
        stanza::encode(&stanza).ok()
    });
    digest(plain.as_deref().unwrap_or(raw))
}

#[cfg(test)]
mod tests {
    use roost_proto::stanza::{Builder, encode};

    use super::*;

    fn message(id: u64) -> Builder {
        Builder::new("message").attr("id", id).attr("from", "77@lid")
    }

    fn raw(message: Builder) -> Vec<u8> {
        encode(&message.build()).expect("it can be written")
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut suspects = Suspects::default();
        for id in 0..40 {
            suspects.add(&raw(message(id)));
            assert!(suspects.has(&raw(message(id))), "{id}");
        }
        assert!(suspects.has(&raw(message(24))) && !suspects.has(&raw(message(23))));
    }

    #[test]
    fn a_stanza_is_known_again_however_often_it_was_queued() {
        let mut suspects = Suspects::default();
        assert!(!suspects.has(&raw(message(1))));
        suspects.add(&raw(message(1).attr("offline", 1u64)));
        for again in [message(1), message(1).attr("offline", 2u64)] {
            assert!(suspects.has(&raw(again)));
        }
        assert!(!suspects.has(&raw(message(1).attr("t", 7u64))), "this is another one");
    }

    #[test]
    fn bytes_that_are_no_stanza_are_known_again_too() {
        let mut suspects = Suspects::default();
        suspects.add(b"\x00garbage");
        assert!(suspects.has(b"\x00garbage") && !suspects.has(b"\x00other"));
    }
}
