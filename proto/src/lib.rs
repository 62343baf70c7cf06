//! What the bytes mean: gRPC schema, ids, Noise, stanzas, Signal. No I/O, no clock.

pub mod api;
pub mod id;
pub mod peer;
