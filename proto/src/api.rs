//! The gRPC API, generated from `schema/roost/v1`: messages, clients and servers without a transport.

#![allow(missing_docs, clippy::all)]

pub use ::prost_types::{Duration, Timestamp};

tonic::include_proto!("roost.v1");

/// The compiled schema (an encoded `FileDescriptorSet`), for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/roost.descriptors"));
