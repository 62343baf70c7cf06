//! Between the ports and the rows: batches are encoded and sealed on their way in, rows opened on
//! their way out.
//!
//! What must hold: nothing private leaves here in the clear; every private column has a place of its
//! own under the seal. Events are sealed later, inside the transaction, because their sequence is a
//! part of their place. It does no I/O.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_actors::port::{
    Batch, CastVote, DeviceStatus, DeviceStoreError, MessageState, MessageUpdate, NewMessage, ProxyError,
    ProxyUri, StateKey, StoredMessage, Sweep, Terms, Vote, rank,
};
use roost_placement::ledger::Grant;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::event_unreadable::Reason;
use roost_proto::id::{Age, DeviceKey, Epoch, Sequence, UnixMillis};
use roost_proto::prost::Message as _;

use super::names::{digest, escape, unescape};
use super::polls::VoteRow;
use super::rows::{EventRow, MessageRow, StateRow, StatusRow};
use super::seal::{Place, SealKey};
use crate::directory::LoggedEvent;

/// A batch that only waits for its transaction.
pub(super) struct Prepared {
    pub(super) age: Age,
    pub(super) grant: Grant,
    pub(super) key: SealKey,
    pub(super) state: Vec<PreparedState>,
    pub(super) accepts: Vec<MessageRow>,
    /// By our id of the accept: digests that say its chosen id is taken.
    pub(super) chosen: BTreeMap<String, Vec<[u8; 16]>>,
    pub(super) updates: Vec<UpdateRow>,
    pub(super) votes: Vec<VoteRow>,
    pub(super) events: Vec<PreparedEvent>,
    pub(super) quarantine: Vec<QuarantineRow>,
    pub(super) status: Option<StatusRow>,
    pub(super) sweep: Option<Sweep>,
}

/// A change of state; the value is sealed, `None` removes the row.
pub(super) struct PreparedState {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) value: Option<Vec<u8>>,
}

/// An event without its sequence; the payload is encoded and still in the clear.
pub(super) struct PreparedEvent {
    pub(super) digest: [u8; 16],
    pub(super) occurred: i64,
    pub(super) origin: i16,
    pub(super) payload: Vec<u8>,
}

/// What is known anew of a message; empty columns leave the row as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UpdateRow {
    pub(super) message_id: String,
    pub(super) state: i16,
    pub(super) rank: i16,
    pub(super) wire: Option<Vec<u8>>,
    pub(super) failure: Option<String>,
    pub(super) sent: Option<i64>,
    pub(super) server_ack: Option<i64>,
    pub(super) delivered: Option<i64>,
    pub(super) read_at: Option<i64>,
}

impl UpdateRow {
    /// This update, then `later`, as one.
    pub(super) fn then(&mut self, later: &UpdateRow) {
        if later.rank > self.rank {
            (self.rank, self.state) = (later.rank, later.state);
        }
        self.wire = later.wire.clone().or(self.wire.take());
        self.failure = later.failure.clone().or(self.failure.take());
        // The first time counts.
        self.sent = self.sent.or(later.sent);
        self.server_ack = self.server_ack.or(later.server_ack);
        self.delivered = self.delivered.or(later.delivered);
        self.read_at = self.read_at.or(later.read_at);
    }
}

/// A stanza put aside, sealed.
pub(super) struct QuarantineRow {
    pub(super) digest: [u8; 16],
    pub(super) raw: Vec<u8>,
    pub(super) reason: String,
    pub(super) at: i64,
}

fn place<'a>(key: &'a DeviceKey, column: &'static str, row: &'a str) -> Place<'a> {
    Place { business_id: key.business_id.as_str(), device_id: key.device_id.as_str(), column, row }
}

const STATE: &str = "device_state.value";
const CONTENT: &str = "message.content";
const WIRE: &str = "message.wire";
const RAW: &str = "quarantine.raw";
const PAYLOAD: &str = "event.payload";
const SAID: &str = "poll_vote.said";
const PROXY: &str = "device.proxy";

/// Seals a device's proxy.
pub(super) fn seal_proxy(seal: &SealKey, key: &DeviceKey, proxy: &ProxyUri) -> Vec<u8> {
    seal.seal(&place(key, PROXY, ""), proxy.secret().as_bytes())
}

