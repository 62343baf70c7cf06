//! What the bytes mean: gRPC schema, ids, Noise, stanzas, Signal. No I/O, no clock.

pub mod adv;
pub mod api;
pub mod e2e;
pub mod id;
pub mod pairing;
pub mod peer;
pub mod signal;
