//! Encrypting to, decrypting from and opening a ratchet with one peer device.
//!
//! What must hold: on success the caller's [`Peer`] carries the new state, which must be durable before
//! the ciphertext leaves or the plaintext is acknowledged; on an error it is exactly as it was. A
//! one-time prekey that a message consumed is named and must be deleted in the same transaction.

use bytes::Bytes;
use libsignal_protocol::protocol::{
    CiphertextMessage, CiphertextMessageType, IdentityKey, PreKeyBundle, PreKeySignalMessage,
    ProtocolAddress, PublicKey, SessionRecord, SessionState, SignalMessage, SignalProtocolError,
    UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};
use rand::{CryptoRng, Rng};

use super::keys::{KeyPair, Keys, raw};
use super::signed_prekeys::PublicSignedPrekey;
use super::stores::{Identity, OneTime, Session, Signed, at_once};
use super::{Address, CiphertextKind};

/// What we hold for one peer device; both parts are rows of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The ratchet, opaque. Secret.
    pub session: Option<Bytes>,
    /// The identity key that was seen last, 32 bytes.
    pub identity: Option<[u8; 32]>,
}

/// A one-to-one ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// `msg` or `pkmsg`.
    pub kind: CiphertextKind,
    /// Content of `<enc>`.
    pub bytes: Bytes,
}

/// Why nothing was encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// There is no ratchet: fetch a bundle and [`establish`] one.
    #[error("there is no ratchet with {0}")]
    NoSession(Address),
    /// The stored ratchet cannot be used; a new bundle replaces it.
    #[error("the ratchet with {to} cannot be used")]
    Damaged {
        /// With whom.
        to: Address,
        /// Why.
        source: SignalProtocolError,
    },
}

/// A decrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decrypted {
    /// Still padded.
    pub plaintext: Vec<u8>,
    /// The one-time prekey that was used; delete it with the same transaction.
    pub consumed_prekey: Option<u32>,
    /// The peer device has another identity key than before.
    pub identity_changed: bool,
}

/// Why nothing was decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// Not a ciphertext at all.
    #[error("the ciphertext cannot be read")]
    Malformed(#[source] SignalProtocolError),
    /// This message key was used before: the message was decrypted already.
    #[error("the message was decrypted before")]
    Duplicate,
    /// There is no ratchet for it; the sender must open one.
    #[error("there is no ratchet with {0}")]
    NoSession(Address),
    /// It names a prekey that we do not have (any more).
    #[error("prekey {0:?} is unknown")]
    UnknownPrekey(Option<u32>),
    /// It does not fit the ratchet.
    #[error("the message does not fit the ratchet")]
    Mismatch(#[source] SignalProtocolError),
}

/// A prekey bundle of a peer device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Registration id of the device.
    pub registration_id: u32,
    /// Identity key, 32 bytes.
    pub identity: [u8; 32],
    /// The signed prekey.
    pub signed_prekey: PublicSignedPrekey,
    /// A one-time prekey, id and 32 bytes, when the server had one left.
    pub one_time: Option<(u32, [u8; 32])>,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The signed prekey is not signed by the identity key.
    #[error("the signed prekey in the bundle has a bad signature")]
    Signature,
    /// A key in it is not a key.
    #[error("the bundle cannot be used")]
    Unusable(#[source] SignalProtocolError),
}

/// Which message key a ciphertext was made with, as anybody can see it. Two different ciphertexts with
/// one of these are a broken ratchet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The sender's ratchet key, 32 bytes.
    pub ratchet: [u8; 32],
    /// Position in its chain.
    pub counter: u32,
}

/// What a [`Peer`] is, with its ratchet read: for an endpoint that keeps it in memory and has no store.
#[derive(Default)]
pub struct LivePeer {
    session: Session,
    identity: Option<[u8; 32]>,
}

impl LivePeer {
    /// Whether there is a ratchet.
    pub fn is_open(&self) -> bool {
        self.session.is_open()
    }

    fn read(peer: &Peer) -> Result<LivePeer, SignalProtocolError> {
        let session = peer.session.as_ref().map(|bytes| Session::read(bytes)).transpose()?;
        Ok(LivePeer { session: session.unwrap_or_default(), identity: peer.identity })
    }

    fn write(mut self, peer: &mut Peer) -> Result<(), SignalProtocolError> {
        peer.session = self.session.bytes()?.map(Bytes::from);
        peer.identity = self.identity;
        Ok(())
    }