/// Opens a device's proxy.
pub(super) fn open_proxy(
    key: &DeviceKey,
    seal: &SealKey,
    sealed: &[u8],
) -> Result<ProxyUri, DeviceStoreError> {
    let damaged = |why: String| DeviceStoreError::Damaged { what: format!("{PROXY} of {key}"), why };
    let plain = seal.open(&place(key, PROXY, ""), sealed).map_err(|why| damaged(why.to_string()))?;
    let text = String::from_utf8(plain).map_err(|_| damaged("it is not text".to_owned()))?;
    text.parse().map_err(|error: ProxyError| damaged(error.to_string()))
}

/// Seals an event's payload at its sequence.
pub(super) fn seal_event(seal: &SealKey, key: &DeviceKey, seq: i64, payload: &[u8]) -> Vec<u8> {
    seal.seal(&place(key, PAYLOAD, &seq.to_string()), payload)
}

impl Prepared {
    /// Encodes and seals a batch under the tenant's data key.
    pub(super) fn new(grant: &Grant, seal: SealKey, batch: Batch) -> Prepared {
        let key = &grant.key;
        let state = batch.state.into_iter().map(|(state_key, value)| {
            let name = escape(&state_key.name).into_owned();
            let kind = state_key.kind.as_str();
            let row = format!("{kind}/{name}");
            let value = value.map(|plain| seal.seal(&place(key, STATE, &row), &plain));
            PreparedState { kind, name, value }
        });
        let accepts = batch.accepts.into_iter().map(|new| accept_row(key, &seal, new));
        let updates = batch.messages.into_iter().map(|update| update_row(key, &seal, update));
        let chosen = batch
            .chosen
            .into_iter()
            .map(|chosen| (chosen.message_id, chosen.taken_by.iter().map(|key| digest(key)).collect()));
        let votes = batch.votes.into_iter().map(|vote| vote_row(key, &seal, vote));
        let events = batch.events.into_iter().map(|event| PreparedEvent {
            digest: digest(&event.dedupe),
            occurred: event.occurred.0,
            origin: event.origin as i16,
            payload: api::Event { payload: Some(event.payload), ..api::Event::default() }.encode_to_vec(),
        });
        let quarantine = batch.quarantine.into_iter().map(|stanza| {
            let digest = digest(&stanza.dedupe);
            let raw = seal.seal(&place(key, RAW, &hex::encode(digest)), &stanza.raw);
            QuarantineRow { digest, raw, reason: escape(&stanza.reason).into_owned(), at: stanza.at.0 }
        });
        Prepared {
            age: batch.age,
            state: state.collect(),
            accepts: accepts.collect(),
            chosen: chosen.collect(),
            updates: updates.collect(),
            votes: votes.collect(),
            events: events.collect(),
            quarantine: quarantine.collect(),
            status: batch.status.map(status_row),
            sweep: batch.sweep,
            grant: grant.clone(),
            key: seal,
        }
    }

    /// Bytes that the database will be sent, roughly.
    pub(super) fn size(&self) -> usize {
        let state: usize = self.state.iter().map(|s| s.value.as_ref().map_or(0, Vec::len) + 64).sum();
        let accepts: usize = self.accepts.iter().map(|m| m.content.len() + 256).sum();
        let updates: usize = self.updates.iter().map(|u| u.wire.as_ref().map_or(0, Vec::len) + 64).sum();
        let votes: usize = self.votes.iter().map(|v| v.said.len() + 128).sum();
        let events: usize = self.events.iter().map(|e| e.payload.len() + 128).sum();
        let quarantine: usize = self.quarantine.iter().map(|q| q.raw.len() + 64).sum();
        state + accepts + updates + votes + events + quarantine
    }
}

fn accept_row(key: &DeviceKey, seal: &SealKey, new: NewMessage) -> MessageRow {
    let content = seal.seal(&place(key, CONTENT, &new.message_id), &new.content);
    MessageRow {
        business_id: key.business_id.to_string(),
        device_id: key.device_id.to_string(),
        message_id: new.message_id,
        request_id: new.request_id,
        request_hash: new.request_hash.to_vec(),
        whatsapp_id: escape(&new.whatsapp_id).into_owned(),
        chat: escape(&new.chat).into_owned(),
        content,
        wire: None,
        state: MessageState::Accepted as i16,
        ordinal: 0,
        failure: None,
        accepted: new.accepted.0,
        sent: None,
        server_ack: None,
        delivered: None,
        read_at: None,
        expires: new.terms.expires.map(|at| at.0),
        once: new.terms.once,
    }
}

