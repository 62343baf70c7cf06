//! New chats that WhatsApp does not allow an account now.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use roost_actors::device::Bar;
use roost_proto::id::{DeviceKey, UnixMillis};
use tonic_types::ErrorDetails;

/// A message was not accepted because it would begin a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// Of which device.
    pub key: DeviceKey,
    /// Why, and until when.
    pub bar: Bar,
    /// When it was refused.
    pub now: UnixMillis,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.left().as_secs();
        match self.bar {
            Bar::TimeLock { .. } => {
                write!(
                    f,
                    "WhatsApp has locked the account of {} for new chats for {seconds} s more",
                    self.key
                )
            }
            Bar::Capped { .. } => write!(
                f,
                "the account of {} has used up WhatsApp's quota of new chats; the next cycle begins in {seconds} s",
                self.key
            ),
        }
    }
}

impl Barred {
    pub(super) fn reason(&self) -> &'static str {
        match self.bar {
            Bar::TimeLock { .. } => "REACHOUT_TIMELOCKED",
            Bar::Capped { .. } => "NEW_CHAT_CAPPED",
        }
    }

    /// How long it lasts.
    pub(super) fn left(&self) -> Duration {
        let left = self.bar.until().0.saturating_sub(self.now.0);
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    pub(super) fn note(&self, metadata: &mut HashMap<String, String>) {
        metadata.insert("until_unix_millis".into(), self.bar.until().0.to_string());
        if let Bar::Capped { used, total, .. } = self.bar {
            metadata.insert("used".into(), used.to_string());
            metadata.insert("total".into(), total.to_string());
        }
    }

    pub(super) fn detail(&self, details: &mut ErrorDetails) {
        details.add_quota_failure_violation(self.key.to_string(), self.to_string());
    }
}
