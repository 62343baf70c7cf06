//! Sessions of the libsignal that Baileys uses: JSON, bytes in base64, counters of the last used key instead
//! of the next one. It does not store whose sessions they are.

use std::collections::BTreeMap;

use libsignal_protocol::protocol::{
    IdentityKey, LegacyIndexedSessionV1, LegacySessionBaseKeyRoleV1, LegacySessionChainCounterV1,
    LegacySessionChainKeyV1, LegacySessionChainRoleV1, LegacySessionChainV1, LegacySessionDispositionV1,
    LegacySessionIndexV1, LegacySessionKeyPairV1, LegacySessionLocalContext, LegacySessionMessageKeyV1,
    LegacySessionPendingPreKeyV1, LegacySessionRatchetV1, LegacySessionRecordV1, LegacySessionV1, PublicKey,
};
use serde::Deserialize;

use super::{ForeignError, Ratchet, base64, finish};

/// Reads the file `session-….json` of a device with this identity key (32 bytes) and registration id.
///
/// # Errors
/// [`ForeignError`].
pub fn ratchet(json: &[u8], own: &[u8; 32], registration_id: u32) -> Result<Ratchet, ForeignError> {
    let record: Record = serde_json::from_slice(json)?;
    let sessions = record.sessions.into_iter().map(|(key, session)| {
        Ok(LegacyIndexedSessionV1 {
            index_key: base64("base key", &key)?.into(),
            session: session.decoded()?,
        })
    });
    let record =
        LegacySessionRecordV1::from_indexed_sessions(sessions.collect::<Result<_, ForeignError>>()?)?;
    let own = PublicKey::from_djb_public_key_bytes(own).map_err(|_| ForeignError::Field("own identity"))?;
    let context = LegacySessionLocalContext { identity_key: IdentityKey::new(own), registration_id };
    finish(record.into_session_record(context)?.into_components()?)
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "_sessions")]
    sessions: BTreeMap<String, Session>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    registration_id: u32,
    current_ratchet: RatchetState,
    index_info: Index,
    #[serde(rename = "_chains")]
    chains: BTreeMap<String, Chain>,
    pending_pre_key: Option<Pending>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RatchetState {
    ephemeral_key_pair: Pair,
    last_remote_ephemeral_key: String,
    previous_counter: i64,
    root_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    pub_key: String,
    priv_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    base_key: String,
    base_key_type: u32,
    closed: i64,
    #[serde(default)]
    used: u64,
    #[serde(default)]
    created: u64,
    remote_identity_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    chain_key: ChainKey,
    chain_type: u32,
    #[serde(default)]
    message_keys: BTreeMap<u32, String>,
}

#[derive(Deserialize)]
struct ChainKey {
    counter: i64,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    pre_key_id: Option<u32>,
    #[serde(rename = "signedKeyId")]
    signed_pre_key_id: u32,
    base_key: String,
}

impl Session {
    fn decoded(self) -> Result<LegacySessionV1, ForeignError> {
        let Session { registration_id, current_ratchet: ratchet, index_info: index, chains, pending_pre_key } =
            self;
        let chains = chains.into_iter().map(|(key, chain)| chain.decoded(&key));
        Ok(LegacySessionV1 {
            registration_id,
            ratchet: LegacySessionRatchetV1 {
                key_pair: LegacySessionKeyPairV1 {
                    public: base64("ephemeral key", &ratchet.ephemeral_key_pair.pub_key)?.into(),
                    private: base64("ephemeral key", &ratchet.ephemeral_key_pair.priv_key)?.into(),
                },
                last_remote_ephemeral_key: base64(
                    "last remote ephemeral key",
                    &ratchet.last_remote_ephemeral_key,
                )?
                .into(),
                previous_counter: ratchet.previous_counter,
                root_key: base64("root key", &ratchet.root_key)?.into(),
            },
            index: LegacySessionIndexV1 {
                base_key: base64("base key", &index.base_key)?.into(),
                base_key_role: LegacySessionBaseKeyRoleV1::try_from(index.base_key_type)?,
                disposition: LegacySessionDispositionV1::from_closed_timestamp(index.closed)?,
                used_at_ms: index.used,
                created_at_ms: index.created,
                remote_identity_key: base64("remote identity", &index.remote_identity_key)?.into(),
            },
            chains: chains.collect::<Result<_, _>>()?,
            pending_pre_key: pending_pre_key.map(Pending::decoded).transpose()?,
        })
    }
}

impl Chain {
    fn decoded(self, key: &str) -> Result<LegacySessionChainV1, ForeignError> {
        let seeds = self.message_keys.into_iter().map(|(index, seed)| {
            Ok(LegacySessionMessageKeyV1 { index, seed: base64("message key", &seed)?.into() })
        });
        let chain = self.chain_key.key.map(|key| base64("chain key", &key)).transpose()?;
        Ok(LegacySessionChainV1 {
            ratchet_key: base64("ratchet key", key)?.into(),
            role: LegacySessionChainRoleV1::try_from(self.chain_type)?,
            chain_key: LegacySessionChainKeyV1 {
                counter: LegacySessionChainCounterV1::new(self.chain_key.counter)?,
                key: chain.map(Into::into),
            },
            message_keys: seeds.collect::<Result<_, ForeignError>>()?,
        })
    }
}

impl Pending {
    fn decoded(self) -> Result<LegacySessionPendingPreKeyV1, ForeignError> {
        Ok(LegacySessionPendingPreKeyV1 {
            pre_key_id: self.pre_key_id,
            signed_pre_key_id: self.signed_pre_key_id,
            base_key: base64("base key", &self.base_key)?.into(),
        })
    }
}
