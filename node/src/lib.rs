//! The process: configuration, SQL, gRPC, sockets, telemetry, CLI; the composition root.

pub mod api;
pub mod assembly;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod commits;
pub mod config;
pub mod counted;
pub mod descriptors;
pub mod directory;
pub mod errors;
pub mod hosting;
pub mod http;
pub mod import;
pub mod link;
pub mod media;
pub mod metrics;
pub mod outside;
pub mod parent;
pub mod polls;
pub mod protocol;
pub mod proxy;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod warm;
