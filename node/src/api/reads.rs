//! `EventService.ReadEvents`: the log from a cursor, without state on the server.
//!
//! What must hold: the events of a device come in order and without gaps; what retention has removed is
//! said (CURSOR_EXPIRED), never skipped; the cursor of each answer stands after everything said so far.

use std::time::Duration;

use roost_proto::api;
use roost_proto::id::{Age, Sequence};

use super::cursor::{self, Position, Positions, Scope};
use super::reader::{Batch, TURN};
use super::streams::Sink;
use super::{Api, parse};
use crate::directory::{LogHead, LoggedEvent};
use crate::errors::ApiError;

/// Retention has removed what comes after a cursor.
const OLDER: &str = "the cursor is older";
/// It stands after something that is not in the log.
const GONE: &str = "the cursor stands after an event that a failover of the database has lost. Read again without a cursor; \
                    events that are still there have kept their ids";

/// Between looks when nobody tells, for few devices.
const POLL: Duration = Duration::from_millis(250);
/// The same for many.
const LONGEST_POLL: Duration = Duration::from_secs(2);

/// A reader and how far it has come.
pub(super) struct Reading {
    scope: Scope,
    positions: Positions,
    follow: bool,
    /// Events still to send; `None` is no limit.
    left: Option<usize>,
}

impl Reading {
    /// Reads the request; compares the cursor with what there is.
    pub(super) async fn open(
        api: &Api,
        scope: Scope,
        request: &api::ReadEventsRequest,
    ) -> Result<Reading, ApiError> {
        let limit =
            usize::try_from(request.limit).map_err(|_| ApiError::field("limit", "must not be negative"))?;
        let cursor = match request.cursor.as_str() {
            "" => None,
            text => {
                let read = cursor::read(&scope, text);
                Some(read.map_err(|e| ApiError::field("cursor", format!("{e} (of this parent)")))?)
            }
        };
        let heads = api.heads(&scope).await?;
        if let Scope::Tenant(_) = scope
            && heads.len() > cursor::MAX_DEVICES
        {
            return Err(ApiError::TooManyDevices(cursor::MAX_DEVICES));
        }
        let positions = begin(cursor, &heads)?;
        Ok(Reading { scope, positions, follow: request.follow, left: Some(limit).filter(|limit| *limit > 0) })
    }

    /// Produces the answers.
    pub(super) async fn run(mut self, api: Api, sink: Sink<api::ReadEventsResponse>) -> Result<(), ApiError> {
        let commits = &api.parts().commits;
        let mut committed = match &self.scope {
            Scope::Tenant(tenant) => commits.tenant(tenant),
            Scope::Device(key) => commits.device(key),
        };
        let mut said = false;
        loop {
            let heads = api.heads(&self.scope).await?;
            continue_at(&mut self.positions, &heads)?;
            let more = self.round(&api, &heads, &sink, &mut said).await?;
            if self.left == Some(0) || (!more && !self.follow) {
                break;
            }
            if !more {
                let devices = u32::try_from(heads.len()).unwrap_or(u32::MAX);
                let pause = (POLL + Duration::from_millis(1) * devices).min(LONGEST_POLL);
                let _ = tokio::time::timeout(pause, committed.changed()).await;
            }
        }
        if !said {
            // Nothing to say, but the caller learns where to go on.
            sink.send(self.answer(Vec::new())).await?;
        }
        Ok(())
    }

    /// One turn for each device. Returns whether there was anything.
    async fn round(
        &mut self,
        api: &Api,
        heads: &[LogHead],
        sink: &Sink<api::ReadEventsResponse>,
        said: &mut bool,
    ) -> Result<bool, ApiError> {
        let mut batch = Batch::default();
        let mut any = false;
        for head in heads {
            let device = &head.key.device_id;
            let at = self.positions.get(device).copied().unwrap_or(Position::BEGINNING);
            let turn = self.left.map_or(TURN, |left| left.min(TURN));
            if at.sequence >= head.latest || turn == 0 {
                continue;
            }
            // The last one that was read comes first, to see that the log goes on after it.
            let from = Sequence((at.sequence.0 - 1).max(head.before().0));
            let read = api.directory().events(&head.key, from, turn + 1).await?;
            for event in after(at, head, read)?.into_iter().take(turn) {
                any = true;
                let position = Position { sequence: event.sequence, age: event.age };
                if let Some(full) = batch.push(event) {
                    *said = true;
                    sink.send(self.answer(full)).await?;
                }
                // Not before: the cursor of an answer says what the caller has with that answer.
                self.positions.insert(device.clone(), position);
                self.left = self.left.map(|left| left - 1);
            }
        }
        if !batch.is_empty() {
            *said = true;
            sink.send(self.answer(batch.take())).await?;
        }
        Ok(any)
    }

