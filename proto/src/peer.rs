//! What nodes say to each other, generated from `schema/roost/internal/v1`.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("roost.internal.v1");
