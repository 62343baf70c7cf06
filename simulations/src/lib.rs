//! The world around Roost: a simulated WhatsApp, a simulated cluster, faults, checkers, and the programs of
//! others that judge them. Nothing here runs in production.

pub mod callers;
pub mod chaos;
pub mod check;
pub mod conformance;
pub mod demo;
pub mod history;
pub mod interop;
pub mod keeper;
pub mod machines;
pub mod model;
pub mod percentiles;
pub mod ports;
pub mod postgres;
pub mod processes;
pub mod run;
pub mod scan;
pub mod seeds;
pub mod sightings;
pub mod sim_server;
pub mod stack;
pub mod talk;
pub mod tally;
pub mod timeline;
pub mod trouble;
pub mod wa;
pub mod world;
