//! Our sender key in the one group of the world.

use super::World;
use crate::machine::*;
use crate::port::{StateKey, StateKind};

impl World {
    /// Whether the message that is to be encrypted for a group begins another chain, if there is one.
    pub(in crate::machine::tests) fn begins_a_chain(&self) -> Option<bool> {
        let mut chain = self.chain;
        for (_, request) in &self.crypto {
            match request {
                CryptoRequest::EndChain { .. } => chain = false,
                CryptoRequest::EncryptForGroup { .. } => return Some(!chain),
                _ => {}
            }
        }
        None
    }
}

/// Its row.
pub(super) fn sender_key() -> StateKey {
    StateKey { kind: StateKind::SenderKey, name: "own".to_owned() }
}
