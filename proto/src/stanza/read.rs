//! Tolerant readers: one fact may arrive as string, bytes or JID, depending on who wrote it.

use std::borrow::Cow;

use super::{Content, Jid, Server, Stanza, Value, server_jid};

/// A stanza lacks something that the protocol promises. Whoever sent it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("<{tag}> has no usable {what}")]
pub struct Missing {
    /// The element.
    pub tag: String,
    /// The attribute, child or content.
    pub what: &'static str,
}

/// Readers for [`Stanza`]. The `need_…` forms say what is missing.
pub trait Read {
    /// An attribute as text, whether it was a string or a JID.
    fn text(&self, key: &str) -> Option<Cow<'_, str>>;

    /// An attribute as a JID, whether it was a JID or a string. `user:0@…` equals `user@…`; the plain
    /// strings `s.whatsapp.net` and `@s.whatsapp.net` are the server.
    fn jid(&self, key: &str) -> Option<Jid>;

    /// An attribute as a number.
    fn number(&self, key: &str) -> Option<u64>;

    /// The first child with this tag.
    fn child(&self, tag: &str) -> Option<&Stanza>;

    /// All children; none when the content is a leaf.
    fn all(&self) -> &[Stanza];

    /// All children with this tag, in order.
    fn all_named<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Stanza> + 'a;

    /// The leaf content as bytes, whether it was bytes or a string.
    fn leaf(&self) -> Option<&[u8]>;

    /// The leaf content as text; `None` if it is not UTF-8.
    fn leaf_text(&self) -> Option<&str>;

    /// [`Read::text`], or what is missing.
    fn need_text(&self, key: &'static str) -> Result<Cow<'_, str>, Missing>;

    /// [`Read::jid`], or what is missing.
    fn need_jid(&self, key: &'static str) -> Result<Jid, Missing>;

    /// [`Read::child`], or what is missing.
    fn need_child(&self, tag: &'static str) -> Result<&Stanza, Missing>;

    /// The leaf content of the child `tag`, exactly `N` bytes, or what is missing.
    fn need_bytes<const N: usize>(&self, tag: &'static str) -> Result<[u8; N], Missing>;

    /// The leaf content of the child `tag` as an unsigned big-endian number of exactly `width` (at most
    /// 8) bytes: registration ids have 4, key ids 3.
    fn need_be(&self, tag: &'static str, width: usize) -> Result<u64, Missing>;

    /// This stanza with one attribute set or replaced.
    fn with(self, key: &'static str, value: impl Into<Value>) -> Self;

    /// This stanza without one attribute.
    fn without(self, key: &str) -> Self;
}

impl Read for Stanza {
    fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.attrs.get(key).map(Value::as_str)
    }

    fn jid(&self, key: &str) -> Option<Jid> {
        match self.attrs.get(key)? {
            Value::Jid(jid) => Some(jid.clone()),
            Value::String(text) if matches!(text.as_str(), "s.whatsapp.net" | "@s.whatsapp.net") => {
                Some(server_jid())
            }
            Value::String(text) if text.as_str() == "@g.us" || text.as_str() == "g.us" => {
                Some(Jid::new("", Server::Group))
            }
            Value::String(text) if text.contains('@') => text.parse().ok(),
            Value::String(_) => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    fn child(&self, tag: &str) -> Option<&Stanza> {
        self.all().iter().find(|child| child.tag == tag)
    }

    fn all(&self) -> &[Stanza] {
        match &self.content {
            Some(Content::Nodes(children)) => children,
            _ => &[],
        }
    }

    fn all_named<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Stanza> + 'a {
        self.all().iter().filter(move |child| child.tag == tag)
    }

    fn leaf(&self) -> Option<&[u8]> {
        match &self.content {
            Some(Content::Bytes(bytes)) => Some(bytes),
            Some(Content::String(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    fn leaf_text(&self) -> Option<&str> {
        std::str::from_utf8(self.leaf()?).ok()
    }

    fn need_text(&self, key: &'static str) -> Result<Cow<'_, str>, Missing> {
        self.text(key).ok_or_else(|| missing(self, key))
    }

    fn need_jid(&self, key: &'static str) -> Result<Jid, Missing> {
        self.jid(key).ok_or_else(|| missing(self, key))
    }

    fn need_child(&self, tag: &'static str) -> Result<&Stanza, Missing> {
        self.child(tag).ok_or_else(|| missing(self, tag))
    }

    fn need_bytes<const N: usize>(&self, tag: &'static str) -> Result<[u8; N], Missing> {
        let leaf = self.child(tag).and_then(Read::leaf);
        leaf.and_then(|leaf| leaf.try_into().ok()).ok_or_else(|| missing(self, tag))
    }

    fn need_be(&self, tag: &'static str, width: usize) -> Result<u64, Missing> {
        let leaf = self.child(tag).and_then(Read::leaf).filter(|leaf| leaf.len() == width && width <= 8);
        let leaf = leaf.ok_or_else(|| missing(self, tag))?;
        Ok(leaf.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attrs.insert(key, value);
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.attrs.0.retain(|(k, _)| k != key);
        self
    }
}

fn missing(stanza: &Stanza, what: &'static str) -> Missing {
    // Tags come from the peer; an error must stay small.
    Missing { tag: stanza.tag.chars().take(40).collect(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Builder, is_server};

    #[test]
    fn string_bytes_and_jid_are_one() {
        let as_jid = Builder::new("x").attr("to", server_jid()).build();
        for text in ["s.whatsapp.net", "@s.whatsapp.net"] {
            let as_text = Builder::new("x").attr("to", text).build();
            assert_eq!(as_text.jid("to"), as_jid.jid("to"));
        }
        assert!(is_server(&as_jid.jid("to").expect("a JID")));
        let device_zero = Builder::new("x").attr("to", "4915:0@s.whatsapp.net").build();
        assert_eq!(device_zero.jid("to"), Some(Jid::pn("4915")));
        let text = Builder::new("x").string_content("1").build();
        assert_eq!(text.leaf(), Some(&b"1"[..]));
    }

    #[test]
    fn plain_words_are_not_jids() {
        let stanza = Builder::new("x").attr("to", "hello").build();
        assert_eq!(stanza.jid("to"), None);
        assert_eq!(stanza.need_jid("to"), Err(Missing { tag: "x".into(), what: "to" }));
    }

    #[test]
    fn fixed_widths_are_exact() {
        let key = Builder::new("key")
            .children([
                Builder::new("id").bytes(vec![0, 1, 2]).build(),
                Builder::new("value").bytes(vec![7; 32]).build(),
            ])
            .build();
        assert_eq!(key.need_be("id", 3), Ok(0x102));
        assert!(key.need_be("id", 4).is_err());
        assert_eq!(key.need_bytes::<32>("value"), Ok([7; 32]));
        assert!(key.need_bytes::<33>("value").is_err());
    }
}
