//! Calls in the account's list, as app state has them.
//!
//! Who called stands in the index, because the record may leave it out; so does the id. Which way a call went follows
//! from who called: the two fields that say so contradict each other, depending on which client wrote them.

use waproto::buffa::MessageField;
use waproto::whatsapp::CallLogRecord;
use waproto::whatsapp::call_log_record::{CallResult, ParticipantInfo};

use crate::api::call_logged::Result as Ended;
use crate::id::UnixMillis;
use crate::stanza::Jid;

/// The most participants that are read.
const MOST: usize = 256;
/// Numbers from here on are milliseconds, and seconds below: clients agree on neither.
const MILLISECONDS: i64 = 100_000_000_000;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub start: UnixMillis,
    /// How long it lasted, by WhatsApp's number.
    pub duration: i64,
    /// With pictures.
    pub video: bool,
    /// The group that was called.
    pub group: Option<Jid>,
    /// How it ended.
    pub result: Ended,
    /// Who else took part.
    pub participants: Vec<(Jid, Ended)>,
}

impl Call {
    pub(super) fn read(record: &CallLogRecord) -> Call {
        let start = record.start_time.unwrap_or(0);
        let scale = if start >= MILLISECONDS { 1 } else { 1000 };
        let participant = |one: &ParticipantInfo| {
            let who: Jid = one.user_jid.as_deref()?.parse().ok()?;
            Some((who.to_non_ad(), ended(one.call_result)))
        };
        Call {
            start: UnixMillis(start.saturating_mul(scale)),
            duration: record.duration.unwrap_or(0),
            video: record.is_video.unwrap_or(false),
            group: record.group_jid.as_deref().and_then(|jid| jid.parse().ok()),
            result: ended(record.call_result),
            participants: record.participants.iter().take(MOST).filter_map(participant).collect(),
        }
    }

    pub(super) fn to_wire(&self, caller: &Jid, id: &str) -> MessageField<CallLogRecord> {
        let participant = |(who, result): &(Jid, Ended)| ParticipantInfo {
            user_jid: Some(who.to_string()),
            call_result: result_of(*result),
        };
        MessageField::some(CallLogRecord {
            call_result: result_of(self.result),
            duration: Some(self.duration),
            start_time: Some(self.start.0),
            is_video: Some(self.video),
            call_id: Some(id.to_owned()),
            call_creator_jid: Some(caller.to_string()),
            group_jid: self.group.as_ref().map(ToString::to_string),
            participants: self.participants.iter().map(participant).collect(),
            ..Default::default()
        })
    }
}

/// Both ways of naming how a call ended.
const RESULTS: [(CallResult, Ended); 11] = [
    (CallResult::CONNECTED, Ended::Connected),
    (CallResult::REJECTED, Ended::Rejected),
    (CallResult::CANCELLED, Ended::Cancelled),
    (CallResult::ACCEPTEDELSEWHERE, Ended::AcceptedElsewhere),
    (CallResult::MISSED, Ended::Missed),
    (CallResult::INVALID, Ended::Invalid),
    (CallResult::UNAVAILABLE, Ended::Unavailable),
    (CallResult::UPCOMING, Ended::Upcoming),
    (CallResult::FAILED, Ended::Failed),
    (CallResult::ABANDONED, Ended::Abandoned),
    (CallResult::ONGOING, Ended::Ongoing),
];

fn ended(result: Option<CallResult>) -> Ended {
    let found = RESULTS.into_iter().find(|(theirs, _)| Some(*theirs) == result);
    found.map_or(Ended::Unspecified, |(_, ours)| ours)
}

fn result_of(result: Ended) -> Option<CallResult> {
    RESULTS.into_iter().find(|(_, ours)| *ours == result).map(|(theirs, _)| theirs)
}
