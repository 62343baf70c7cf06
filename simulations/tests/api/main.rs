//! The API over real sockets: real services, a real SQLite store, real membership, several nodes in one
//! process.
//!
//! What must hold here: nothing of ours is replaced. There are two kinds of nodes: those of `world.rs` are
//! granted devices and never open one, so that what any node answers without an open device can be seen;
//! those of `live.rs` run real devices against the simulated WhatsApp, on the store's model.

mod anew;
mod calls;
mod chats;
mod cluster;
mod command;
mod consumers;
mod contacts;
mod devices;
mod downgrades;
mod groups;
mod health;
mod imports;
mod live;
mod loads;
mod media;
mod pairing;
mod passkeys;
mod people;
mod placement;
mod protocol;
mod proxies;
mod reads;
mod retention;
mod sends;
mod standard;
mod tenants;
mod world;
