//! Sender keys: one chain per sender and group, under which a message is encrypted once for all.
//!
//! What must hold: as for ratchets. On success the caller's [`Chain`] carries the new state, which must be
//! durable before the ciphertext leaves or the plaintext is acknowledged; on an error it is as it was. The
//! counter reservation of the library is waived, so a chain that is lost after its ciphertext was sent
//! would use one key twice. A distribution gives its holders all keys of the chain from there on: who shall
//! not read on needs to be left without the next chain.

use async_trait::async_trait;
use bytes::Bytes;
use libsignal_protocol::protocol::error::Result;
use libsignal_protocol::protocol::{
    SenderKeyDistributionMessage, SenderKeyMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SignalProtocolError, create_sender_key_distribution_message, group_decrypt, group_encrypt,
    process_sender_key_distribution_message,
};
use rand::{CryptoRng, Rng};

use super::stores::at_once;

/// The chain of one sender in one group, opaque; empty when there is none. Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(pub Option<Bytes>);

/// Why a sender key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Not what it should be.
    #[error("it cannot be read")]
    Malformed(#[source] SignalProtocolError),
    /// There is no chain for it: its sender must distribute it.
    #[error("there is no sender key for it")]
    NoChain,
    /// This key was used before: the message was decrypted already.
    #[error("the message was decrypted before")]
    Duplicate,
    /// It does not fit the chain.
    #[error("the message does not fit the sender key")]
    Mismatch(#[source] SignalProtocolError),
}

/// Which key a group ciphertext was made with, as anybody can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Number of the chain.
    pub chain: u32,
    /// Position in it.
    pub iteration: u32,
}

/// What lets others read the chain from here on; makes the chain when there is none.
pub fn distribution<R: Rng + CryptoRng>(
    chain: &mut Chain,
    rng: &mut R,
) -> std::result::Result<Bytes, GroupError> {
    let mut store = Store::load(chain)?;
    let made = at_once(create_sender_key_distribution_message(&name(), &mut store, rng));
    let made = made.map_err(GroupError::Mismatch)?;
    store.keep(chain)?;
    Ok(Bytes::copy_from_slice(made.serialized()))
}

/// Takes in what a sender distributed.
pub fn learn(chain: &mut Chain, distribution: &[u8]) -> std::result::Result<(), GroupError> {
    let message = SenderKeyDistributionMessage::try_from(distribution).map_err(GroupError::Malformed)?;
    // A stored chain that cannot be read is no reason to stay without one.
    let mut store = Store::load(chain).unwrap_or(Store(None));
    at_once(process_sender_key_distribution_message(&name(), &message, &mut store))
        .map_err(GroupError::Mismatch)?;
    store.keep(chain)
}

/// Encrypts a padded plaintext under the next key of our own chain.
pub fn encrypt_for_group<R: Rng + CryptoRng>(
    chain: &mut Chain,
    plaintext: &[u8],
    rng: &mut R,
) -> std::result::Result<Bytes, GroupError> {
    let mut store = Store::load(chain)?;
    let message = at_once(group_encrypt(&mut store, &name(), plaintext, rng)).map_err(failure)?;
    store.keep(chain)?;
    Ok(Bytes::copy_from_slice(message.serialized()))
}

/// Decrypts with the chain of its sender. The plaintext is still padded.
pub fn decrypt_from_group(chain: &mut Chain, bytes: &[u8]) -> std::result::Result<Vec<u8>, GroupError> {
    SenderKeyMessage::try_from(bytes).map_err(GroupError::Malformed)?;
    let mut store = Store::load(chain)?;
    let plaintext = at_once(group_decrypt(bytes, &mut store, &name())).map_err(failure)?;
    store.keep(chain)?;
    Ok(plaintext)
}

/// Reads which key a ciphertext was made with.
pub fn group_key(bytes: &[u8]) -> std::result::Result<GroupKey, GroupError> {
    let message = SenderKeyMessage::try_from(bytes).map_err(GroupError::Malformed)?;
    Ok(GroupKey { chain: message.chain_id(), iteration: message.iteration() })
}

