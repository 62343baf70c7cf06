//! Who owns what: member, lease, epoch, ring, plan, hand-off. Pure: no runtime, no I/O, no clock.

pub mod choice;
pub mod egress;
pub mod explain;
pub mod heads;
pub mod heart;
pub mod lease;
pub mod ledger;
pub mod load;
pub mod machine;

pub mod plan;
pub mod ring;
pub mod seeded;
pub mod slot;
pub mod wish;
