//! The supervisor of one device: owns its machine and its children.

use roost_proto::id::Sequence;
use tokio::sync::{oneshot, watch};

use crate::device::{Answer, Command, Finished};
use crate::port::DeviceStatus;

/// What reaches the supervisor.
#[derive(Debug)]
pub enum Input {
    /// From a handle.
    Command {
        /// What to do.
        command: Command,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// End.
    Stop {
        /// Dropped when it has begun.
        reply: oneshot::Sender<Answer>,
    },
}

/// What others may watch.
#[derive(Debug)]
pub struct Outputs {
    /// Status of the device.
    pub status: watch::Sender<DeviceStatus>,
    /// Last committed sequence.
    pub tail: watch::Sender<Sequence>,
    /// Why it ended.
    pub finished: watch::Sender<Option<Finished>>,
}
