//! How the server judges accounts: whether they may begin chats. Everybody may, until a fault says otherwise.
//!
//! What must hold: a message is refused before any of it is delivered; chats that exist go on; every refused
//! message is counted, because a client that knows of the judgement does not send it. That only companions are
//! judged is a guess.

use std::collections::BTreeSet;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Stanza, server_jid};
use serde_json::{Value, json};

use super::account::{DeviceRef, Pn, seconds};
use super::machine::Machine;

/// How WhatsApp's clients call the questions about it.
const TIME_LOCK: [&str; 1] = ["23983697327930364"];
const CAPPING: [&str; 2] = ["27910975521856601", "24503548349331633"];

/// What the server knows of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// With whom there is a chat.
    chats: BTreeSet<Pn>,
    locked_until: Option<UnixMillis>,
    /// How many chats may still be begun, of how many, and when the next cycle begins.
    quota: Option<(u32, u32, UnixMillis)>,
}

impl Standing {
    fn lock(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.locked_until.filter(|until| *until > now)
    }

    fn lock_json(&self, now: UnixMillis) -> Value {
        match self.lock(now) {
            Some(until) => json!({
                "is_active": true,
                "enforcement_type": "BIZ_QUALITY",
                "time_enforcement_ends": seconds(until).to_string(),
            }),
            None => json!({ "is_active": false, "enforcement_type": "DEFAULT" }),
        }
    }

    fn quota_json(&self) -> Value {
        let (left, total, end) = self.quota.unwrap_or((0, 0, UnixMillis(0)));
        let status = if self.quota.is_some() && left == 0 { "CAPPED" } else { "NONE" };
        json!({
            "capping_status": status,
            "total_quota": total,
            "used_quota": total - left,
            "cycle_end_timestamp": seconds(end).to_string(),
        })
    }
}

impl Machine {
    /// The code with which a message to this account is refused; otherwise there is a chat from now on.
    pub(super) fn judge(&mut self, now: UnixMillis, from: DeviceRef, recipient: Pn) -> Option<u16> {
        let standing = &mut self.account_mut(from.pn).standing;
        let begins = recipient != from.pn && !standing.chats.contains(&recipient);
        if begins && from.device != 0 {
            if standing.quota.is_some_and(|(_, _, end)| end <= now) {
                standing.quota = None;
            }
            let refused = match (standing.lock(now), &mut standing.quota) {
                (Some(_), _) => Some(463),
                (None, Some((0, _, _))) => Some(475),
                (None, quota) => {
                    *quota = quota.map(|(left, total, end)| (left - 1, total, end));
                    None
                }
            };
            if refused.is_some() {
                self.ledger.device(from).refused_reach_outs += 1;
                return refused;
            }
        }
        self.account_mut(from.pn).standing.chats.insert(recipient);
        self.account_mut(recipient).standing.chats.insert(from.pn);
        None
    }

    /// Locks an account for new chats for so long, or unlocks it; its devices hear of it when they are told.
    pub(super) fn lock_account(&mut self, now: UnixMillis, pn: Pn, ms: u32, tell: bool) {
        let standing = &mut self.account_mut(pn).standing;
        standing.locked_until = (ms > 0).then_some(UnixMillis(now.0 + i64::from(ms)));
        let said = json!({ "data": { "xwa2_notify_account_reachout_timelock": standing.lock_json(now) } });
        if tell {
            self.tell_standing(now, pn, "NotificationUserReachoutTimelockUpdate", &said);
        }
    }

    /// Allows an account so many new chats until a cycle ends; its devices hear of it when they are told.
    pub(super) fn cap_account(&mut self, now: UnixMillis, pn: Pn, total: u32, ms: u32, tell: bool) {
        let standing = &mut self.account_mut(pn).standing;
        standing.quota = (ms > 0).then_some((total, total, UnixMillis(now.0 + i64::from(ms))));
        let quota = standing.quota_json();
        let said = json!({ "data": { "xwa2_notify_new_chat_messages_capping_info_update": quota } });
        if tell {
            self.tell_standing(now, pn, "MessageCappingInfoNotification", &said);
        }
    }

    fn tell_standing(&mut self, now: UnixMillis, pn: Pn, name: &'static str, said: &Value) {
        let numbers: Vec<u16> = self.account(pn).companions.keys().copied().collect();
        for device in numbers {
            let update = Builder::new("update").attr("op_name", name).bytes(said.to_string().into_bytes());
            let notification = Builder::new("notification")
                .attr("type", "mex")
                .attr("from", server_jid())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .children([update.build()]);
            self.deliver(now, DeviceRef { pn, device }, notification.build());
        }
    }

    /// The answer to a question about the own account; `None` when it is another question.
    pub(super) fn standing_of(&self, now: UnixMillis, device: DeviceRef, query: &str) -> Option<Stanza> {
        let standing = &self.account(device.pn).standing;
        let said = match query {
            _ if TIME_LOCK.contains(&query) => {
                json!({ "xwa2_fetch_account_reachout_timelock": standing.lock_json(now) })
            }
            _ if CAPPING.contains(&query) => json!({ "xwa2_message_capping_info": standing.quota_json() }),
            _ => return None,
        };
        let body = json!({ "data": said }).to_string();
        Some(Builder::new("result").bytes(body.into_bytes()).build())
    }
}
