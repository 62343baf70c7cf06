//! Stanzas: WhatsApp's binary trees, as owned values with tolerant readers.
//!
//! The codec is wacore-binary's; this file puts bounds before it, because it trusts declared list sizes and
//! nests without limit inside JIDs ([`shape`] refuses both first). Peers spell one fact as string, bytes or
//! JID; [`Read`] makes them one. What we write is strict: JIDs as JIDs ([`Jid`] values), leaf contents as
//! bytes (`.bytes(…)`), because whatsmeow drops anything else without a word.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on.

pub mod hosted;
mod ids;
pub mod iq;
mod read;
mod shape;
mod write;

pub use hosted::{HOSTED, hear, say};
pub use ids::{ClientIds, message_id};
pub use read::{Missing, Read};
pub use wacore_binary::builder::NodeBuilder as Builder;
pub use wacore_binary::{Jid, JidExt, Node as Stanza, NodeContent as Content, NodeValue as Value, Server};

use std::borrow::Cow;

/// The most bytes that one compressed stanza may inflate to, or that a plain one may have.
pub const MAX_STANZA: usize = 16 * 1024 * 1024;

/// Set in the first byte of a plaintext when the rest is one zlib stream.
const COMPRESSED: u8 = 0x02;

/// Why bytes are not a stanza, or a stanza has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum StanzaError {
    /// The plaintext has no flags byte.
    #[error("the plaintext is empty")]
    Empty,
    /// It does not inflate, or not within [`MAX_STANZA`].
    #[error("the stanza does not inflate within its limit")]
    Inflate(#[source] std::io::Error),
    /// It ends early, nests too deep, or announces more than it holds.
    #[error("the stanza is malformed at byte {at}: {what}")]
    Shape {
        /// Where, in bytes after the flags byte.
        at: usize,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// The codec refused it: an unknown token or server, or text that is not UTF-8; or, when writing, a JID
    /// that has no form on the wire.
    #[error("the codec refused the stanza")]
    Codec(#[source] wacore_binary::BinaryError),
}

/// The plaintext of a frame: a flags byte (0, never compressed) and the encoded tree.
///
/// # Errors
/// [`StanzaError::Codec`] when a JID in it has no form on the wire (a device number above 255).
pub fn encode(stanza: &Stanza) -> Result<Vec<u8>, StanzaError> {
    write::write(stanza).map_err(StanzaError::Codec)
}

/// Reads the plaintext of a frame: flags byte, possibly compressed tree.
///
/// # Errors
/// [`StanzaError`], never a panic, and never more memory than a small multiple of [`MAX_STANZA`].
pub fn decode(plaintext: &[u8]) -> Result<Stanza, StanzaError> {
    let (flags, rest) = plaintext.split_first().ok_or(StanzaError::Empty)?;
    let tree = if flags & COMPRESSED == 0 {
        Cow::Borrowed(rest)
    } else {
        let inflated = wacore_binary::zlib_pool::decompress_zlib_pooled(rest, MAX_STANZA as u64);
        Cow::Owned(inflated.map_err(StanzaError::Inflate)?)
    };
    shape::check(&tree)?;
    Ok(wacore_binary::marshal::unmarshal_ref(&tree).map_err(StanzaError::Codec)?.to_owned())
}

/// The JID of the server itself: empty user, server `s.whatsapp.net`.
pub fn server_jid() -> Jid {
    Jid::new("", Server::Pn)
}

/// Whether a JID is the server itself.
pub fn is_server(jid: &Jid) -> bool {
    jid.user.is_empty() && jid.server == Server::Pn
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Stanza {
        let to = Jid::lid_device("123456", 3);
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(vec![0x33; 260]).build();
        let to = Builder::new("to").attr("jid", to).children([enc]).build();
        let participants = Builder::new("participants").children([to]).build();
        Builder::new("message")
            .attr("to", Jid::pn("15550001000"))
            .attr("id", "3EB0ABCDEF")
            .attr("from", server_jid())
            .children([participants])
            .build()
    }

    #[test]
    fn a_stanza_reads_back_as_it_was_written() {
        let bytes = encode(&message()).expect("encodes");
        assert_eq!(bytes[0], 0);
        assert_eq!(decode(&bytes).expect("decodes"), message());
    }

    #[test]
    fn a_text_that_looks_like_an_address_is_read_as_it_was_written() {
        let texts = [
            "10:30@home",
            "team_5@shop.example",
            "info@shop.example",
            "@",
            "a@b@c",
            "1:2@lid",
            "1:300@lid",
            "1:2@g.us",
            "1.2@g.us",
            "5-1@interop",
            "0@s.whatsapp.net",
        ];
        for text in texts {
            let stanza = Builder::new("create").attr("subject", text).build();
            let back = decode(&encode(&stanza).expect("encodes")).expect(text);
            assert_eq!(back.text("subject").as_deref(), Some(text));
        }
    }

    #[test]
    fn an_element_with_a_list_of_no_children_is_written_as_one_without() {
        let children: [Stanza; 0] = [];
        let stanza = Builder::new("item").children(children).build();
        assert!(stanza.content.is_some());
        assert_eq!(
            encode(&stanza).expect("encodes"),
            encode(&Builder::new("item").build()).expect("encodes")
        );
    }

    #[test]
    fn the_server_jid_keeps_its_type_on_the_wire() {
        let back = decode(&encode(&message()).expect("encodes")).expect("decodes");
        assert!(matches!(back.attrs.get("from"), Some(Value::Jid(jid)) if is_server(jid)));
    }

    #[test]
    fn digits_written_as_bytes_stay_bytes() {
        let stanza = Builder::new("ref").bytes(b"123456".to_vec()).build();
        let back = decode(&encode(&stanza).expect("encodes")).expect("decodes");
        assert!(matches!(back.content, Some(Content::Bytes(_))));
    }

    #[test]
    fn a_compressed_stanza_is_inflated_within_its_limit() {
        // A zlib stream of one stored block: `f8 02 03 …`-style trees need no compressor to be compressed.
        let tree = &encode(&message()).expect("encodes")[1..];
        let length = (tree.len() as u16).to_le_bytes();
        let (mut a, mut b) = (1u32, 0u32);
        for byte in tree {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        let mut plaintext = vec![COMPRESSED, 0x78, 0x01, 0x01];
        plaintext.extend_from_slice(&length);
        plaintext.extend_from_slice(&[!length[0], !length[1]]);
        plaintext.extend_from_slice(tree);
        plaintext.extend_from_slice(&(b << 16 | a).to_be_bytes());
        assert_eq!(decode(&plaintext).expect("inflates"), message());
        plaintext.truncate(40);
        assert!(matches!(decode(&plaintext), Err(StanzaError::Inflate(_))));
    }

    #[test]
    fn nesting_inside_a_jid_is_refused_before_it_recurses() {
        let mut bytes = vec![0, 248, 2];
        bytes.extend(std::iter::repeat_n(250, 1_000_000));
        assert!(matches!(decode(&bytes), Err(StanzaError::Shape { .. })));
    }

    #[test]
    fn lists_that_announce_more_than_they_hold_are_refused() {
        let mut bytes = vec![0];
        for _ in 0..20 {
            bytes.extend_from_slice(&[248, 2, 3, 249, 0xff, 0xff]);
        }
        assert!(matches!(decode(&bytes), Err(StanzaError::Shape { .. })));
    }

    #[test]
    fn a_deep_tree_is_refused() {
        let mut bytes = vec![0];
        for _ in 0..200 {
            bytes.extend_from_slice(&[248, 2, 3, 248, 1]);
        }
        assert!(matches!(decode(&bytes), Err(StanzaError::Shape { .. })));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_stanza_never_panics(at in 0usize..300, to in any::<u8>()) {
            let mut bytes = encode(&message()).expect("encodes");
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = decode(&bytes);
        }
    }
}
