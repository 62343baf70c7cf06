//! The encoding of the machine's own rows: a format byte, then fields with a length before each.

use bytes::{BufMut, Bytes, BytesMut};

/// Writes fields.
pub(super) struct Writer(BytesMut);

impl Writer {
    pub(super) fn new(format: u8) -> Writer {
        Writer(BytesMut::from(&[format][..]))
    }

    pub(super) fn bytes(&mut self, field: &[u8]) {
        self.0.put_u32(u32::try_from(field.len()).expect("a field is far below 4 GiB"));
        self.0.put_slice(field);
    }

    pub(super) fn text(&mut self, field: &str) {
        self.bytes(field.as_bytes());
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads fields in the order in which they were written.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(format: u8, bytes: &'a [u8]) -> Option<Reader<'a>> {
        let (first, rest) = bytes.split_first()?;
        (*first == format).then_some(Reader(rest))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
