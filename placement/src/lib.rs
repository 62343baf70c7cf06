//! Who owns what: member, lease, epoch, ring, plan, hand-off. Pure: no runtime, no I/O, no clock.

pub mod lease;
pub mod ledger;
