//! Cursors: how far a reader has come in the event log, as an opaque text.
//!
//! What must hold: a cursor of a device is one position, a cursor of a tenant one position per device,
//! both bound to their name; a device that is missing in a tenant's cursor stands at its beginning.
//! A cursor says nothing about what still exists; the reader compares it with the heads of the logs.

use std::collections::BTreeMap;

use roost_proto::id::{BusinessId, DeviceId, DeviceKey, Sequence};

use roost_proto::id::Age;

use super::token::{self, Kind, TokenError};

/// Devices that fit into one cursor of a tenant. With the longest names it is 430 kB of text.
pub const MAX_DEVICES: usize = 4096;

/// Longest text that is read.
const MAX_TEXT: usize = 512 * 1024;

/// Whose log is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All devices of a tenant.
    Tenant(BusinessId),
    /// One device.
    Device(DeviceKey),
}

impl Scope {
    /// The tenant of it.
    pub fn tenant(&self) -> &BusinessId {
        match self {
            Scope::Tenant(tenant) => tenant,
            Scope::Device(key) => &key.business_id,
        }
    }

    /// The device, when it is only one.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Scope::Tenant(_) => None,
            Scope::Device(key) => Some(&key.device_id),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Scope::Tenant(_) => Kind::TenantCursor,
            Scope::Device(_) => Kind::DeviceCursor,
        }
    }

    fn query(&self) -> String {
        match self {
            Scope::Tenant(tenant) => format!("tenants/{tenant}"),
            Scope::Device(key) => key.to_string(),
        }
    }
}

/// The last event that was read: its sequence and, because a sequence can be given out again after the database has lost
/// its tail, its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its place in the log; 0 is before everything.
    pub sequence: Sequence,
    /// In which age of the database it was written.
    pub age: Age,
}

impl Position {
    /// Before everything.
    pub const BEGINNING: Position = Position { sequence: Sequence(0), age: Age(0) };
}

/// The last event that was read, per device.
pub type Positions = BTreeMap<DeviceId, Position>;

/// Marks a name or a number after which an age follows; without one the age is 0, as in all cursors of versions that
/// knew none.
const AGED: u8 = 0x80;

/// The cursor after these positions. Positions of 0 are left out: they are the beginning.
pub fn write(scope: &Scope, positions: &Positions) -> String {
    let mut body = Vec::with_capacity(positions.len() * 24);
    for (device, position) in positions.iter().filter(|(_, position)| position.sequence.0 > 0) {
        let aged = position.age.0 > 0;
        if let Scope::Tenant(_) = scope {
            let name = device.as_str().as_bytes();
            let length = u8::try_from(name.len()).expect("a device id has at most 63 bytes");
            body.push(length | if aged { AGED } else { 0 });
            body.extend(name);
        }
        write_number(&mut body, position.sequence.0.unsigned_abs());
        if aged {
            write_number(&mut body, position.age.0.unsigned_abs());
        }
    }
    token::seal(scope.kind(), &scope.query(), &body)
}

/// The cursor after one event of a device, to go on in that device's log.
pub fn after(key: &DeviceKey, position: Position) -> String {
    write(&Scope::Device(key.clone()), &BTreeMap::from([(key.device_id.clone(), position)]))
}

/// Reads a cursor that [`write`] made for the same scope.
pub fn read(scope: &Scope, text: &str) -> Result<Positions, TokenError> {
    let body = token::open(scope.kind(), &scope.query(), text, MAX_TEXT)?;
    let mut rest = body.as_slice();
    let mut positions = Positions::new();
    while !rest.is_empty() {
        let (device, aged) = match scope {
            Scope::Tenant(_) => {
                let (device, aged) = read_name(&mut rest)?;
                (device, Some(aged))
            }
            Scope::Device(key) => (key.device_id.clone(), None),
        };
        let sequence = Sequence(read_number(&mut rest)?);
        // Of a device alone there is one position: whatever follows is its age.
        let age = if aged.unwrap_or(!rest.is_empty()) { read_number(&mut rest)? } else { 0 };
        let position = Position { sequence, age: Age(age) };
        if positions.len() == MAX_DEVICES || positions.insert(device, position).is_some() {
            return Err(TokenError::Garbage);
        }
    }
    Ok(positions)
}

/// A name, and whether an age follows the number after it.
fn read_name(rest: &mut &[u8]) -> Result<(DeviceId, bool), TokenError> {
    let (&first, after) = rest.split_first().ok_or(TokenError::Garbage)?;
    let (aged, len) = (first & AGED != 0, usize::from(first & !AGED));
    let name = after.get(..len).ok_or(TokenError::Garbage)?;
    *rest = &after[len..];
    let name = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
    Ok((name.ok_or(TokenError::Garbage)?, aged))
}

