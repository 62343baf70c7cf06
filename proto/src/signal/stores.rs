//! The library's store traits over the state of one operation with one peer device.
//!
//! What must hold: every method answers at once, so the library's futures never wait; the counter
//! reservation is waived on each load. Nothing outlives the operation.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use libsignal_protocol::protocol::error::Result;
use libsignal_protocol::protocol::{
    Direction, GenericSignedPreKey, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyId,
    PreKeyRecord, PreKeyStore, ProtocolAddress, SessionRecord, SessionStore, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp,
};

use super::Peer;
use super::keys::{KeyPair, Keys, raw};

/// Runs a future that never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the stores of one operation answer at once"),
    }
}

/// The ratchet with the peer.
pub(super) struct Session(pub(super) Option<SessionRecord>);

impl Session {
    pub(super) fn load(peer: &Peer) -> Result<Session> {
        let record = peer.session.as_ref().map(|bytes| {
            let mut record = SessionRecord::deserialize(bytes)?;
            record.waive_counter_lease();
            Ok::<_, SignalProtocolError>(record)
        });
        Ok(Session(record.transpose()?))
    }

    pub(super) fn bytes(self) -> Result<Vec<u8>> {
        let mut record =
            self.0.ok_or(SignalProtocolError::InvalidSessionStructure("an operation left no session"))?;
        // A record that the library made itself still carries a reservation.
        record.waive_counter_lease();
        record.serialize()
    }
}

#[async_trait]
impl SessionStore for Session {
    async fn load_session(&self, _: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.clone())
    }

    async fn has_session(&self, _: &ProtocolAddress) -> Result<bool> {
        Ok(self.0.is_some())
    }

    async fn store_session(&mut self, _: &ProtocolAddress, mut record: SessionRecord) -> Result<()> {
        record.waive_counter_lease();
        self.0 = Some(record);
        Ok(())
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
