//! How much of its past a phone is asked for when a companion is paired.
//!
//! Rules: what whatsmeow, Baileys and whatsapp-rust send alike; the two limits go with a full history alone, as WhatsApp's
//! own clients have it.

use waproto::whatsapp::DeviceProps;
use waproto::whatsapp::device_props::HistorySyncConfig;

/// All that the phone has, perhaps up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FullHistory {
    /// Not what is older than so many days.
    pub days: Option<u32>,
    /// Not more than so many megabytes.
    pub megabytes: Option<u32>,
}

/// What a companion can take, in megabytes.
const QUOTA: u32 = 10_240;

/// What a companion says of the history that it takes.
pub(super) fn config(full: Option<FullHistory>) -> HistorySyncConfig {
    let FullHistory { days, megabytes } = full.unwrap_or_default();
    HistorySyncConfig {
        full_sync_days_limit: days,
        full_sync_size_mb_limit: megabytes,
        storage_quota_mb: Some(QUOTA),
        inline_initial_payload_in_e2_ee_msg: Some(true),
        support_bot_user_agent_chat_history: Some(true),
        support_cag_reactions_and_polls: Some(true),
        support_biz_hosted_msg: Some(true),
        support_recent_sync_chunk_message_count_tuning: Some(true),
        support_hosted_group_msg: Some(true),
        support_fbid_bot_chat_history: Some(true),
        support_message_association: Some(true),
        ..Default::default()
    }
}

/// The full history that a companion asks for.
pub(super) fn asked(props: &DeviceProps) -> Option<FullHistory> {
    let config = props.history_sync_config.as_option();
    let limits = config.map(|config| FullHistory {
        days: config.full_sync_days_limit,
        megabytes: config.full_sync_size_mb_limit,
    });
    props.require_full_sync.unwrap_or(false).then(|| limits.unwrap_or_default())
}
