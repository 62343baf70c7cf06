//! Trusted-contact tokens: somebody who has one of ours is no stranger to WhatsApp, and the other way round.
//!
//! What must hold: a token that came is durable before it is acknowledged; a message to one person carries
//! the token that we have of him, while it is valid; whoever we write to is given one of ours, once in each
//! span of seven days, after WhatsApp has taken the message; somebody with new keys is given his again.
//! Rules and spans: what whatsmeow, Baileys and whatsapp-rust agree on. Without a valid token of the recipient, a
//! message shows the one for strangers, once the phone has given the account its salt, in history or in app state;
//! what app state says counts more.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::cstoken::cstoken;
use roost_proto::stanza::{Builder, Jid, JidExt as _, Read, Server, Stanza, iq, server_jid};

use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::crypto::{PeerName, Purpose};
use super::identities::name_of;
use super::prekeys::leaf;
use super::requests::Asked;
use super::{CryptoRequest, Machine};
use crate::port::{StateKey, StateKind};

/// Tokens are told apart by spans of so many seconds.
const SPAN: u64 = 7 * 24 * 3600;
/// One is valid in the span in which it was given and in so many more.
const SPANS: u64 = 3;
/// Contacts who were given a token lately and are remembered; above this all may be given one again.
const REMEMBERED: usize = 1024;
/// The most tokens that one notification brings.
const TOKENS: usize = 64;
/// Longer tokens are not believed.
const LONGEST: usize = 1024;
/// First byte of a row.
const FORMAT: u8 = 1;

/// What is known of the tokens between us and one contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// What the contact has given us, and when, in Unix seconds.
    pub given: Option<(Bytes, u64)>,
    /// When we gave ours, in Unix seconds.
    pub issued: Option<u64>,
}

impl Token {
    /// For the store.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        let (bytes, at) = self.given.clone().unwrap_or_default();
        out.bytes(&bytes);
        out.bytes(&at.to_be_bytes());
        out.bytes(&self.issued.unwrap_or(0).to_be_bytes());
        out.finish()
    }

    /// Reads what [`Token::to_bytes`] wrote; `None` when it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Token> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let given = Bytes::copy_from_slice(rest.bytes()?);
        let mut seconds = || Some(u64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let (at, issued) = (seconds()?, seconds()?);
        Some(Token {
            given: (!given.is_empty()).then_some((given, at)),
            issued: (issued > 0).then_some(issued),
        })
    }

    /// Together with something else that is known: the newer of each.
    pub fn with(self, other: Token) -> Token {
        let newer = match (self.given, other.given) {
            (Some(ours), Some(theirs)) if theirs.1 < ours.1 => Some(ours),
            (ours, theirs) => theirs.or(ours),
        };
        Token { given: newer, issued: self.issued.max(other.issued) }
    }

    /// What may be shown to WhatsApp now.
    pub(super) fn valid(&self, now: u64) -> Option<&Bytes> {
        self.given.as_ref().filter(|(_, at)| lives(*at, now)).map(|(bytes, _)| bytes)
    }

    /// Whether the contact is due to be given ours.
    fn due(&self, now: u64) -> bool {
        self.issued.is_none_or(|at| at / SPAN < now / SPAN)
    }
}

/// Whether a token of this time is still valid.
fn lives(at: u64, now: u64) -> bool {
    at / SPAN + SPANS >= now / SPAN
}

/// What a token is wanted for.
#[derive(Debug)]
pub(super) enum For {
    /// To be sent with a message, and to give ours if that is due.
    Message(i64),
    /// To see somebody's presence.
    Watching(Jid),
    /// The contact has new keys.
    NewKeys(PeerName),
}

/// Who was given a token lately: bare JIDs, and when, in Unix seconds.
#[derive(Debug, Default)]
pub(super) struct Issued(BTreeMap<String, u64>);

impl Machine {
    /// `<notification type=privacy_token from sender_lid><tokens><token type=trusted_contact t>{bytes}`. The
    /// token is its sender's; the address on it is ours.
    pub(super) fn on_tokens(&mut self, stanza: &Stanza) {
        let Some(from) = stanza.jid("from").filter(takes_part) else { return };
        let lid = stanza.jid("sender_lid").filter(Jid::is_lid).map(|lid| lid.user.to_string());
        let PeerName { pn, lid: own, .. } = name_of(&from);
        let of = PeerName { pn, lid: lid.or(own), device: 0 };
        let tokens = stanza.child("tokens").map(Read::all).unwrap_or_default().iter().take(TOKENS);
        let trusted = tokens.filter(|token| token.text("type").as_deref() == Some("trusted_contact"));
        let read = trusted.filter_map(|token| {
            let bytes = token.leaf().filter(|bytes| !bytes.is_empty() && bytes.len() <= LONGEST)?;
            let given = Some((Bytes::copy_from_slice(bytes), token.number("t")?));
            Some((of.clone(), Token { given, issued: None }))
        });
        self.keep_tokens(read.collect());
    }

    /// Takes note of tokens, in the lane.
    pub(super) fn keep_tokens(&mut self, tokens: Vec<(PeerName, Token)>) {
        if !tokens.is_empty() {
            self.change_state(CryptoRequest::KeepTokens(tokens));
        }
    }

    /// Looks for what is known of somebody. What crypto is asked after this is answered after this.
    pub(super) fn ask_token(&mut self, of: PeerName, what: For) {
        self.ask_crypto(CryptoRequest::Tokens { of: vec![of] }, Purpose::Token(what));
    }