    /// Encrypts a padded plaintext to one device under the next message key.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed then.
    pub fn encrypt(
        &mut self,
        keys: &Keys,
        to: &Address,
        plaintext: &[u8],
    ) -> Result<Ciphertext, EncryptError> {
        let mut identity = Identity { keys, peer: self.identity };
        let message = at_once(message_encrypt(plaintext, &address(to), &mut self.session, &mut identity));
        let message = message.map_err(|error| match error {
            SignalProtocolError::SessionNotFound(_) => EncryptError::NoSession(to.clone()),
            source => EncryptError::Damaged { to: to.clone(), source },
        })?;
        let kind = match message.message_type() {
            CiphertextMessageType::PreKey => CiphertextKind::Pkmsg,
            _ => CiphertextKind::Msg,
        };
        self.identity = identity.peer;
        Ok(Ciphertext { kind, bytes: Bytes::copy_from_slice(message.serialize()) })
    }

    /// Decrypts a ciphertext from one device. `one_time` finds our one-time prekey by its id.
    ///
    /// # Errors
    /// [`DecryptError`]; nothing has changed then.
    pub fn decrypt<R: Rng + CryptoRng>(
        &mut self,
        keys: &Keys,
        from: &Address,
        one_time: impl FnOnce(u32) -> Option<KeyPair>,
        kind: CiphertextKind,
        bytes: &[u8],
        rng: &mut R,
    ) -> Result<Decrypted, DecryptError> {
        let (message, prekey) = match kind {
            CiphertextKind::Msg => {
                let message = SignalMessage::try_from(bytes).map_err(DecryptError::Malformed)?;
                (CiphertextMessage::SignalMessage(message), None)
            }
            CiphertextKind::Pkmsg => {
                let message = PreKeySignalMessage::try_from(bytes).map_err(DecryptError::Malformed)?;
                let prekey = message.pre_key_id().map(u32::from);
                (CiphertextMessage::PreKeySignalMessage(message), prekey)
            }
        };
        let mut identity = Identity { keys, peer: self.identity };
        let mut one_time = OneTime(prekey.and_then(|id| Some((id, one_time(id)?))));
        let decrypted = at_once(message_decrypt(
            &message,
            &address(from),
            &mut self.session,
            &mut identity,
            &mut one_time,
            &Signed(keys),
            rng,
            UsePQRatchet::No,
        ));
        let decrypted = decrypted.map_err(|error| match error {
            SignalProtocolError::DuplicatedMessage(..) => DecryptError::Duplicate,
            SignalProtocolError::SessionNotFound(_) => DecryptError::NoSession(from.clone()),
            SignalProtocolError::InvalidPreKeyId => DecryptError::UnknownPrekey(prekey),
            SignalProtocolError::InvalidSignedPreKeyId => DecryptError::UnknownPrekey(None),
            source => DecryptError::Mismatch(source),
        })?;
        let known = std::mem::replace(&mut self.identity, identity.peer);
        Ok(Decrypted {
            plaintext: decrypted.plaintext,
            consumed_prekey: decrypted.consumed_prekey_id.map(u32::from),
            identity_changed: known.is_some() && known != self.identity,
        })
    }

    /// Opens a new ratchet from a bundle; an old one is kept for messages still under way. Returns whether
    /// the device has another identity key than before.
    ///
    /// # Errors
    /// [`BundleError`]; nothing has changed then.
    pub fn establish<R: Rng + CryptoRng>(
        &mut self,
        keys: &Keys,
        to: &Address,
        bundle: &Bundle,
        rng: &mut R,
    ) -> Result<bool, BundleError> {
        let key = |bytes: &[u8; 32]| {
            PublicKey::from_djb_public_key_bytes(bytes).map_err(|error| BundleError::Unusable(error.into()))
        };
        let one_time = match &bundle.one_time {
            Some((id, public)) => Some(((*id).into(), key(public)?)),
            None => None,
        };
        let signed = &bundle.signed_prekey;
        let bundle = PreKeyBundle::new(
            bundle.registration_id,
            u32::from(to.device()).into(),
            one_time,
            signed.id.into(),
            key(&signed.public)?,
            signed.signature.to_vec(),
            IdentityKey::new(key(&bundle.identity)?),
        )
        .map_err(BundleError::Unusable)?;
        let mut identity = Identity { keys, peer: self.identity };
        let done = at_once(process_prekey_bundle(
            &address(to),
            &mut self.session,
            &mut identity,
            &bundle,
            rng,
            UsePQRatchet::No,
        ));
        done.map_err(|error| match error {
            SignalProtocolError::SignatureValidationFailed => BundleError::Signature,
            source => BundleError::Unusable(source),
        })?;
        let known = std::mem::replace(&mut self.identity, identity.peer);
        Ok(known.is_some() && known != self.identity)
    }
}

