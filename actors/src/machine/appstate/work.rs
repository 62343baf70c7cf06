//! What the machine asks of crypto about app state, and what comes of it.
//!
//! What must hold: requests of this kind follow each other only after the commit of what the one before has
//! changed, because pages of a collection are always read from the store.

use bytes::Bytes;
use roost_proto::appstate::{Action, ApplyError, Collection, Head, Key, Mutation, Recovery};
use roost_proto::id::UnixMillis;

use crate::port::StateChange;

/// What crypto can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// The phone has shared these keys; their rows are in the batch of the message that brought them.
    Learn(Vec<Key>),
    /// Apply encoded patches, in order, to the copy at `head`.
    Apply {
        /// Which collection.
        collection: Collection,
        /// How far the copy is; at [`Head::EMPTY`] whatever the store has of it is replaced.
        head: Head,
        /// The patches.
        patches: Vec<Bytes>,
    },
    /// Replace the copy at `head` by a whole collection.
    Replace {
        /// Which collection.
        collection: Collection,
        /// How far the copy is.
        head: Head,
        /// An encoded snapshot.
        snapshot: Bytes,
    },
    /// Replace the copy at `head` by a whole collection of the phone's.
    Recover {
        /// Which collection.
        collection: Collection,
        /// How far the copy is.
        head: Head,
        /// What the phone gave.
        recovery: Recovery,
    },
    /// Make the patch that follows `head`.
    Encode {
        /// Which collection.
        collection: Collection,
        /// How far the copy is.
        head: Head,
        /// What to change.
        actions: Vec<Action>,
        /// When it was wanted.
        at: UnixMillis,
    },
    /// Read whole collections.
    Read(Vec<Collection>),
}

/// What has come of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Worked {
    /// The keys may be used.
    Learned,
    /// As many patches as were good are applied.
    Applied(Box<AppliedPatches>),
    /// The encoded patch, for upload.
    Encoded(Bytes),
    /// The copy says all of it already.
    Unchanged,
    /// Nothing can be encrypted: the phone has not shared a key yet, or the one that is wanted.
    NoKey,
    /// What the collections say.
    Read(Vec<Action>),
}

/// Patches that were applied.
#[derive(Debug, PartialEq, Eq)]
pub struct AppliedPatches {
    /// Pages that changed.
    pub changes: Vec<StateChange>,
    /// The copy is here now.
    pub head: Head,
    /// What has changed, each with the version that changed it.
    pub mutations: Vec<(u64, Mutation)>,
    /// The collection was read from its beginning, so that much of it may be old.
    pub anew: bool,
    /// Why the patch after that was not applied.
    pub error: Option<ApplyError>,
}

impl AppliedPatches {
    /// None of them, on a copy at `head`.
    pub fn nothing(head: Head) -> AppliedPatches {
        AppliedPatches { changes: Vec::new(), head, mutations: Vec::new(), anew: false, error: None }
    }
}
