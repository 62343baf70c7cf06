//! Slices of WhatsApp's schema of history: only the fields that are used. Parts that may not be read stay bytes.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HistorySlice {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) conversations: Vec<ConversationSlice>,
    /// Encoded `WebMessageInfo`s.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(super) statuses: Vec<Bytes>,
    #[prost(uint32, optional, tag = "5")]
    pub(super) order: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) progress: Option<u32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) push_names: Vec<PairSlice>,
    #[prost(message, repeated, tag = "15")]
    pub(super) lids: Vec<PairSlice>,
    #[prost(string, optional, tag = "16")]
    pub(super) nonce: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "19")]
    pub(super) salt: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PairSlice {
    #[prost(string, tag = "1")]
    pub(super) one: String,
    #[prost(string, tag = "2")]
    pub(super) other: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ConversationSlice {
    #[prost(string, required, tag = "1")]
    pub(super) id: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) messages: Vec<MessageSlice>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) unread: Option<u32>,
    #[prost(int32, optional, tag = "11")]
    pub(super) end_of_transfer: Option<i32>,
    #[prost(string, optional, tag = "13")]
    pub(super) name: Option<String>,
    #[prost(bool, optional, tag = "16")]
    pub(super) archived: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "21")]
    pub(super) token: Option<Bytes>,
    #[prost(uint64, optional, tag = "22")]
    pub(super) token_given: Option<u64>,
    #[prost(uint32, optional, tag = "24")]
    pub(super) pinned: Option<u32>,
    #[prost(uint64, optional, tag = "25")]
    pub(super) muted_until: Option<u64>,
    #[prost(uint64, optional, tag = "28")]
    pub(super) token_issued: Option<u64>,
    #[prost(string, optional, tag = "38")]
    pub(super) display_name: Option<String>,
    #[prost(string, optional, tag = "39")]
    pub(super) pn: Option<String>,
    #[prost(string, optional, tag = "42")]
    pub(super) lid: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageSlice {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(super) message: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PastSlice {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<KeySlice>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(super) message: Option<Bytes>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) seconds: Option<u64>,
    #[prost(string, optional, tag = "5")]
    pub(super) participant: Option<String>,
    #[prost(bool, optional, tag = "17")]
    pub(super) starred: Option<bool>,
    #[prost(string, optional, tag = "19")]
    pub(super) push_name: Option<String>,
    #[prost(message, repeated, tag = "41")]
    pub(super) reactions: Vec<ReactionSlice>,
    #[prost(message, repeated, tag = "45")]
    pub(super) votes: Vec<VoteSlice>,
    #[prost(bytes = "bytes", optional, tag = "49")]
    pub(super) secret: Option<Bytes>,
    #[prost(message, repeated, tag = "61")]
    pub(super) answers: Vec<AnswerSlice>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReactionSlice {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<KeySlice>,
    #[prost(string, optional, tag = "2")]
    pub(super) emoji: Option<String>,
    #[prost(int64, optional, tag = "4")]
    pub(super) millis: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VoteSlice {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<KeySlice>,
    #[prost(message, optional, tag = "2")]
    pub(super) vote: Option<ChosenSlice>,
    #[prost(int64, optional, tag = "3")]
    pub(super) millis: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChosenSlice {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) options: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnswerSlice {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<KeySlice>,
    #[prost(int64, optional, tag = "2")]
    pub(super) millis: Option<i64>,
    /// An encoded `EventResponseMessage`.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) answer: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeySlice {
    #[prost(string, optional, tag = "1")]
    pub(super) chat: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub(super) from_me: Option<bool>,
    #[prost(string, optional, tag = "3")]
    pub(super) id: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) participant: Option<String>,
}
