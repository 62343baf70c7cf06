//! The process: configuration, SQL, gRPC, sockets, telemetry, CLI; the composition root.

pub mod config;
pub mod directory;
pub mod errors;
