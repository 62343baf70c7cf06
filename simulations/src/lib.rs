//! The world around Roost: a simulated WhatsApp, a simulated cluster, faults, checkers, and the programs of
//! others that judge them. Nothing here runs in production.

pub mod interop;
