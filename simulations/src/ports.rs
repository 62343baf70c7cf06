//! Ports for processes that this one starts.
//!
//! What must hold: no port is given twice, though nobody may listen there yet; and none is one of those that outgoing
//! connections get, which could have it while a process that was killed is started again.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below the ports of outgoing connections, on every system as it comes.
const PORTS: Range<u16> = 10_000..32_000;
/// Ports that are looked at before it is given up.
const LOOKS: usize = 100;

/// An address where nothing listened a moment ago.
///
/// # Errors
/// Of the last port that was looked at.
pub fn free(address: IpAddr) -> io::Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..LOOKS {
        let address = SocketAddr::new(address, rand::random_range(PORTS));
        match TcpListener::bind(address) {
            Ok(_) if given.insert(address) => return Ok(address),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn none_is_given_twice_though_nobody_listens_yet() {
        let given: Vec<SocketAddr> =
            (0..600).map(|_| free(Ipv4Addr::LOCALHOST.into()).expect("there are free ones")).collect();
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len());
        assert!(given.iter().all(|address| PORTS.contains(&address.port())));
    }
}
