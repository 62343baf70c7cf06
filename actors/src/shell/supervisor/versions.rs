//! The version of WhatsApp Web that is chosen for the device: what it is now, and when to look again.

use ractor::ActorRef;
use roost_proto::version::{ProtocolVersion, Rollout};
use tokio::sync::watch;

use super::{Input, State, Task};

impl State {
    /// What was chosen for this device.
    pub(super) fn version(&self) -> ProtocolVersion {
        self.ports.versions.borrow().of(&self.opening.grant.key)
    }
}

/// Says when another one may have been chosen.
pub(super) fn watch(me: ActorRef<Input>, mut chosen: watch::Receiver<Rollout>) -> Task {
    Task(tokio::spawn(async move {
        while chosen.changed().await.is_ok() && me.send_message(Input::Versions).is_ok() {}
    }))
}
