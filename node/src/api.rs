//! The gRPC API: the services of `roost.v1` on any node for any device.

pub mod cursor;
pub mod parse;
pub mod token;
