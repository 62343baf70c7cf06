//! Calls: they are told; nothing here speaks.
//!
//! What must hold: every `<call>` is acknowledged behind the commit of its event; what belongs to setting
//! up the media (transport, latency, …) is acknowledged and nothing more. How a call has ended is read from its last part
//! alone, so that an owner who has not heard it ring says the same of it.

use roost_proto::api;
use roost_proto::api::call_ended::How;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Read, Stanza};

use super::Machine;
use super::commit::Pending;
use super::heard::forms;
use super::inbound::{bounded, person};
use crate::port::NewEvent;

/// A call that was kept while the device was away rings no more after so many milliseconds; phones ring for about a
/// minute.
const RINGS: i64 = 120_000;

impl Machine {
    /// `<call from id t><offer call-id call-creator …/></call>` and its siblings.
    pub(super) fn on_call(&mut self, link: u64, stanza: &Stanza) {
        let slot = self.lane.open();
        let mut outcome = Pending::default();
        outcome.batch.events.extend(self.call_event(stanza));
        let ack = self.plain_ack(stanza, None);
        self.settle_slot(slot, link, outcome, ack);
    }

    fn call_event(&self, stanza: &Stanza) -> Option<NewEvent> {
        let what = stanza.all().first()?;
        let call_id = what.text("call-id")?.into_owned();
        let creator = what.jid("call-creator").or_else(|| stanza.jid("from"))?;
        let ours = self.account.as_ref().is_some_and(|account| account.is_own(&creator));
        let caller = person(&[Some(creator), what.jid("caller_pn"), what.jid("caller_lid")]);
        let from = stanza.jid("from").map(|from| from.to_non_ad().to_string());
        let by_caller = from.is_none_or(|from| forms(&caller).contains(&from));
        let group = what.jid("group-jid").map(|group| group.to_string()).unwrap_or_default();
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let occurred = seconds.map_or(self.now.wall, UnixMillis);
        let offline = stanza.text("offline").is_some();
        let (kind, payload) = match &*what.tag {
            // A device may hear both of one call of a group.
            "offer" | "offer_notice" => {
                let call = api::CallIncoming {
                    call_id: call_id.clone(),
                    caller: Some(caller),
                    video: what.child("video").is_some() || what.text("media").as_deref() == Some("video"),
                    group,
                    over: offline && self.now.wall.0.saturating_sub(occurred.0) > RINGS,
                };
                ("offer", Payload::CallIncoming(call))
            }
            // One participant of a call of a group speaks for himself; only who has made the call ends it, as whatsapp-rust
            // reads it, too.
            "reject" if !group.is_empty() => return None,
            "accept" if !group.is_empty() && !ours => return None,
            "terminate" if !group.is_empty() && !by_caller => return None,
            tag @ ("terminate" | "reject" | "accept") => {
                let reason = what.text("reason").unwrap_or_default();
                let ended = api::CallEnded {
                    call_id: call_id.clone(),
                    caller: Some(caller),
                    how: how(tag, &reason, ours)?.into(),
                    reason: reason.chars().take(100).collect(),
                    group,
                };
                (tag, Payload::CallEnded(ended))
            }
            _ => return None,
        };
        Some(NewEvent {
            dedupe: bounded(format!("call/{kind}/{call_id}")),
            occurred,
            origin: if offline { Origin::OfflineQueue } else { Origin::Live },
            payload,
        })
    }
}

/// How a call has ended, as WhatsApp Web reads it by what whatsapp-rust says; `None` when it has not. A device that hosts
/// takes no calls, so one that is given up without a word on another device was missed.
fn how(tag: &str, reason: &str, ours: bool) -> Option<How> {
    Some(match (tag, reason) {
        // One device of whom was called speaks for itself; the others ring on.
        ("reject", "busy") => return None,
        ("reject", _) => How::Rejected,
        ("accept", _) => How::Answered,
        _ if ours => How::Terminated,
        (_, "" | "timeout" | "group_call_ended") => How::Missed,
        (_, "accepted_elsewhere") => How::AnsweredElsewhere,
        (_, "rejected_elsewhere") => How::RejectedElsewhere,
        _ => How::Terminated,
    })
}
