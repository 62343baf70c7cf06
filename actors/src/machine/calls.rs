//! Calls: they are told, and can be rejected; nothing here speaks.
//!
//! What must hold: every `<call>` is acknowledged behind the commit of its event; what belongs to setting
//! up the media (transport, latency, …) is acknowledged and nothing more.

use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, message_id};

use super::Machine;
use super::commit::Pending;
use super::inbound::{bounded, person};
use crate::device::CommandError;
use crate::port::NewEvent;

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
        let caller = person(&[Some(creator), what.jid("caller_pn"), what.jid("caller_lid")]);
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let offline = stanza.text("offline").is_some();
        let payload = match &*what.tag {
            "offer" | "offer_notice" => Payload::CallIncoming(api::CallIncoming {
                call_id: call_id.clone(),
                caller: Some(caller),
                video: what.child("video").is_some() || what.text("media").as_deref() == Some("video"),
                group: what.jid("group-jid").map(|group| group.to_string()).unwrap_or_default(),
            }),
            "terminate" | "reject" | "accept" => Payload::CallEnded(api::CallEnded {
                call_id: call_id.clone(),
                caller: Some(caller),
                how: match &*what.tag {
                    "accept" => api::call_ended::How::Answered,
                    "reject" => api::call_ended::How::Rejected,
                    _ => api::call_ended::How::Terminated,
                }
                .into(),
                reason: what.text("reason").unwrap_or_default().chars().take(100).collect(),
            }),
            _ => return None,
        };
        Some(NewEvent {
            dedupe: bounded(format!("call/{}/{call_id}", what.tag)),
            occurred: seconds.map_or(self.now.wall, UnixMillis),
            origin: if offline { Origin::OfflineQueue } else { Origin::Live },
            payload,
        })
    }

    /// Rejects a call on all devices of the account.
    pub(super) fn reject_call(&mut self, token: u64, caller: &Jid, call_id: String) {
        if let Some(error) = self.unpaired() {
            return self.done(token, Err(error));
        }
        let Some(account) = self.account.clone() else { return };
        if !self.may_act() {
            return self.done(token, Err(CommandError::Unavailable));
        }
        if let Some(refusal) = self.unconnected() {
            return self.done(token, Err(refusal));
        }
        let caller = caller.to_non_ad();
        let own = account.lid.filter(|_| caller.is_lid()).unwrap_or(account.pn).to_non_ad();
        let reject = Builder::new("reject")
            .attr("call-id", call_id)
            .attr("call-creator", caller.clone())
            .attr("count", "0")
            .build();
        let call = Builder::new("call")
            .attr("id", message_id(&mut self.rng))
            .attr("from", own)
            .attr("to", caller)
            .children([reject]);
        self.send(&call.build());
        self.done(token, Ok(()));
    }
}