fn update_row(key: &DeviceKey, seal: &SealKey, update: MessageUpdate) -> UpdateRow {
    let wire = update.wire.map(|wire| seal.seal(&place(key, WIRE, &update.message_id), &wire));
    let at = |state| (update.state == state).then_some(update.at.0);
    UpdateRow {
        state: update.state as i16,
        rank: rank(update.state),
        wire,
        failure: update.failure.map(|why| escape(&why).into_owned()),
        sent: at(MessageState::Sending),
        server_ack: at(MessageState::Sent),
        delivered: at(MessageState::Delivered),
        read_at: at(MessageState::Read).or(at(MessageState::Played)),
        message_id: update.message_id,
    }
}

/// The place of a vote under the seal.
fn ballot_name(ballot: &[u8], voter: &str) -> String {
    format!("{}/{voter}", hex::encode(ballot))
}

fn vote_row(key: &DeviceKey, seal: &SealKey, CastVote { ballot, vote }: CastVote) -> VoteRow {
    let voter = escape(&vote.voter).into_owned();
    let said = seal.seal(&place(key, SAID, &ballot_name(&ballot, &voter)), &vote.said.encode_to_vec());
    VoteRow { ballot: ballot.to_vec(), voter, cast_at: vote.cast.0, said }
}

fn status_row(status: DeviceStatus) -> StatusRow {
    let text = |text: String| escape(&text).into_owned();
    StatusRow {
        status_state: Some(status.state as i16),
        status_reason: Some(text(status.reason)),
        status_code: Some(i64::from(status.code)),
        status_pn: status.pn.map(text),
        status_lid: status.lid.map(text),
        status_push_name: Some(text(status.push_name)).filter(|name| !name.is_empty()),
        status_at: Some(status.at.0),
        status_health: Some(status.health.encode_to_vec()).filter(|health| !health.is_empty()),
    }
}

fn damaged(what: impl Into<String>, why: impl ToString) -> DeviceStoreError {
    DeviceStoreError::Damaged { what: what.into(), why: why.to_string() }
}

/// Opens a stored message.
pub(super) fn open_message(
    key: &DeviceKey,
    seal: &SealKey,
    row: MessageRow,
) -> Result<StoredMessage, DeviceStoreError> {
    let what = || format!("{key}/messages/{}", row.message_id);
    let content =
        seal.open(&place(key, CONTENT, &row.message_id), &row.content).map_err(|why| damaged(what(), why))?;
    let wire = row.wire.as_ref().map(|wire| seal.open(&place(key, WIRE, &row.message_id), wire));
    let wire = wire.transpose().map_err(|why| damaged(what(), why))?;
    let state =
        MessageState::try_from(i32::from(row.state)).map_err(|why| damaged(what(), why.to_string()))?;
    let request_hash: [u8; 32] =
        row.request_hash.as_slice().try_into().map_err(|_| damaged(what(), "its hash is not 32 bytes"))?;
    Ok(StoredMessage {
        message: NewMessage {
            message_id: row.message_id,
            request_id: row.request_id,
            request_hash,
            whatsapp_id: unescape(row.whatsapp_id),
            chat: unescape(row.chat),
            content: Bytes::from(content),
            accepted: UnixMillis(row.accepted),
            terms: Terms { expires: row.expires.map(UnixMillis), once: row.once },
        },
        state,
        wire: wire.map(Bytes::from),
        ordinal: row.ordinal,
        failure: row.failure.map(unescape),
        sent: row.sent.map(UnixMillis),
        server_ack: row.server_ack.map(UnixMillis),
        delivered: row.delivered.map(UnixMillis),
        read: row.read_at.map(UnixMillis),
    })
}

