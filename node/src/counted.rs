//! Counts what devices commit and how long take-overs take, beside the devices and without a part in them.
//!
//! What must hold: an outcome is counted after it is known, and only what was committed counts as
//! appended or sent; the store's answers go through unchanged.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::device::DeviceHandle;
use roost_actors::port::{Batch, Committed, DeviceStore, DeviceStoreError, Loaded, StateKey, StoredMessage};
use roost_placement::ledger::Grant;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::api::message;
use roost_proto::id::Age;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// A device store that counts.
pub struct Counted {
    inner: Arc<dyn DeviceStore>,
    metrics: Metrics,
}

impl Counted {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn DeviceStore>, metrics: Metrics) -> Counted {
        Counted { inner, metrics }
    }

    fn fenced<T>(&self, operation: &str, answer: Result<T, DeviceStoreError>) -> Result<T, DeviceStoreError> {
        if matches!(answer, Err(DeviceStoreError::Fenced)) {
            self.metrics.count("roost_fence_rejections_total", &[("operation", operation)]);
        }
        answer
    }
}

#[async_trait]
impl DeviceStore for Counted {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        self.fenced("load", self.inner.load(grant).await)
    }

    async fn read(
        &self,
        grant: &Grant,
        age: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError> {
        self.fenced("read", self.inner.read(grant, age, keys).await)
    }

    async fn sent_messages(
        &self,
        grant: &Grant,
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        self.fenced("read", self.inner.sent_messages(grant, whatsapp_ids).await)
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        let events: Vec<&str> = batch.events.iter().map(|event| kind(&event.payload)).collect();
        let ended = |state| batch.messages.iter().filter(|update| update.state == state).count();
        let (sent, failed) = (ended(message::State::Sent), ended(message::State::Failed));
        let begin = Instant::now();
        let committed = self.fenced("commit", self.inner.commit(grant, batch).await)?;
        self.metrics.time("roost_commit_duration_seconds", &[], begin.elapsed());
        for (kind, sequence) in events.into_iter().zip(&committed.events) {
            if sequence.is_some() {
                self.metrics.count("roost_events_appended_total", &[("kind", kind)]);
            }
        }
        for (result, count) in [("sent", sent), ("failed", failed)] {
            if count > 0 {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                self.metrics.add("roost_sends_total", &[("type", "any"), ("result", result)], count);
            }
        }
        Ok(committed)
    }
}

/// Follows a device that was opened at `opened` after a take-over until it is online and has committed
/// its first event, or has ended.
pub async fn takeover(device: DeviceHandle, opened: Instant, metrics: Metrics) {
    const NAME: &str = "roost_takeover_duration_seconds";
    let (mut status, mut tail) = (device.status(), device.tail());
    let online = async {
        if status.wait_for(|status| status.state == State::Online).await.is_ok() {
            metrics.time(NAME, &[("phase", "connect")], opened.elapsed());
        }
        if tail.wait_for(|tail| tail.0 > 0).await.is_ok() {
            metrics.time(NAME, &[("phase", "first_event")], opened.elapsed());
        }
    };
    tokio::select! {
        biased;
        () = online => {}
        _ = device.finished() => {}
    }
}

/// Follows a device that was given to this node until it is online or has ended. It had been stopped
/// elsewhere since `stopped`, by this node's clock and but for the time that the word took to get here.
pub async fn hand_off(device: DeviceHandle, stopped: Instant, how: &'static str, metrics: Metrics) {
    let mut status = device.status();
    tokio::select! {
        online = status.wait_for(|status| status.state == State::Online) => if online.is_ok() {
            metrics.time("roost_handoff_pause_seconds", &[("target", how)], stopped.elapsed());
        },
        _ = device.finished() => {}
    }
}

fn kind(payload: &Payload) -> &'static str {
    match payload {
        Payload::MessageReceived(_) => "message_received",
        Payload::MessageStateChanged(_) => "message_state_changed",
        Payload::DeviceStateChanged(_) => "device_state_changed",
        Payload::Undecryptable(_) => "undecryptable",
        Payload::StanzaQuarantined(_) => "stanza_quarantined",
        Payload::OwnershipChanged(_) => "ownership_changed",
        Payload::Paired(_) => "paired",
        Payload::IdentityChanged(_) => "identity_changed",
        Payload::ChatChanged(_) => "chat_changed",
        Payload::MessageStarred(_) => "message_starred",
        Payload::MessageDeletedForMe(_) => "message_deleted_for_me",
        Payload::ContactChanged(_) => "contact_changed",
        Payload::LabelChanged(_) => "label_changed",
        Payload::LabelAssigned(_) => "label_assigned",
        Payload::SettingChanged(_) => "setting_changed",
        Payload::QuickReplyChanged(_) => "quick_reply_changed",
        Payload::AppStateResynced(_) => "app_state_resynced",
        Payload::HistoryChunk(_) => "history_chunk",
        Payload::MessageEdited(_) => "message_edited",
        Payload::MessageRevoked(_) => "message_revoked",
        Payload::ReactionReceived(_) => "reaction_received",
        Payload::PollVoteReceived(_) => "poll_vote_received",
        Payload::PollOptionAdded(_) => "poll_option_added",
        Payload::EventResponseReceived(_) => "event_response_received",
        Payload::MessagePinned(_) => "message_pinned",
        Payload::MessageKept(_) => "message_kept",
        Payload::DisappearingTimerChanged(_) => "disappearing_timer_changed",
        Payload::SharingLimited(_) => "sharing_limited",
        Payload::GroupChanged(_) => "group_changed",
        Payload::ParticipantReceipt(_) => "participant_receipt",
        Payload::IdentityMapped(_) => "identity_mapped",
        Payload::PresenceChanged(_) => "presence_changed",
        Payload::ChatStateChanged(_) => "chat_state_changed",
        Payload::CallIncoming(_) => "call_incoming",
        Payload::CallEnded(_) => "call_ended",
        Payload::CallLogged(_) => "call_logged",
        Payload::ProfileChanged(_) => "profile_changed",
        Payload::ReadElsewhere(_) => "read_elsewhere",
        Payload::AccountChanged(_) => "account_changed",
        Payload::NumberChanged(_) => "number_changed",
        Payload::StatusReceived(_) => "status_received",
        Payload::StatusRevoked(_) => "status_revoked",
        Payload::StatusViewed(_) => "status_viewed",
        Payload::NewsletterPosted(_) => "newsletter_posted",
        Payload::NewsletterUpdated(_) => "newsletter_updated",
        Payload::NewsletterChanged(_) => "newsletter_changed",
        Payload::CommentReceived(_) => "comment_received",
        Payload::StatusMuted(_) => "status_muted",
        Payload::AccountHealthChanged(_) => "account_health_changed",
        Payload::BotAnswered(_) => "bot_answered",
        Payload::EventUnreadable(_) => "event_unreadable",
    }
}