    fn answer(&self, events: Vec<api::Event>) -> api::ReadEventsResponse {
        api::ReadEventsResponse { events, cursor: cursor::write(&self.scope, &self.positions) }
    }
}

impl Api {
    /// The heads of the logs of a scope; refuses a name that does not exist.
    pub(super) async fn heads(&self, scope: &Scope) -> Result<Vec<LogHead>, ApiError> {
        let heads = self.directory().heads(scope.tenant(), scope.device()).await?;
        if heads.is_empty() {
            match scope {
                Scope::Device(key) => return Err(self.missing(key).await),
                Scope::Tenant(tenant) => {
                    self.tenant_exists(&parse::Parent::One(tenant.clone())).await?;
                }
            }
        }
        Ok(heads)
    }
}

/// Where reading begins. Without a cursor that is the beginning of what is kept; with one, a device that
/// it does not name stands at 0.
fn begin(cursor: Option<Positions>, heads: &[LogHead]) -> Result<Positions, ApiError> {
    let mut positions = Positions::new();
    for head in heads {
        let at = match &cursor {
            Some(cursor) => cursor.get(&head.key.device_id).copied().unwrap_or(Position::BEGINNING),
            None => start(head),
        };
        let at = of_this_device(at, head);
        check(at, head)?;
        positions.insert(head.key.device_id.clone(), at);
    }
    Ok(positions)
}

/// Takes new devices in, forgets deleted ones, and notices when retention has overtaken the reader.
fn continue_at(positions: &mut Positions, heads: &[LogHead]) -> Result<(), ApiError> {
    let mut now = Positions::new();
    for head in heads {
        let at = positions.get(&head.key.device_id).copied().unwrap_or_else(|| start(head));
        let at = of_this_device(at, head);
        check(at, head)?;
        now.insert(head.key.device_id.clone(), at);
    }
    *positions = now;
    Ok(())
}

/// Before everything that is kept.
fn start(head: &LogHead) -> Position {
    Position { sequence: head.before(), age: Age::default() }
}

/// A position in the log of an earlier device of the name, which went with its log, is before everything of this one.
fn of_this_device(at: Position, head: &LogHead) -> Position {
    if at.sequence < head.began { Position { sequence: head.began, age: Age::default() } } else { at }
}

/// A position must touch what is kept, and where it is the end, be that very event. One beyond the end belongs to
/// events that a failover of the database has lost.
fn check(at: Position, head: &LogHead) -> Result<(), ApiError> {
    let why = match at.sequence {
        sequence if sequence < head.before() => OLDER,
        sequence if sequence > head.end() => GONE,
        sequence if sequence == head.latest && sequence > head.before() && at.age != head.age => GONE,
        _ => return Ok(()),
    };
    Err(expired(head, why))
}

fn expired(head: &LogHead, why: &'static str) -> ApiError {
    ApiError::CursorExpired { key: head.key.clone(), earliest: head.earliest, why }
}