/// Opens a vote.
pub(super) fn open_vote(key: &DeviceKey, seal: &SealKey, row: VoteRow) -> Result<Vote, DeviceStoreError> {
    let name = ballot_name(&row.ballot, &row.voter);
    let what = || format!("{key} vote {name}");
    let plain = seal.open(&place(key, SAID, &name), &row.said).map_err(|why| damaged(what(), why))?;
    let said = api::poll_results::Vote::decode(plain.as_slice()).map_err(|why| damaged(what(), why))?;
    Ok(Vote { voter: unescape(row.voter), cast: UnixMillis(row.cast_at), said })
}

/// Opens a piece of state by the kind and stored name of its row.
pub(super) fn open_state(
    key: &DeviceKey,
    seal: &SealKey,
    kind: &str,
    stored_name: &str,
    value: &[u8],
) -> Result<Bytes, DeviceStoreError> {
    let row = format!("{kind}/{stored_name}");
    match seal.open(&place(key, STATE, &row), value) {
        Ok(plain) => Ok(Bytes::from(plain)),
        Err(why) => Err(damaged(format!("{key} state {row}"), why)),
    }
}

/// Opens what `load` returns; the kind is one that this binary knows.
pub(super) fn open_state_row(
    key: &DeviceKey,
    seal: &SealKey,
    row: StateRow,
) -> Result<(StateKey, Bytes), DeviceStoreError> {
    let kind = super::LOADED_KINDS.into_iter().find(|kind| kind.as_str() == row.kind);
    let kind = kind.ok_or_else(|| damaged(format!("{key} state {}", row.kind), "no such kind"))?;
    let value = open_state(key, seal, &row.kind, &row.name, &row.value)?;
    Ok((StateKey { kind, name: unescape(row.name) }, value))
}

/// Opens an event. One that this release cannot read has its place and says so: it stops nobody.
pub(super) fn open_event(key: &DeviceKey, seal: &SealKey, row: EventRow) -> LoggedEvent {
    let payload = open_payload(key, seal, &row)
        .unwrap_or_else(|reason| Payload::EventUnreadable(api::EventUnreadable { reason: reason.into() }));
    LoggedEvent {
        key: key.clone(),
        sequence: Sequence(row.seq),
        epoch: Epoch(row.epoch),
        occurred: UnixMillis(row.occurred),
        committed: UnixMillis(row.committed),
        origin: Origin::try_from(i32::from(row.origin)).unwrap_or(Origin::Unspecified),
        payload,
        age: Age(row.age),
    }
}

fn open_payload(key: &DeviceKey, seal: &SealKey, row: &EventRow) -> Result<Payload, Reason> {
    let damaged = |why: String| {
        tracing::warn!(%key, sequence = row.seq, why, "an event is damaged");
        Reason::Damaged
    };
    let plain = seal.open(&place(key, PAYLOAD, &row.seq.to_string()), &row.payload);
    let plain = plain.map_err(|why| damaged(why.to_string()))?;
    let event = api::Event::decode(plain.as_slice()).map_err(|why| damaged(why.to_string()))?;
    event.payload.ok_or_else(|| {
        tracing::debug!(%key, sequence = row.seq, "an event is of a kind that only a later release knows");
        Reason::KindUnknown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_kind_that_only_a_later_release_knows_keeps_its_place() {
        let key: DeviceKey = "tenants/acme/devices/shop".parse().expect("a name");
        let seal = SealKey::new(&[7; 32]);
        let stored = |payload: &[u8], origin| EventRow {
            seq: 5,
            epoch: 3,
            occurred: 1,
            committed: 2,
            origin,
            payload: seal_event(&seal, &key, 5, payload),
            age: 1,
        };
        // An empty message in field 4000.
        let read = open_event(&key, &seal, stored(&[0x82, 0xfa, 0x01, 0x00], 99));
        let Payload::EventUnreadable(unreadable) = &read.payload else { panic!("{read:?}") };
        assert_eq!((unreadable.reason(), read.origin), (Reason::KindUnknown, Origin::Unspecified));
        assert_eq!((read.sequence, read.epoch, read.age), (Sequence(5), Epoch(3), Age(1)));
        let known = Payload::MessageReceived(api::MessageReceived::default());
        let event = api::Event { payload: Some(known.clone()), ..api::Event::default() };
        let read = open_event(&key, &seal, stored(&event.encode_to_vec(), 1));
        assert_eq!((read.payload, read.origin), (known, Origin::Live));
    }
}
