//! What the machine says of single devices, for people.

use roost_proto::id::DeviceKey;

use super::Machine;
use super::phase::{Phase, Then};

impl Machine {
    /// What is about to happen to a device of this node, as a sentence; `None` when it simply runs here,
    /// or is not here.
    pub fn doing(&self, key: &DeviceKey) -> Option<String> {
        let me = &self.config.me.node;
        Some(match self.holdings.phase(key)? {
            Phase::Running => return None,
            Phase::Warming(gift) => format!("{} is preparing to take it from {me}.", gift.to.node),
            Phase::Stopping(Then::Give(gift)) => format!("{me} stops it, to hand it to {}.", gift.to.node),
            Phase::Stopping(_) => format!("{me} stops it."),
            Phase::Idle => format!("It has stopped on {me} and waits for a node that can take it."),
            Phase::Giving(gift) => format!("{me} has stopped it and is giving it to {}.", gift.to.node),
            Phase::Releasing => format!("{me} has stopped it and is freeing it."),
            Phase::Asking(..) => format!("{me} does not know what became of it and is reading its row."),
        })
    }
}
