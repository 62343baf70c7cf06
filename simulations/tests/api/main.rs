//! The API over real sockets: real services, a real SQLite store, real membership, several nodes in one
//! process.
//!
//! What must hold here: nothing of ours is replaced but the devices: these nodes are granted devices and
//! never open one, so that what any node answers without an open device can be seen. What open devices
//! answer is tested with real devices and the simulated WhatsApp.

mod cluster;
mod consumers;
mod devices;
mod reads;
mod tenants;
mod world;
