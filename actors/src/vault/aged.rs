//! Rows of ratchets and ids of prekeys, and how old the database was when they were written.
//!
//! What must hold: a ratchet that was stored before the database went over to another time line sends nothing
//! under the keys that come next in it: its last moments may be lost, and with them what was sent then. Each age has
//! keys of its own, because what was written in the one before may be lost as well. Who passes over some keys
//! once too often has lost nothing. Prekeys that were given away in the lost moments keep their ids for themselves too.

use bytes::{BufMut as _, Bytes, BytesMut};
use roost_proto::id::Age;
use roost_proto::signal;

/// Begins a row that says in which age it was written; no record begins with it. A row without it is of age 0.
const MARK: u8 = 0;

/// So many messages to one peer were lost with the end of one age at most.
const LOST: u32 = 512;

/// So many rotations of the signed prekey, and pages of prekeys, are far more than one age sees.
const PREKEYS: u32 = 4096;

/// An age as rows and ids have it.
fn short(Age(age): Age) -> u32 {
    u32::try_from(age).unwrap_or(u32::MAX)
}

/// Signed prekeys that are made in this age have ids above this one, which has 24 bits.
pub(super) fn signed_prekeys_above(age: Age) -> u32 {
    short(age) % PREKEYS * PREKEYS
}

/// Pages of prekeys that are made in this age have at least this number.
pub(super) fn first_page(age: Age) -> u32 {
    short(age).saturating_mul(PREKEYS).min(u32::MAX / 2)
}

/// The row of a record, written in this age.
pub(super) fn written(record: &Bytes, age: Age) -> Bytes {
    if age == Age(0) {
        return record.clone();
    }
    let mut row = BytesMut::with_capacity(5 + record.len());
    row.put_u8(MARK);
    row.put_u32(short(age));
    row.put_slice(record);
    row.freeze()
}

/// The record in a row, fit to be used in this age; nothing when the record is of no use, so that another ratchet
/// is opened.
pub(super) fn read(row: &Bytes, age: Age) -> Option<Bytes> {
    let (before, record) = match row.split_first_chunk::<5>() {
        Some(([MARK, before @ ..], _)) => (u32::from_be_bytes(*before), row.slice(5..)),
        _ => (0, row.clone()),
    };
    match short(age).saturating_sub(before).saturating_mul(LOST) {
        0 => Some(record),
        keys if keys <= signal::SKIPPED => signal::skip_ahead(&record, keys).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_in_the_same_age() {
        let record = Bytes::from_static(b"\x0a\x00");
        assert_eq!(written(&record, Age(0)), record, "the first age needs no mark");
        for age in [0, 1, 7] {
            assert_eq!(read(&written(&record, Age(age)), Age(age)), Some(record.clone()));
        }
    }

    #[test]
    fn a_record_that_is_none_is_of_no_use_in_a_later_age() {
        assert_eq!(read(&Bytes::from_static(b"garbage"), Age(1)), None);
    }
}
