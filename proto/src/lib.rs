//! What the bytes mean: gRPC schema, ids, Noise, stanzas, Signal. No I/O, no clock.

pub mod adv;
pub mod api;
pub mod appstate;
pub mod ask;
pub mod bundle;
pub mod cert;
pub mod content;
pub mod cstoken;
pub mod e2e;
pub mod frame;
pub mod groups;
pub mod history;
pub mod id;
pub mod json;
pub mod login;
pub mod media;
pub mod noise;
pub mod pair_code;
pub mod pairing;
pub mod passkey;
pub mod peer;
pub mod phash;
pub mod phone;
pub mod retry;
pub mod signal;
pub mod stanza;
pub mod verified;
pub mod version;

/// What encodes and decodes the messages of `api` and `peer`; others use it from here.
pub use prost;
