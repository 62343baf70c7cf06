//! The shells: ractor actors that carry out what the device machine decides.

pub mod supervisor;
