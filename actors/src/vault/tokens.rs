//! Trusted-contact tokens in memory: rows that are read when somebody needs them.
//!
//! What must hold: a row that has changed leaves memory only when that is durable, because the next change
//! is made on top of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Vault;
use super::peers::numbered;
use crate::machine::{CryptoRequest, PeerName, Token};
use crate::port::{StateChange, StateKey, StateKind};

/// Contacts whose tokens are kept in memory.
const KEPT: usize = 1024;

/// Tokens by the names of their rows, with the request that changed each last (0 when none did).
#[derive(Debug, Default)]
pub(super) struct Tokens {
    cached: BTreeMap<String, (Token, u64)>,
    token: u64,
    durable: u64,
}

impl Tokens {
    pub(super) fn begin(&mut self, token: u64) {
        self.token = token;
        if self.cached.len() > KEPT {
            let durable = self.durable;
            self.cached.retain(|_, (_, changed)| *changed > durable);
        }
    }

    pub(super) fn durable(&mut self, token: u64) {
        self.durable = self.durable.max(token);
    }

    /// A row that was wanted. One that cannot be read is as good as none: another token will come.
    pub(super) fn give(&mut self, name: &str, row: Option<&Bytes>) {
        let token = row.and_then(|row| Token::from_bytes(row)).unwrap_or_default();
        self.cached.entry(name.to_owned()).or_insert((token, 0));
    }

    pub(super) fn forget_all(&mut self) {
        self.cached.clear();
    }

    fn get(&self, name: &str) -> Token {
        self.cached.get(name).map(|(token, _)| token.clone()).unwrap_or_default()
    }

    fn put(&mut self, name: String, token: Token) -> Option<StateChange> {
        if self.get(&name) == token {
            return None;
        }
        let row = (token != Token::default()).then(|| token.to_bytes());
        self.cached.insert(name.clone(), (token, self.token));
        Some((StateKey { kind: StateKind::ContactToken, name }, row))
    }
}

impl Vault {
    /// Rows of tokens that a request needs and that are not in memory. Addresses are known by now.
    pub(super) fn wanted_tokens(&self, request: &CryptoRequest) -> Vec<StateKey> {
        let contacts: Vec<&PeerName> = match request {
            CryptoRequest::Tokens { of } => of.iter().collect(),
            CryptoRequest::KeepTokens(tokens) => tokens.iter().map(|(of, _)| of).collect(),
            _ => return Vec::new(),
        };
        let names = contacts.into_iter().flat_map(|of| self.token_rows(of));
        let missing = names.filter(|name| !self.tokens.cached.contains_key(name));
        missing.map(|name| StateKey { kind: StateKind::ContactToken, name }).collect()
    }

    /// What is known of the tokens between us and somebody.
    pub(super) fn token(&self, of: &PeerName) -> Token {
        self.token_rows(of).iter().map(|name| self.tokens.get(name)).fold(Token::default(), Token::with)
    }

    /// Takes note of tokens.
    pub(super) fn keep_tokens(&mut self, tokens: &[(PeerName, Token)]) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for (of, token) in tokens {
            let known = self.token(of).with(token.clone());
            let mut rows = self.token_rows(of).into_iter();
            changes.extend(rows.next().and_then(|name| self.tokens.put(name, known)));
            changes.extend(rows.filter_map(|name| self.tokens.put(name, Token::default())));
        }
        changes
    }

    /// The names under which a contact may be kept; the hidden identity first, when it is known.
    fn token_rows(&self, of: &PeerName) -> Vec<String> {
        let PeerName { pn, lid, .. } = self.peers.complete(of);
        let forms = [lid.map(|lid| format!("{lid}@lid")), pn.map(|pn| format!("{pn}@s.whatsapp.net"))];
        forms.into_iter().flatten().map(|name| numbered(name, self.generation)).collect()
    }
}
