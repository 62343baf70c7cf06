//! The gRPC API: the services of `roost.v1` on any node for any device.

pub mod call;
pub mod channels;
pub mod cursor;
pub mod parse;
pub mod port;
pub mod route;
pub mod token;
