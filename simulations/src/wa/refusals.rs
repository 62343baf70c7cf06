//! What is refused, and why: a client is told a code, and whoever looks for its mistake finds the reason in the log and
//! in the ledger.

use roost_proto::id::UnixMillis;

use super::account::DeviceRef;
use super::machine::{Machine, Refusal};

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// What its client is told.
    pub(super) code: u16,
    /// What is kept.
    pub(super) why: Refusal,
}

/// A refusal with its reason.
pub(super) fn refuse(code: u16, why: impl Into<Refusal>) -> Refused {
    Refused { code, why: why.into() }
}

impl Machine {
    /// Something that is named by a tag, and perhaps an id, was refused.
    pub(super) fn note_refusal(
        &mut self,
        now: UnixMillis,
        device: Option<DeviceRef>,
        (tag, id): (&str, Option<&str>),
        reason: &str,
    ) {
        tracing::warn!(device = device.map(|device| device.to_string()), tag, id, reason, "refused");
        if let Some(device) = device {
            self.ledger.device(device).refused_stanzas += 1;
        }
        self.ledger.refused(device, (tag, id), reason, now);
    }
}
