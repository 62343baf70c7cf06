//! Removing what was written under numbers that are of no use any more.

use super::{StateKey, StateKind};

/// Removes rows with other numbers than these, at most [`Sweep::ROWS`]: those of keys that the device has no more, or never
/// came to have, and chats of other accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// The number of the device's keys, in the names of [`Sweep::OF_KEYS`].
    pub keys: u32,
    /// The number of its account, in the names of [`StateKind::KnownChat`].
    pub chats: u32,
}

impl Sweep {
    /// Rows that one commit removes at most.
    pub const ROWS: usize = 500;

    /// Kinds whose rows are of use with certain keys of the device alone.
    pub const OF_KEYS: [StateKind; 4] =
        [StateKind::Session, StateKind::SenderKey, StateKind::Identity, StateKind::ContactToken];

    /// Whether it removes a row.
    pub fn takes(&self, key: &StateKey) -> bool {
        let number = match key.kind {
            kind if Sweep::OF_KEYS.contains(&kind) => self.keys,
            StateKind::KnownChat => self.chats,
            _ => return false,
        };
        match number {
            0 => key.name.contains('#'),
            number => !key.name.ends_with(&format!("#{number}")),
        }
    }
}
