//! What callers hear of an account that WhatsApp holds back, and of the pace that it keeps.

use roost_proto::id::UnixMillis;

use super::{Answer, Command, CommandError, DeviceHandle};

/// Why a device begins no new chats now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// WhatsApp has locked the account for new chats.
    TimeLock {
        /// Until then.
        until: UnixMillis,
    },
    /// The account has begun as many new chats as WhatsApp allows it.
    Capped {
        /// The next cycle begins then.
        until: UnixMillis,
        /// New chats that were begun in this cycle; 0 when WhatsApp does not say.
        used: u32,
        /// How many it may begin; 0 when WhatsApp does not say.
        total: u32,
    },
}

impl Bar {
    /// When it ends.
    pub fn until(self) -> UnixMillis {
        match self {
            Bar::TimeLock { until } | Bar::Capped { until, .. } => until,
        }
    }
}

/// How fast a device sends at most. Messages above the pace wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacingPolicy {
    /// Messages a minute in chats that exist; 0 is no limit.
    pub reply_per_minute: u32,
    /// New chats a day; 0 is no limit.
    pub reach_out_per_day: u32,
}

impl Default for PacingPolicy {
    /// No limit in chats that exist. Nobody publishes what WhatsApp takes for too many new ones: a hundred a day
    /// is more than a person begins, and little enough to stop an accident.
    fn default() -> PacingPolicy {
        PacingPolicy { reply_per_minute: 0, reach_out_per_day: 100 }
    }
}

/// The pace of a device, and how far it is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The policy.
    pub policy: PacingPolicy,
    /// New chats that may be begun at once; `None` is no limit.
    pub reach_outs_left: Option<u32>,
    /// When the next one may be begun, if none may now.
    pub next_reach_out: Option<UnixMillis>,
}

impl DeviceHandle {
    /// Changes the pace. `Ok` means that it is durable; it outlives owners.
    pub async fn set_pacing(&self, policy: PacingPolicy) -> Result<(), CommandError> {
        self.command(Command::SetPacing(policy)).await
    }

    /// Asks WhatsApp how it judges the account, unless it has said so within a minute. `Ok` means that what it has said is
    /// durable.
    pub async fn refresh_health(&self) -> Result<(), CommandError> {
        self.command(Command::RefreshHealth).await
    }

    /// The pace, and how far it is used up.
    pub async fn pace(&self) -> Result<Pace, CommandError> {
        let permit = self.permit().ok_or(CommandError::Busy)?;
        match self.ask_actor(Command::Pace, permit).await {
            Ok(Answer::Pace(result)) => result,
            Ok(_) => unreachable!("it is answered with a pace"),
            Err(_) => Err(CommandError::Unavailable),
        }
    }
}
