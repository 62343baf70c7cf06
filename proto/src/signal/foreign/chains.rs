//! Sender keys of groups as the libraries store them: records of the Signal library, JSON of go.mau.fi/libsignal's structs,
//! and JSON of Baileys' states.
//!
//! What must hold: a chain that comes out can read and never send: what signs for its sender is left away.

use bytes::Bytes;
use libsignal_protocol::protocol::{
    SenderChainKeyComponents, SenderKeyRecord, SenderKeyRecordComponents, SenderKeyStateComponents,
    SenderMessageKeyComponents, SenderSigningKeyComponents,
};
use serde::Deserialize;
use serde_json::Value;

use super::{ForeignError, base64};

/// Reads a `SenderKeyRecordStructure`: what whatsapp-rust stores, and what an import carries.
///
/// # Errors
/// `Refused` when it is none, `Empty` without a chain.
pub fn record_chain(bytes: &[u8]) -> Result<Bytes, ForeignError> {
    finish(SenderKeyRecord::deserialize(bytes)?.into_components()?.states)
}

/// Reads the column `sender_key` of whatsmeow's sender keys.
///
/// # Errors
/// [`ForeignError`].
pub fn whatsmeow_chain(json: &[u8]) -> Result<Bytes, ForeignError> {
    let record: Record = serde_json::from_slice(json)?;
    let states = record.sender_key_states.unwrap_or_default();
    finish(states.into_iter().map(State::components).collect::<Result<_, _>>()?)
}

/// Reads what Baileys keeps under `sender-key`: a list of states, the newest last.
///
/// # Errors
/// [`ForeignError`].
pub fn baileys_chain(json: &[u8]) -> Result<Bytes, ForeignError> {
    let states: Vec<Listed> = serde_json::from_slice(json)?;
    finish(states.into_iter().rev().map(Listed::components).collect::<Result<_, _>>()?)
}

