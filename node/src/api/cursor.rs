//! Cursors: how far a reader has come in the event log, as an opaque text.
//!
//! What must hold: a cursor of a device is one position, a cursor of a tenant one position per device,
//! both bound to their name; a device that is missing in a tenant's cursor stands at its beginning.
//! A cursor says nothing about what still exists; the reader compares it with the heads of the logs.

use std::collections::BTreeMap;

use roost_proto::id::{BusinessId, DeviceId, DeviceKey, Sequence};

use super::token::{self, Kind, TokenError};

/// Devices that fit into one cursor of a tenant. With the longest names it is 370 kB of text.
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

/// Last sequence that was read, per device.
pub type Positions = BTreeMap<DeviceId, Sequence>;

/// The cursor after these positions. Positions of 0 are left out: they are the beginning.
pub fn write(scope: &Scope, positions: &Positions) -> String {
    let mut body = Vec::with_capacity(positions.len() * 24);
    for (device, sequence) in positions.iter().filter(|(_, sequence)| sequence.0 > 0) {
        if let Scope::Tenant(_) = scope {
            let name = device.as_str().as_bytes();
            body.push(u8::try_from(name.len()).expect("a device id has at most 63 bytes"));
            body.extend(name);
        }
        write_number(&mut body, sequence.0.unsigned_abs());
    }
    token::seal(scope.kind(), &scope.query(), &body)
}

/// The cursor after one event of a device, to go on in that device's log.
pub fn after(key: &DeviceKey, sequence: Sequence) -> String {
    write(&Scope::Device(key.clone()), &BTreeMap::from([(key.device_id.clone(), sequence)]))
}

/// Reads a cursor that [`write`] made for the same scope.
pub fn read(scope: &Scope, text: &str) -> Result<Positions, TokenError> {
    let body = token::open(scope.kind(), &scope.query(), text, MAX_TEXT)?;
    let mut rest = body.as_slice();
    let mut positions = Positions::new();
    while !rest.is_empty() {
        let device = match scope {
            Scope::Tenant(_) => read_name(&mut rest)?,
            Scope::Device(key) => key.device_id.clone(),
        };
        let sequence = read_number(&mut rest)?;
        if positions.len() == MAX_DEVICES || positions.insert(device, Sequence(sequence)).is_some() {
            return Err(TokenError::Garbage);
        }
    }
    Ok(positions)
}

fn read_name(rest: &mut &[u8]) -> Result<DeviceId, TokenError> {
    let (&len, after) = rest.split_first().ok_or(TokenError::Garbage)?;
    let name = after.get(..usize::from(len)).ok_or(TokenError::Garbage)?;
    *rest = &after[usize::from(len)..];
    std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(TokenError::Garbage)
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
        pairs.iter().map(|(id, at)| (id.parse().expect("well formed"), Sequence(*at))).collect()
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
            .map(|n| (format!("{n:0>63}").parse().expect("well formed"), Sequence(i64::MAX)))
            .collect();
        let text = write(&tenant(), &all);
        assert!(text.len() <= MAX_TEXT, "{}", text.len());
        assert_eq!(read(&tenant(), &text), Ok(all));
    }
}