fn failure(error: SignalProtocolError) -> GroupError {
    match error {
        SignalProtocolError::DuplicatedMessage(..) => GroupError::Duplicate,
        SignalProtocolError::NoSenderKeyState(_) => GroupError::NoChain,
        error => GroupError::Mismatch(error),
    }
}

/// The store holds one chain, so its name does not matter.
fn name() -> SenderKeyName {
    SenderKeyName::from_parts("", "")
}

struct Store(Option<SenderKeyRecord>);

impl Store {
    fn load(chain: &Chain) -> std::result::Result<Store, GroupError> {
        let record = chain.0.as_ref().map(|bytes| {
            let mut record = SenderKeyRecord::deserialize(bytes)?;
            record.waive_counter_lease()?;
            Ok(record)
        });
        Ok(Store(record.transpose().map_err(GroupError::Mismatch)?))
    }

    fn keep(self, chain: &mut Chain) -> std::result::Result<(), GroupError> {
        let Some(mut record) = self.0 else { return Ok(()) };
        // A record that the library made itself still carries a reservation.
        record.waive_counter_lease().map_err(GroupError::Mismatch)?;
        chain.0 = Some(record.serialize().map_err(GroupError::Mismatch)?.into());
        Ok(())
    }
}

#[async_trait]
impl SenderKeyStore for Store {
    async fn store_sender_key(&mut self, _: &SenderKeyName, mut record: SenderKeyRecord) -> Result<()> {
        record.waive_counter_lease()?;
        self.0 = Some(record);
        Ok(())
    }

    async fn load_sender_key(&self, _: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn who_was_given_the_chain_reads_on_and_nobody_else() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut ours, mut theirs, mut nothing) = (Chain::default(), Chain::default(), Chain::default());
        let given = distribution(&mut ours, &mut rng).expect("a chain");
        learn(&mut theirs, &given).expect("it is one");
        for text in [&b"one"[..], b"two"] {
            let sent = encrypt_for_group(&mut ours, text, &mut rng).expect("encrypted");
            assert_eq!(decrypt_from_group(&mut theirs, &sent).expect("decrypted"), text);
            assert!(matches!(decrypt_from_group(&mut theirs, &sent), Err(GroupError::Duplicate)));
            assert!(matches!(decrypt_from_group(&mut nothing, &sent), Err(GroupError::NoChain)));
        }
        let mut next = Chain::default();
        distribution(&mut next, &mut rng).expect("another chain");
        let secret = encrypt_for_group(&mut next, b"three", &mut rng).expect("encrypted");
        assert!(matches!(decrypt_from_group(&mut theirs, &secret), Err(GroupError::NoChain)));
    }

    #[test]
    fn each_message_has_a_key_of_its_own_also_after_a_restart() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut chain = Chain::default();
        distribution(&mut chain, &mut rng).expect("a chain");
        let mut keys = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let mut loaded = chain.clone();
            let sent = encrypt_for_group(&mut loaded, b"x", &mut rng).expect("encrypted");
            assert!(keys.insert(group_key(&sent).expect("readable")));
            chain = loaded;
        }
        let iterations: Vec<u32> = keys.iter().map(|key| key.iteration).collect();
        assert_eq!(iterations, [0, 1, 2, 3, 4], "no key is skipped either");
    }

    #[test]
    fn what_was_damaged_is_refused_and_changes_nothing() {
        let mut rng = StdRng::seed_from_u64(3);
        let (mut ours, mut theirs) = (Chain::default(), Chain::default());
        let given = distribution(&mut ours, &mut rng).expect("a chain");
        learn(&mut theirs, &given).expect("it is one");
        let mut sent = encrypt_for_group(&mut ours, b"whole", &mut rng).expect("encrypted").to_vec();
        let before = theirs.clone();
        let end = sent.len() - 70;
        sent[end] ^= 1;
        assert!(decrypt_from_group(&mut theirs, &sent).is_err());
        assert!(learn(&mut theirs, b"nonsense").is_err());
        assert_eq!(theirs, before);
    }
}