/// Seven bits a byte, lowest first, the high bit on all but the last.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Result<i64, TokenError> {
    let mut number: u64 = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(TokenError::Garbage)?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(number).map_err(|_| TokenError::Garbage);
        }
    }
    Err(TokenError::Garbage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Scope {
        Scope::Tenant("acme".parse().expect("well formed"))
    }

    fn device() -> Scope {
        Scope::Device("tenants/acme/devices/shop".parse().expect("well formed"))
    }

    fn positions(pairs: &[(&str, i64)]) -> Positions {
        pairs.iter().map(|(id, at)| (id.parse().expect("well formed"), aged(*at, 0))).collect()
    }

    fn aged(sequence: i64, age: i64) -> Position {
        Position { sequence: Sequence(sequence), age: Age(age) }
    }

    #[test]
    fn positions_read_back_as_they_were_written() {
        let all = positions(&[("a", 1), ("b", 127), ("c", 128), (&"x".repeat(63), i64::MAX)]);
        assert_eq!(read(&tenant(), &write(&tenant(), &all)), Ok(all));
        let one = positions(&[("shop", 300)]);
        assert_eq!(read(&device(), &write(&device(), &one)), Ok(one));
        assert_eq!(read(&tenant(), &write(&tenant(), &Positions::new())), Ok(Positions::new()));
    }

    #[test]
    fn an_age_is_kept_and_a_cursor_without_one_reads_as_it_always_did() {
        let mut all = positions(&[("a", 1), ("c", 128)]);
        all.insert("b".parse().expect("well formed"), aged(127, 3));
        all.insert("x".repeat(63).parse().expect("well formed"), aged(i64::MAX, i64::MAX));
        assert_eq!(read(&tenant(), &write(&tenant(), &all)), Ok(all));
        let one = Positions::from([("shop".parse().expect("well formed"), aged(300, 2))]);
        assert_eq!(read(&device(), &write(&device(), &one)), Ok(one));
        let before = token::seal(Kind::TenantCursor, &tenant().query(), &[1, b'a', 5]);
        assert_eq!(read(&tenant(), &before), Ok(positions(&[("a", 5)])));
        let before = token::seal(Kind::DeviceCursor, &device().query(), &[5]);
        assert_eq!(read(&device(), &before), Ok(positions(&[("shop", 5)])));
        let more = token::seal(Kind::DeviceCursor, &device().query(), &[5, 1, 1]);
        assert_eq!(read(&device(), &more), Err(TokenError::Garbage));
    }

    #[test]
    fn a_cursor_of_another_device_or_tenant_is_refused() {
        let text = write(&device(), &positions(&[("shop", 3)]));
        let other = Scope::Device("tenants/acme/devices/office".parse().expect("well formed"));
        assert_eq!(read(&other, &text), Err(TokenError::OtherQuery));
        assert_eq!(read(&tenant(), &text), Err(TokenError::OtherQuery));
        let text = write(&tenant(), &positions(&[("shop", 3)]));
        let stranger = Scope::Tenant("globex".parse().expect("well formed"));
        assert_eq!(read(&stranger, &text), Err(TokenError::OtherQuery));
    }

    #[test]
    fn a_body_that_is_cut_or_repeats_itself_is_garbage() {
        let query = tenant().query();
        let twice = [1, b'a', 5, 1, b'a', 6];
        let bodies: [&[u8]; 5] = [&[3, b'a'], &[1, b'a'], &[1, b'a', 0x80], &[1, b'A', 1], &twice];
        for body in bodies {
            let text = token::seal(Kind::TenantCursor, &query, body);
            assert_eq!(read(&tenant(), &text), Err(TokenError::Garbage), "{body:?}");
        }
        let endless = [1, b'a', 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let text = token::seal(Kind::TenantCursor, &query, &endless);
        assert_eq!(read(&tenant(), &text), Err(TokenError::Garbage));
    }

    #[test]
    fn the_largest_cursor_of_a_tenant_still_reads_back() {
        let all: Positions = (0..MAX_DEVICES)
            .map(|n| (format!("{n:0>63}").parse().expect("well formed"), aged(i64::MAX, i64::from(u32::MAX))))
            .collect();
        let text = write(&tenant(), &all);
        assert!(text.len() <= MAX_TEXT, "{}", text.len());
        assert_eq!(read(&tenant(), &text), Ok(all));
    }
}
