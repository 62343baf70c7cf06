//! The library's store traits over the state of one operation with one peer device.
//!
//! What must hold: every method answers at once, so the library's futures never wait; the counter
//! reservation is waived on each load. Nothing outlives the operation. A record that a peer has made large costs its oldest
//! states, not the store.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use libsignal_protocol::protocol::error::Result;
use libsignal_protocol::protocol::{
    Direction, GenericSignedPreKey, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyId,
    PreKeyRecord, PreKeyStore, ProtocolAddress, SessionCheckoutKey, SessionCheckoutStoreResult,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
    Timestamp,
};

use super::keys::{KeyPair, Keys, raw};

/// Bytes of a stored record, if that can be had without the state that is in use.
pub(super) const MOST: usize = 256 << 10;

/// Runs a future that never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the stores of one operation answer at once"),
    }
}

/// The ratchet with the peer. An operation takes the record out, because records may hold thousands of message
/// keys and are dear to copy, and puts it back in every case: as it was when it fails.
#[derive(Default)]
pub(super) struct Session(Mutex<Option<SessionRecord>>);

impl Session {
    /// Reads a stored record.
    pub(super) fn read(bytes: &[u8]) -> Result<Session> {
        let mut record = SessionRecord::deserialize(bytes)?;
        record.waive_counter_lease();
        Ok(Session(Mutex::new(Some(record))))
    }

    /// The record for the store; `None` when there is none. As long as it is larger than [`MOST`], the oldest of the states
    /// that were replaced is left out: the library keeps 40 of them with thousands of keys of messages that have not come.
    pub(super) fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(record) = self.get() else { return Ok(None) };
        let mut bytes = record.serialize()?;
        while let (true, Some(oldest)) = (bytes.len() > MOST, record.previous_session_count().checked_sub(1))
        {
            record.take_previous_session(oldest);
            bytes = record.serialize()?;
        }
        Ok(Some(bytes))
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<SessionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&mut self) -> &mut Option<SessionRecord> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&mut self, mut record: SessionRecord) {
        // A record that the library made itself still carries a reservation.
        record.waive_counter_lease();
        *self.get() = Some(record);
    }
}

#[async_trait]
impl SessionStore for Session {
    async fn load_session(&self, _: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.lock().clone())
    }

    fn try_load_session_for_update(
        &self,
        _: &ProtocolAddress,
    ) -> Option<Result<(Option<SessionRecord>, Option<SessionCheckoutKey>)>> {
        Some(Ok((self.lock().take(), None)))
    }

    async fn has_session(&self, _: &ProtocolAddress) -> Result<bool> {
        Ok(self.is_open())
    }

    async fn store_session(&mut self, _: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.put(record);
        Ok(())
    }

    fn try_store_session_from_checkout(
        &mut self,
        _: &ProtocolAddress,
        record: SessionRecord,
        _: Option<SessionCheckoutKey>,
        _: bool,
    ) -> SessionCheckoutStoreResult {
        self.put(record);
        SessionCheckoutStoreResult::Stored
    }
}

/// Our identity, and the peer's as it was last seen.
pub(super) struct Identity<'a> {
    pub(super) keys: &'a Keys,
    pub(super) peer: Option<[u8; 32]>,
}

#[async_trait]
impl IdentityKeyStore for Identity<'_> {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.keys.identity_pair())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.keys.registration_id())
    }

    async fn save_identity(&mut self, _: &ProtocolAddress, key: &IdentityKey) -> Result<IdentityChange> {
        let new = raw(key.public_key());
        let changed = self.peer.is_some_and(|known| known != new);
        self.peer = Some(new);
        Ok(IdentityChange::from_changed(changed))
    }

    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        let key = self.peer.map(|key| {
            libsignal_protocol::protocol::PublicKey::from_djb_public_key_bytes(&key).map(IdentityKey::new)
        });
        Ok(key.transpose()?)
    }
}

/// The one-time prekey that a message names, if we still have it.
pub(super) struct OneTime(pub(super) Option<(u32, KeyPair)>);

#[async_trait]
impl PreKeyStore for OneTime {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        match &self.0 {
            Some((ours, pair)) if *ours == u32::from(id) => Ok(PreKeyRecord::new(id, &pair.curve())),
            _ => Err(SignalProtocolError::InvalidPreKeyId),
        }
    }

    async fn save_pre_key(&mut self, _: PreKeyId, _: &PreKeyRecord) -> Result<()> {
        Err(SignalProtocolError::InvalidState("save_pre_key", "no operation saves a prekey".to_owned()))
    }

    async fn remove_pre_key(&mut self, _: PreKeyId) -> Result<()> {
        Ok(())
    }
}

/// Our signed prekeys.
pub(super) struct Signed<'a>(pub(super) &'a Keys);

#[async_trait]
impl SignedPreKeyStore for Signed<'_> {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        let ours =
            self.0.find_signed_prekey(u32::from(id)).ok_or(SignalProtocolError::InvalidSignedPreKeyId)?;
        let made = Timestamp::from_epoch_millis(0);
        Ok(SignedPreKeyRecord::new(id, made, &ours.pair.curve(), &ours.signature))
    }

    async fn save_signed_pre_key(&mut self, _: SignedPreKeyId, _: &SignedPreKeyRecord) -> Result<()> {
        Err(SignalProtocolError::InvalidState("save_signed_pre_key", "no operation saves one".to_owned()))
    }
}
