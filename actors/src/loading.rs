//! State on its way from the store to the device: keys to crypto, the rest to the machine. Pure; who steps a
//! device without actors uses it too.

use bytes::Bytes;
use roost_proto::id::Age;

use crate::machine::{Account, Loaded};
use crate::port::{self, StateKey, StateKind};

/// What the machine gets, until crypto has opened its part.
pub struct Loading {
    loaded: Box<port::Loaded>,
    app_state_keys: bool,
}

impl Loading {
    /// Takes apart what was loaded; the rows are crypto's.
    pub fn split(mut loaded: Box<port::Loaded>) -> (Loading, Vec<(StateKey, Bytes)>) {
        let rows = std::mem::take(&mut loaded.state);
        let (machine, keys): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(key, _)| is_for_machine(key.kind));
        loaded.state = machine;
        let app_state_keys = keys.iter().any(|(key, _)| key.kind == StateKind::AppStateKey);
        (Loading { loaded, app_state_keys }, keys)
    }

    /// See [`port::Loaded::age`].
    pub fn age(&self) -> Age {
        self.loaded.age
    }

    /// Together with what crypto has found.
    pub fn finish(self, account: Option<Account>, keys: bool) -> Loaded {
        let port::Loaded { state, outbox, status, active, age: _, heads: _, proxy: _ } = *self.loaded;
        let app_state_keys = self.app_state_keys;
        let mut loaded =
            Loaded { account, keys, outbox, status, active, app_state_keys, ..Loaded::default() };
        for (key, row) in state {
            match key.kind {
                StateKind::Retry => loaded.awaited.push((key.name, row)),
                StateKind::Presence => loaded.presence = Some(row),
                StateKind::StatusPost => loaded.posts.push((key.name, row)),
                StateKind::Making => loaded.makings.push((key.name, row)),
                StateKind::Pacing => loaded.pacing = Some(row),
                StateKind::SecretHead => loaded.secret_head = Some(row),
                StateKind::Salt => loaded.salt = Some(row),
                StateKind::Tenure => loaded.tenure = Some(row),
                StateKind::Leftovers => loaded.leftovers = Some(row),
                StateKind::AppStateHead => loaded.app_state.push((key.name, row)),
                _ => loaded.history.push((key, row)),
            }
        }
        loaded
    }
}

fn is_for_machine(kind: StateKind) -> bool {
    use StateKind::{
        AppStateHead, Leftovers, Making, Pacing, Presence, Retry, Salt, SecretHead, StatusPost, Tenure,
    };
    use StateKind::{History, HistoryFile, HistoryNonce, HistoryPiece, HistoryRange};
    let history = matches!(kind, History | HistoryPiece | HistoryFile | HistoryRange | HistoryNonce);
    let rows = matches!(kind, Retry | AppStateHead | StatusPost | Making);
    history || rows || matches!(kind, Presence | Pacing | Salt | SecretHead | Tenure | Leftovers)
}
