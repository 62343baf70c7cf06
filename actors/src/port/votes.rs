//! Votes in polls, as they are kept to be counted.

use roost_proto::api;
use roost_proto::id::UnixMillis;

/// A vote for the tally of its poll. Of two votes of one voter the one that was cast later stands, whichever was
/// written first; of two that were cast at once, the one that was written later.
#[derive(Debug, Clone, PartialEq)]
pub struct CastVote {
    /// Which poll: see [`roost_proto::content::Secret::ballot`].
    pub ballot: [u8; 16],
    /// The vote.
    pub vote: Vote,
}

/// What somebody has voted for.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// Who: a bare address, the hidden identity when it is known. At most 300 bytes.
    pub voter: String,
    /// When it was cast, by the voter's clock.
    pub cast: UnixMillis,
    /// What it says; without options it takes an earlier one back.
    pub said: api::poll_results::Vote,
}
