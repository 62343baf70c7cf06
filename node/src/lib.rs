//! The process: configuration, SQL, gRPC, sockets, telemetry, CLI; the composition root.

pub mod directory;