/// Encrypts a padded plaintext to one device under the next message key.
pub fn encrypt(
    keys: &Keys,
    to: &Address,
    peer: &mut Peer,
    plaintext: &[u8],
) -> Result<Ciphertext, EncryptError> {
    let damaged = |source| EncryptError::Damaged { to: to.clone(), source };
    let mut live = LivePeer::read(peer).map_err(damaged)?;
    let ciphertext = live.encrypt(keys, to, plaintext)?;
    live.write(peer).map_err(damaged)?;
    Ok(ciphertext)
}

/// Decrypts a ciphertext from one device. `one_time` finds our one-time prekey by its id.
pub fn decrypt<R: Rng + CryptoRng>(
    keys: &Keys,
    from: &Address,
    peer: &mut Peer,
    one_time: impl FnOnce(u32) -> Option<KeyPair>,
    kind: CiphertextKind,
    bytes: &[u8],
    rng: &mut R,
) -> Result<Decrypted, DecryptError> {
    let mut live = LivePeer::read(peer).map_err(DecryptError::Mismatch)?;
    let decrypted = live.decrypt(keys, from, one_time, kind, bytes, rng)?;
    live.write(peer).map_err(DecryptError::Mismatch)?;
    Ok(decrypted)
}

/// Opens a new ratchet from a bundle; an old one is kept for messages still under way. Returns whether
/// the device has another identity key than before.
pub fn establish<R: Rng + CryptoRng>(
    keys: &Keys,
    to: &Address,
    peer: &mut Peer,
    bundle: &Bundle,
    rng: &mut R,
) -> Result<bool, BundleError> {
    // A stored ratchet that cannot be read is no reason to stay without one.
    let unread = |_| LivePeer { session: Session::default(), identity: peer.identity };
    let mut live = LivePeer::read(peer).unwrap_or_else(unread);
    let changed = live.establish(keys, to, bundle, rng)?;
    live.write(peer).map_err(BundleError::Unusable)?;
    Ok(changed)
}

/// The most message keys that [`skip_ahead`] can pass over. A peer keeps the keys of the messages that it has not
/// seen; clients in the field keep up to 2000.
pub const SKIPPED: u32 = 1800;

/// Passes over the next message keys of a stored ratchet, at least so many, and at most [`SKIPPED`]: it may be older
/// than what was sent with it, because the store has lost its last moments, and no message key may be used twice.
/// What comes in is read as before.
pub fn skip_ahead(session: &[u8], keys: u32) -> Result<Bytes, SignalProtocolError> {
    let record = SessionRecord::deserialize(session)?;
    let mut skipped = SessionRecord::new_fresh();
    // The newest of those that were replaced comes first.
    let replaced: Vec<SessionState> = record.previous_session_states().collect::<Result<_, _>>()?;
    for state in replaced.into_iter().rev() {
        skipped.promote_state(passed_over(state, keys));
    }
    skipped.archive_current_state()?;
    if let Some(state) = record.session_state() {
        skipped.promote_state(passed_over(state.clone(), keys));
    }
    skipped.waive_counter_lease();
    Ok(skipped.serialize()?.into())
}

/// One of a record's states by itself: together they would all pass over what the farthest of them has sent, and one that
/// lags too far behind would be left without keys.
fn passed_over(state: SessionState, keys: u32) -> SessionState {
    // One that cannot send has no counter.
    let Ok(next) = state.get_sender_chain_key() else { return state };
    let mut record = SessionRecord::new(state.clone());
    // A reservation that is given up has been used up, in the words of the library.
    record.reserve_sender_chain_counters(next.index().saturating_add(keys));
    record.waive_counter_lease();
    record.session_state().cloned().unwrap_or(state)
}

/// Reads which message key a ciphertext was made with.
pub fn message_key(kind: CiphertextKind, bytes: &[u8]) -> Result<MessageKey, DecryptError> {
    let of = |message: &SignalMessage| MessageKey {
        ratchet: raw(message.sender_ratchet_key()),
        counter: message.counter(),
    };
    match kind {
        CiphertextKind::Msg => SignalMessage::try_from(bytes).map(|message| of(&message)),
        CiphertextKind::Pkmsg => PreKeySignalMessage::try_from(bytes).map(|message| of(message.message())),
    }
    .map_err(DecryptError::Malformed)
}

fn address(address: &Address) -> ProtocolAddress {
    ProtocolAddress::new(address.name(), u32::from(address.device()).into())
}

#[cfg(test)]
mod tests;