fn finish(mut states: Vec<SenderKeyStateComponents>) -> Result<Bytes, ForeignError> {
    if states.is_empty() {
        return Err(ForeignError::Empty);
    }
    states.iter_mut().for_each(|state| state.signing_key.private = None);
    let mut record = SenderKeyRecord::from_components(SenderKeyRecordComponents { states })?;
    record.waive_counter_lease()?;
    let record = record.serialize()?;
    // What is written must be what is read later.
    SenderKeyRecord::deserialize(&record)?;
    Ok(record.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    sender_key_states: Option<Vec<State>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    keys: Option<Vec<MessageKey>>,
    #[serde(rename = "KeyID")]
    key_id: u32,
    sender_chain_key: ChainKey,
    signing_key_public: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChainKey {
    iteration: u32,
    chain_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageKey {
    iteration: u32,
    seed: String,
}

impl State {
    fn components(self) -> Result<SenderKeyStateComponents, ForeignError> {
        let keys = self.keys.into_iter().flatten().map(|MessageKey { iteration, seed }| {
            Ok(SenderMessageKeyComponents { iteration, seed: base64("Seed", &seed)? })
        });
        let ChainKey { iteration, chain_key } = self.sender_chain_key;
        let public = base64("SigningKeyPublic", &self.signing_key_public)?;
        Ok(SenderKeyStateComponents {
            key_id: self.key_id,
            chain_key: SenderChainKeyComponents { iteration, seed: base64("ChainKey", &chain_key)? },
            signing_key: SenderSigningKeyComponents { public, private: None },
            message_keys: keys.collect::<Result<_, ForeignError>>()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    sender_key_id: u32,
    sender_chain_key: Seed,
    sender_signing_key: Signing,
    #[serde(default)]
    sender_message_keys: Vec<Seed>,
}

#[derive(Deserialize)]
struct Seed {
    iteration: u32,
    seed: Value,
}

#[derive(Deserialize)]
struct Signing {
    public: Value,
}

impl Listed {
    fn components(self) -> Result<SenderKeyStateComponents, ForeignError> {
        let Seed { iteration, seed } = self.sender_chain_key;
        let keys = self.sender_message_keys.into_iter().map(|Seed { iteration, seed }| {
            Ok(SenderMessageKeyComponents { iteration, seed: listed("message key", &seed)? })
        });
        let public = listed("signing key", &self.sender_signing_key.public)?;
        Ok(SenderKeyStateComponents {
            key_id: self.sender_key_id,
            chain_key: SenderChainKeyComponents { iteration, seed: listed("chain key", &seed)? },
            signing_key: SenderSigningKeyComponents { public, private: None },
            message_keys: keys.collect::<Result<_, ForeignError>>()?,
        })
    }
}

/// Bytes as JavaScript writes them: a `Buffer` with numbers or base64, or an object with a number under each index.
fn listed(field: &'static str, value: &Value) -> Result<Vec<u8>, ForeignError> {
    let malformed = || ForeignError::Field(field);
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok()).ok_or_else(malformed);
    match value.get("data").unwrap_or(value) {
        Value::String(text) => base64(field, text),
        Value::Array(bytes) => bytes.iter().map(byte).collect(),
        Value::Object(bytes) => {
            (0..bytes.len()).map(|at| byte(bytes.get(&at.to_string()).unwrap_or(&Value::Null))).collect()
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;
    use crate::signal::{Chain, decrypt_from_group, distribution, encrypt_for_group, learn};

    /// A sender, and one who has read a message of him.
    fn chains() -> (Chain, Chain, StdRng) {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut sender, mut reader) = (Chain::default(), Chain::default());
        let key = distribution(&mut sender, &mut rng).expect("made");
        learn(&mut reader, &key).expect("learnt");
        let one = encrypt_for_group(&mut sender, b"one", &mut rng).expect("sent");
        decrypt_from_group(&mut reader, &one).expect("read");
        (sender, reader, rng)
    }

    fn state(chain: &Chain) -> SenderKeyStateComponents {
        let record = SenderKeyRecord::deserialize(chain.0.as_deref().expect("a chain")).expect("a record");
        record.into_components().expect("whole").states.remove(0)
    }

    #[test]
    fn a_chain_reads_on_whoever_wrote_it_down() {
        let (mut sender, reader, mut rng) = chains();
        let state = state(&reader);
        let text = |bytes: &[u8]| STANDARD.encode(bytes);
        let whatsmeow = json!({"SenderKeyStates": [{
            "Keys": null, "KeyID": state.key_id, "SigningKeyPrivate": text(&[0; 32]),
            "SigningKeyPublic": text(&state.signing_key.public),
            "SenderChainKey": {"Iteration": state.chain_key.iteration, "ChainKey": text(&state.chain_key.seed)},
        }]});
        let indexed: serde_json::Map<String, Value> =
            state.chain_key.seed.iter().enumerate().map(|(at, byte)| (at.to_string(), json!(byte))).collect();
        let baileys = json!([{
            "senderKeyId": state.key_id,
            "senderChainKey": {"iteration": state.chain_key.iteration, "seed": indexed},
            "senderSigningKey": {"public": {"type": "Buffer", "data": state.signing_key.public}, "private": {"type": "Buffer", "data": []}},
            "senderMessageKeys": [],
        }]);
        let read = [
            record_chain(reader.0.as_deref().expect("a chain")),
            whatsmeow_chain(whatsmeow.to_string().as_bytes()),
            baileys_chain(baileys.to_string().as_bytes()),
        ];
        let two = encrypt_for_group(&mut sender, b"two", &mut rng).expect("sent");
        for chain in read {
            let mut chain = Chain(Some(chain.expect("it is a chain")));
            assert_eq!(decrypt_from_group(&mut chain, &two).expect("read"), b"two");
        }
    }

    #[test]
    fn what_signs_for_the_sender_does_not_come_along() {
        let (sender, ..) = chains();
        assert!(state(&sender).signing_key.private.is_some());
        let read = record_chain(sender.0.as_deref().expect("a chain")).expect("a record");
        assert_eq!(state(&Chain(Some(read))).signing_key.private, None);
    }

    #[test]
    fn what_is_no_chain_is_refused() {
        assert!(matches!(record_chain(b""), Err(ForeignError::Empty)));
        assert!(matches!(record_chain(&[1, 2, 3]), Err(ForeignError::Refused(_))));
        assert!(matches!(whatsmeow_chain(br#"{"SenderKeyStates":null}"#), Err(ForeignError::Empty)));
        assert!(matches!(whatsmeow_chain(b"[]x"), Err(ForeignError::Json(_))));
        assert!(matches!(baileys_chain(b"[]"), Err(ForeignError::Empty)));
        let short = r#"[{"senderKeyId":1,"senderChainKey":{"iteration":1,"seed":[300]},"senderSigningKey":{"public":[]}}]"#;
        assert!(matches!(baileys_chain(short.as_bytes()), Err(ForeignError::Field("chain key"))));
    }
}
