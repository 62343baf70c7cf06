//! Senders: devices write to each other and to a friend, and phones write to devices.

use std::time::Duration;

use rand::RngExt as _;
use roost_actors::device::{AcceptedSend, Recipient, SendError, SendRequest};
use roost_actors::port::Terms;
use roost_proto::content::MessageContent;
use roost_proto::id::DeviceKey;

use super::super::context::{Context, micros};
use super::super::input::Asks;
use super::super::queue::Happening;
use super::super::whatsapp::WhatsApp;
use super::{AGAIN, CallerEvent, Callers, Purpose};
use crate::history::{What, short_digest};

/// How long one message may take to be accepted, whatever happens to the cluster meanwhile.
const ACCEPT: Duration = Duration::from_secs(60);

/// Limit of one try.
const TRY: Duration = Duration::from_secs(8);

/// A message that is to be accepted.
pub(super) struct Sending {
    sender: usize,
    key: DeviceKey,
    request: SendRequest,
    until: u64,
}

impl Sending {
    pub(super) fn asks(&self) -> (Duration, DeviceKey, Asks) {
        (TRY, self.key.clone(), Asks::Send(Box::new(self.request.clone())))
    }

    pub(super) fn is_over(&self, ctx: &Context) -> bool {
        ctx.now() >= self.until
    }
}

impl Callers {
    /// A sender speaks again after a pause.
    pub(super) fn next_words(&mut self, ctx: &mut Context, sender: usize) {
        let pause = ctx.plan.pause.mul_f64(self.rng.random());
        ctx.after(pause, Happening::Caller(CallerEvent::Say(sender)));
    }

    pub(super) fn say(&mut self, ctx: &mut Context, whatsapp: &mut WhatsApp, sender: usize) {
        if self.hushed {
            return;
        }
        let text = format!("message {} of sender {sender}", self.said[sender]);
        self.said[sender] += 1;
        let from = self.speakers[self.rng.random_range(0..self.speakers.len())].clone();
        let to = self.speakers[self.rng.random_range(0..self.speakers.len())].clone();
        if self.rng.random_bool(0.4) {
            whatsapp.phone_says(ctx, self.friend, to.pn, &text);
            return self.next_words(ctx, sender);
        }
        let to = if to.pn == from.pn || self.rng.random() { self.friend } else { to.pn };
        let request_id = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string();
        let content = short_digest(text.as_bytes());
        ctx.record.fact(What::Asked {
            tenant: from.key.business_id.clone(),
            key: from.key.clone(),
            request: request_id.clone(),
            content,
        });
        let mut request_hash = [0; 32];
        request_hash[..8].copy_from_slice(&content.to_be_bytes());
        let to = Recipient::Phone(to.to_string());
        let request = SendRequest {
            to,
            content: MessageContent::text(text),
            request_id,
            request_hash,
            whatsapp_id: None,
            terms: Terms::default(),
        };
        let until = ctx.now() + micros(ACCEPT);
        let sending = Box::new(Sending { sender, key: from.key, request, until });
        self.open(ctx, Purpose::Sending(sending));
    }

    pub(super) fn accepted(&mut self, ctx: &mut Context, call: u64, accepted: &AcceptedSend) {
        let Some(Purpose::Sending(sending)) = self.open.remove(&call).map(|open| open.purpose) else {
            return;
        };
        ctx.record.fact(What::Accepted {
            tenant: sending.key.business_id.clone(),
            key: sending.key,
            request: sending.request.request_id,
            message: accepted.message.message.whatsapp_id.clone(),
        });
        self.next_words(ctx, sending.sender);
    }

    pub(super) fn sending_refused(&mut self, ctx: &mut Context, call: u64, error: &SendError) {
        match error {
            SendError::Busy | SendError::Unavailable | SendError::OwnershipLost => self.again(ctx, call),
            SendError::NotPaired => self.refused(ctx, call, "not paired"),
            SendError::LoggedOut => self.refused(ctx, call, "logged out"),
            SendError::Conflict => self.refused(ctx, call, "conflict"),
            SendError::Restricted(_) => self.refused(ctx, call, "restricted"),
            SendError::Barred(_) => self.refused(ctx, call, "no new chats"),
            SendError::Outdated => self.refused(ctx, call, "outdated"),
            SendError::KeyReused => self.refused(ctx, call, "request id reused"),
            SendError::PollEnded => self.refused(ctx, call, "poll ended"),
            SendError::OptionRefused => self.refused(ctx, call, "option refused"),
            SendError::IdTaken => self.refused(ctx, call, "id taken"),
            SendError::UnknownMessage => self.refused(ctx, call, "unknown message"),
        }
    }

    pub(super) fn refused(&mut self, ctx: &mut Context, call: u64, why: &'static str) {
        let Some(Purpose::Sending(sending)) = self.open.remove(&call).map(|open| open.purpose) else {
            return;
        };
        ctx.record.fact(What::Refused { request: sending.request.request_id, why });
        ctx.after(AGAIN, Happening::Caller(CallerEvent::Say(sending.sender)));
    }
}