/// What follows a position in what was read from there on: the event that stands at it must be the one that was read.
fn after(at: Position, head: &LogHead, mut read: Vec<LoggedEvent>) -> Result<Vec<LoggedEvent>, ApiError> {
    let stands = read.first().filter(|event| event.sequence == at.sequence);
    if stands.is_some_and(|event| event.age != at.age) {
        return Err(expired(head, GONE));
    }
    read.retain(|event| event.sequence > at.sequence);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Age, Epoch, UnixMillis};

    use super::*;

    fn head(device: &str, earliest: i64, latest: i64) -> LogHead {
        let key = format!("tenants/acme/devices/{device}").parse().expect("well formed");
        let began = Sequence(0);
        LogHead { key, began, earliest: Sequence(earliest), latest: Sequence(latest), age: Age(0) }
    }

    fn at(pairs: &[(&str, i64)]) -> Positions {
        pairs.iter().map(|(id, at)| (id.parse().expect("well formed"), aged(*at, 0))).collect()
    }

    fn aged(sequence: i64, age: i64) -> Position {
        Position { sequence: Sequence(sequence), age: Age(age) }
    }

    fn event(sequence: i64, age: i64) -> LoggedEvent {
        LoggedEvent {
            key: head("a", 1, 1).key,
            sequence: Sequence(sequence),
            epoch: Epoch(1),
            occurred: UnixMillis(0),
            committed: UnixMillis(0),
            origin: api::event::Origin::Live,
            payload: api::event::Payload::MessageReceived(api::MessageReceived::default()),
            age: Age(age),
        }
    }

    #[test]
    fn reading_begins_at_what_is_kept_or_at_the_cursor() {
        let heads = [head("a", 5, 9), head("b", 1, 0)];
        assert_eq!(begin(None, &heads).expect("fine"), at(&[("a", 4), ("b", 0)]));
        assert_eq!(begin(Some(at(&[("a", 9)])), &heads).expect("fine"), at(&[("a", 9), ("b", 0)]));
        assert_eq!(begin(Some(at(&[("a", 4)])), &heads).expect("just in time"), at(&[("a", 4), ("b", 0)]));
    }

    #[test]
    fn a_cursor_below_retention_is_expired_and_says_where_the_log_begins() {
        let heads = [head("a", 5, 9)];
        for cursor in [at(&[("a", 3)]), at(&[])] {
            match begin(Some(cursor), &heads) {
                Err(ApiError::CursorExpired { earliest, .. }) => assert_eq!(earliest, Sequence(5)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_cursor_beyond_the_end_stands_after_events_that_are_lost() {
        assert!(begin(Some(at(&[("a", 10)])), &[head("a", 1, 9)]).is_err());
        // Everything has expired, nothing came since: the position is the end.
        assert!(begin(Some(at(&[("a", 9)])), &[head("a", 10, 9)]).is_ok());
    }

    #[test]
    fn a_cursor_after_an_event_that_was_lost_is_refused_also_when_the_log_has_grown_past_it() {
        let head = |latest, age| LogHead { age: Age(age), ..head("a", 1, latest) };
        let lost = aged(5, 0);
        let refused = |answer: Result<(), ApiError>| match answer {
            Err(ApiError::CursorExpired { why, .. }) => why == GONE,
            _ => false,
        };
        assert!(refused(check(lost, &head(4, 0))), "the log ends before it");
        assert!(refused(check(lost, &head(5, 1))), "another event stands there");
        assert!(check(lost, &head(7, 1)).is_ok(), "the end does not tell");
        let read = || vec![event(5, 1), event(6, 1)];
        assert!(refused(after(lost, &head(7, 1), read()).map(drop)), "but reading on does");
        let going_on = after(aged(5, 1), &head(7, 1), read()).expect("the same event");
        assert_eq!(going_on.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [6]);
        let kept = after(aged(4, 0), &head(7, 1), vec![event(4, 0), event(5, 1)]).expect("it was not lost");
        assert_eq!(kept.len(), 1);
        let removed = after(aged(4, 0), &head(7, 1), read()).expect("retention has just removed it");
        assert_eq!(removed.len(), 2);
    }

    #[test]
    fn new_devices_are_taken_in_and_deleted_ones_forgotten() {
        let mut positions = at(&[("a", 3), ("gone", 7)]);
        continue_at(&mut positions, &[head("a", 1, 5), head("new", 4, 6)]).expect("fine");
        assert_eq!(positions, at(&[("a", 3), ("new", 3)]));
        assert!(continue_at(&mut positions, &[head("a", 5, 9)]).is_err(), "retention has overtaken it");
    }
}
