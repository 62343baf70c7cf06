//! The shells: ractor actors that carry out what the device machine decides.
//!
//! One supervisor per device owns the machine. Its children: the crypto actor, the store actor, and one
//! connection actor per link. None has a name; several nodes fit in one process.

mod connection;
mod crypto;
mod files;
mod store;
pub(crate) mod supervisor;
