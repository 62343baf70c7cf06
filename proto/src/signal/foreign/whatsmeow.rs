//! Sessions of go.mau.fi/libsignal, as whatsmeow stores them: JSON of its structs, bytes in base64.

use libsignal_protocol::protocol::{
    PendingPreKeyComponents, SessionChainComponents, SessionChainKeyComponents, SessionComponents,
    SessionMessageKeyComponents, SessionMessageKeyMaterial, SessionRecordComponents,
};
use serde::Deserialize;

use super::{ForeignError, Ratchet, base64, finish, sized};

/// Reads the column `session` of whatsmeow's sessions.
///
/// # Errors
/// [`ForeignError`].
pub fn ratchet(json: &[u8]) -> Result<Ratchet, ForeignError> {
    let record: Record = serde_json::from_slice(json)?;
    let current = record.session_state.ok_or(ForeignError::Closed)?;
    let previous = record.previous_states.unwrap_or_default();
    finish(SessionRecordComponents {
        current_session: Some(current.components()?),
        previous_sessions: previous.iter().map(State::components).collect::<Result<_, _>>()?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    session_state: Option<State>,
    previous_states: Option<Vec<State>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    local_identity_public: String,
    #[serde(rename = "LocalRegistrationID")]
    local_registration_id: u32,
    pending_pre_key: Option<Pending>,
    previous_counter: u32,
    receiver_chains: Option<Vec<Chain>>,
    remote_identity_public: String,
    #[serde(rename = "RemoteRegistrationID")]
    remote_registration_id: u32,
    root_key: String,
    sender_base_key: String,
    sender_chain: Option<Chain>,
    session_version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Chain {
    sender_ratchet_key_public: String,
    sender_ratchet_key_private: Option<String>,
    chain_key: ChainKey,
    message_keys: Option<Vec<MessageKeys>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChainKey {
    key: String,
    index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageKeys {
    cipher_key: String,
    mac_key: String,
    #[serde(rename = "IV")]
    iv: String,
    index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pending {
    #[serde(rename = "PreKeyID")]
    pre_key_id: Option<Optional>,
    #[serde(rename = "SignedPreKeyID")]
    signed_pre_key_id: u32,
    base_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Optional {
    value: u32,
    is_empty: bool,
}

impl State {
    fn components(&self) -> Result<SessionComponents, ForeignError> {
        let receivers = self.receiver_chains.iter().flatten();
        Ok(SessionComponents {
            session_version: Some(self.session_version),
            local_identity_public: Some(base64("LocalIdentityPublic", &self.local_identity_public)?),
            remote_identity_public: Some(base64("RemoteIdentityPublic", &self.remote_identity_public)?),
            root_key: Some(base64("RootKey", &self.root_key)?),
            previous_counter: Some(self.previous_counter),
            sender_chain: self.sender_chain.as_ref().map(|chain| chain.components(true)).transpose()?,
            receiver_chains: receivers.map(|chain| chain.components(false)).collect::<Result<_, _>>()?,
            pending_key_exchange: None,
            pending_pre_key: self.pending_pre_key.as_ref().map(Pending::components).transpose()?,
            remote_registration_id: Some(self.remote_registration_id),
            local_registration_id: Some(self.local_registration_id),
            needs_refresh: None,
            alice_base_key: Some(base64("SenderBaseKey", &self.sender_base_key)?),
        })
    }
}

impl Chain {
    fn components(&self, sends: bool) -> Result<SessionChainComponents, ForeignError> {
        let private = self.sender_ratchet_key_private.as_deref().filter(|_| sends);
        let keys = self.message_keys.iter().flatten();
        Ok(SessionChainComponents {
            sender_ratchet_key: Some(base64("SenderRatchetKeyPublic", &self.sender_ratchet_key_public)?),
            sender_ratchet_key_private: private
                .map(|key| base64("SenderRatchetKeyPrivate", key))
                .transpose()?,
            chain_key: Some(SessionChainKeyComponents {
                index: Some(self.chain_key.index),
                key: Some(base64("ChainKey", &self.chain_key.key)?),
            }),
            message_keys: keys.map(MessageKeys::components).collect::<Result<_, _>>()?,
        })
    }
}

impl MessageKeys {
    fn components(&self) -> Result<SessionMessageKeyComponents, ForeignError> {
        let material = SessionMessageKeyMaterial::Derived {
            cipher_key: sized("CipherKey", &base64("CipherKey", &self.cipher_key)?)?,
            mac_key: sized("MacKey", &base64("MacKey", &self.mac_key)?)?,
            iv: sized("IV", &base64("IV", &self.iv)?)?,
        };
        Ok(SessionMessageKeyComponents { index: self.index, material })
    }
}

impl Pending {
    fn components(&self) -> Result<PendingPreKeyComponents, ForeignError> {
        let one_time = self.pre_key_id.as_ref().filter(|id| !id.is_empty).map(|id| id.value);
        Ok(PendingPreKeyComponents {
            pre_key_id: one_time,
            // The record keeps the bits of the unsigned number.
            signed_pre_key_id: Some(self.signed_pre_key_id.cast_signed()),
            base_key: Some(base64("BaseKey", &self.base_key)?),
            kyber_pre_key_id: None,
            kyber_ciphertext: None,
        })
    }
}