    pub(super) fn on_token(&mut self, what: For, token: &Token) {
        let now = self.seconds();
        match what {
            For::Message(ordinal) => {
                self.outbox_token(ordinal, token.valid(now), token.due(now));
            }
            For::Watching(user) => self.subscribe(&user, token.valid(now)),
            For::NewKeys(of) => {
                if let Some(at) = token.issued.filter(|at| lives(*at, now)) {
                    self.request_token(of, at);
                }
            }
        }
    }

    /// WhatsApp has a message of ours to somebody: it is time to give him a token, unless that was done.
    pub(super) fn issue_token(&mut self, to: PeerName) {
        let now = self.seconds();
        let Some(jid) = bare(&to) else { return };
        if self.issued.0.get(&jid.to_string()).is_some_and(|at| at / SPAN >= now / SPAN) {
            return;
        }
        self.request_token(to, now);
    }

    fn request_token(&mut self, to: PeerName, at: u64) {
        let Some(jid) = bare(&to) else { return };
        if self.issued.0.len() >= REMEMBERED {
            self.issued.0.clear();
        }
        self.issued.0.insert(jid.to_string(), at);
        self.request(Asked::Token { to, at }, |id| {
            let token = Builder::new("token").attr("jid", jid).attr("t", at).attr("type", "trusted_contact");
            let tokens = Builder::new("tokens").children([token.build()]).build();
            iq::request(id, "set", "privacy", server_jid()).children([tokens])
        });
    }

    pub(super) fn on_token_issued(&mut self, to: PeerName, at: u64, refused: bool) {
        if refused {
            // The next message tries again.
            if let Some(jid) = bare(&to) {
                self.issued.0.remove(&jid.to_string());
            }
            return;
        }
        self.keep_tokens(vec![(to, Token { given: None, issued: Some(at) })]);
    }

    /// The phone gives what tokens for strangers are made with, or takes it back.
    pub(super) fn take_salt(&mut self, outcome: &mut Pending, salt: Bytes) {
        if salt == self.salt {
            return;
        }
        self.salt = salt.clone();
        let row = StateKey { kind: StateKind::Salt, name: String::new() };
        outcome.batch.state.push((row, Some(salt).filter(|salt| !salt.is_empty())));
    }

    /// The same in history, which may be older than what app state says.
    pub(super) fn learn_salt(&mut self, salt: &Bytes) {
        if !self.salt.is_empty() {
            return;
        }
        let (slot, mut outcome) = (self.lane.open(), Pending::default());
        self.take_salt(&mut outcome, salt.clone());
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    pub(super) fn seconds(&self) -> u64 {
        u64::try_from(self.now.wall.0 / 1000).unwrap_or(0)
    }
}

/// The element that shows a token to WhatsApp.
pub(super) fn element(token: &Bytes) -> Stanza {
    leaf("tctoken", token.to_vec())
}

/// The element that shows WhatsApp that our phone lets us write to somebody who has given us no token; `None` when
/// it has not, or when his hidden identity is not known.
pub(super) fn stranger(salt: &Bytes, to: &PeerName) -> Option<Stanza> {
    let token = cstoken(salt, &Jid::lid(to.lid.as_deref()?)).filter(|_| !salt.is_empty())?;
    Some(leaf("cstoken", token.to_vec()))
}

/// Whether tokens are exchanged with somebody: with people, not with bots or WhatsApp itself.
pub(super) fn takes_part(jid: &Jid) -> bool {
    matches!(jid.server, Server::Pn | Server::Lid) && !jid.user.is_empty() && !jid.is_psa() && !jid.is_bot()
}

/// Where tokens for a contact are asked for.
fn bare(of: &PeerName) -> Option<Jid> {
    of.lid.as_ref().map(Jid::lid).or_else(|| of.pn.as_ref().map(Jid::pn))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn given(at: u64) -> Token {
        Token { given: Some((Bytes::from_static(b"token"), at)), issued: None }
    }

    #[test]
    fn a_row_of_tokens_reads_back() {
        for token in [Token::default(), given(NOW), Token { issued: Some(5), ..given(3) }] {
            assert_eq!(Token::from_bytes(&token.to_bytes()), Some(token));
        }
        assert_eq!(Token::from_bytes(&given(NOW).to_bytes()[..7]), None);
    }

    #[test]
    fn a_token_is_valid_for_four_spans_and_no_longer() {
        let at = NOW / SPAN * SPAN;
        let last = at + 4 * SPAN - 1;
        assert!(given(at).valid(last).is_some());
        assert!(given(at).valid(last + 1).is_none());
    }

    #[test]
    fn a_token_is_given_once_in_a_span() {
        let begin = NOW / SPAN * SPAN;
        let issued = Token { given: None, issued: Some(begin + 5) };
        assert!(Token::default().due(NOW));
        assert!(!issued.due(begin + SPAN - 1));
        assert!(issued.due(begin + SPAN));
    }

    #[test]
    fn of_two_tokens_the_newer_is_known() {
        let issued = Token { given: None, issued: Some(9) };
        let both = given(7).with(given(5)).with(issued.clone()).with(Token::default());
        assert_eq!(both, Token { given: given(7).given, issued: Some(9) });
        assert_eq!(given(5).with(given(7)), given(7));
    }
}
