//! The scenarios, one family in each file.

pub mod cuts;
pub mod failovers;
pub mod freezes;
pub mod kills;
pub mod limits;
pub mod links;
pub mod outages;
pub mod pooler;
pub mod restarts;
pub mod storms;
pub mod twins;
