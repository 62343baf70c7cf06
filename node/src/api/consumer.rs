//! A consumer's window: what has been sent and acknowledged, device by device. Pure.
//!
//! What must hold: never more than the limit is outstanding; events of a device are sent in order; a
//! position never goes back and never beyond what was sent; devices take turns, so that one with a long
//! log does not starve the others.

use std::collections::BTreeMap;
use std::ops::Bound;

use roost_proto::id::{DeviceId, DeviceKey, Sequence};

use crate::directory::LogHead;

/// Where a consumer that is new to a device begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With the first event that is kept.
    Earliest,
    /// After the last one.
    Latest,
}

/// Why an acknowledgement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckRefused {
    /// The consumer has been sent nothing of this device.
    UnknownDevice,
    /// It was not sent yet.
    NotSent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lane {
    acked: i64,
    sent: i64,
    latest: i64,
}

/// The window of one stream.
#[derive(Debug)]
pub(super) struct Window {
    lanes: BTreeMap<DeviceId, Lane>,
    limit: usize,
    turn: Option<DeviceId>,
}

impl Window {
    /// A window over the acknowledged positions.
    pub(super) fn new(limit: usize, acked: Vec<(DeviceKey, Sequence)>) -> Window {
        let lane = |at: i64| Lane { acked: at, sent: at, latest: at };
        let lanes = acked.into_iter().map(|(key, at)| (key.device_id, lane(at.0))).collect();
        Window { lanes, limit, turn: None }
    }

    /// Whether more was sent of a device than its log has.
    pub(super) fn is_beyond(&self, heads: &[LogHead]) -> bool {
        heads.iter().any(|head| {
            let lane = self.lanes.get(&head.key.device_id);
            lane.is_some_and(|lane| lane.sent > head.end().0)
        })
    }

    /// Takes in where the logs stand. Returns the devices that are new to the consumer with the position
    /// at which it begins: they must be made durable, or a restart would begin elsewhere.
    pub(super) fn heads(&mut self, heads: &[LogHead], start: Start) -> Vec<(DeviceKey, Sequence)> {
        let mut new = Vec::new();
        let mut lanes = BTreeMap::new();
        for head in heads {
            let (before, latest) = (head.before().0, head.end().0);
            let lane = match self.lanes.get(&head.key.device_id) {
                // The log is shorter than what was sent: a failover of the database has lost its end.
                Some(lane) if lane.sent > latest => Lane { acked: before, sent: before, latest },
                // What retention has removed cannot be sent any more; the gap shows in the sequence.
                Some(lane) => Lane { acked: lane.acked.max(before), sent: lane.sent.max(before), latest },
                None => {
                    let at = if start == Start::Latest { latest } else { before };
                    new.push((head.key.clone(), Sequence(at)));
                    Lane { acked: at, sent: at, latest }
                }
            };
            lanes.insert(head.key.device_id.clone(), lane);
        }
        self.lanes = lanes;
        new
    }

    /// The next device to read from, after which sequence, and how many events at most.
    pub(super) fn next(&mut self, most: usize) -> Option<(DeviceId, Sequence, usize)> {
        let room = self.limit.saturating_sub(self.outstanding()).min(most);
        if room == 0 {
            return None;
        }
        let waits = |(_, lane): &(&DeviceId, &Lane)| lane.sent < lane.latest;
        let after_turn = match &self.turn {
            Some(turn) => self.lanes.range((Bound::Excluded(turn), Bound::Unbounded)).find(waits),
            None => None,
        };
        let (device, lane) = after_turn.or_else(|| self.lanes.iter().find(waits))?;
        let next = (device.clone(), Sequence(lane.sent), room);
        self.turn = Some(next.0.clone());
        Some(next)
    }

    /// Events of a device up to this one were sent. `None`: there was nothing to read after all.
    pub(super) fn sent(&mut self, device: &DeviceId, up_to: Option<Sequence>) {
        if let Some(lane) = self.lanes.get_mut(device) {
            match up_to {
                Some(up_to) => lane.sent = lane.sent.max(up_to.0),
                None => lane.latest = lane.sent,
            }
        }
    }

    /// Whether everything up to this event may be acknowledged.
    pub(super) fn may_ack(&self, device: &DeviceId, up_to: Sequence) -> Result<(), AckRefused> {
        let lane = self.lanes.get(device).ok_or(AckRefused::UnknownDevice)?;
        if up_to.0 > lane.sent || up_to.0 < 0 { Err(AckRefused::NotSent) } else { Ok(()) }
    }

    /// Everything up to this event is acknowledged, durably.
    pub(super) fn acked(&mut self, device: &DeviceId, up_to: Sequence) {
        if let Some(lane) = self.lanes.get_mut(device) {
            lane.acked = lane.acked.max(up_to.0);
        }
    }

    /// Events behind the end of the log.
    pub(super) fn lag(&self) -> i64 {
        self.lanes.values().map(|lane| lane.latest - lane.acked).sum()
    }

    fn outstanding(&self) -> usize {
        let outstanding: i64 = self.lanes.values().map(|lane| lane.sent - lane.acked).sum();
        usize::try_from(outstanding).expect("never more is acknowledged than was sent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roost_proto::id::Age;

    fn key(device: &str) -> DeviceKey {
        format!("tenants/acme/devices/{device}").parse().expect("well formed")
    }

    fn id(device: &str) -> DeviceId {
        device.parse().expect("well formed")
    }

    fn head(device: &str, earliest: i64, latest: i64) -> LogHead {
        LogHead {
            began: Sequence(0),
            key: key(device),
            earliest: Sequence(earliest),
            latest: Sequence(latest),
            age: Age::default(),
        }
    }

    #[test]
    fn never_more_than_the_window_is_outstanding_and_devices_take_turns() {
        let mut window = Window::new(5, Vec::new());
        window.heads(&[head("a", 1, 100), head("b", 1, 100)], Start::Earliest);
        let mut seen = Vec::new();
        while let Some((device, after, most)) = window.next(2) {
            let up_to = Sequence(after.0 + i64::try_from(most).expect("small"));
            window.sent(&device, Some(up_to));
            seen.push((device.to_string(), up_to.0));
        }
        assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 2), ("a".to_owned(), 3)]);
        window.acked(&id("a"), Sequence(2));
        assert_eq!(window.next(10), Some((id("b"), Sequence(2), 2)));
        assert_eq!(window.lag(), 198);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_after_reopening() {
        let mut window = Window::new(10, vec![(key("a"), Sequence(3))]);
        window.heads(&[head("a", 1, 7)], Start::Latest);
        assert_eq!(window.next(10), Some((id("a"), Sequence(3), 10)));
    }

    #[test]
    fn a_device_that_is_new_begins_where_the_consumer_wants_and_that_is_to_be_kept() {
        let mut window = Window::new(10, Vec::new());
        let new = window.heads(&[head("a", 4, 7)], Start::Earliest);
        assert_eq!(new, [(key("a"), Sequence(3))]);
        let mut window = Window::new(10, Vec::new());
        let new = window.heads(&[head("a", 4, 7), head("b", 1, 0)], Start::Latest);
        assert_eq!(new, [(key("a"), Sequence(7)), (key("b"), Sequence(0))]);
        assert_eq!(window.next(10), None);
        assert!(window.heads(&[head("a", 4, 8)], Start::Latest).is_empty());
        assert_eq!(window.next(10), Some((id("a"), Sequence(7), 10)));
    }

    #[test]
    fn acknowledgements_of_what_was_never_sent_are_refused() {
        let mut window = Window::new(10, vec![(key("a"), Sequence(3))]);
        window.heads(&[head("a", 1, 7)], Start::Earliest);
        window.sent(&id("a"), Some(Sequence(5)));
        assert_eq!(window.may_ack(&id("a"), Sequence(5)), Ok(()));
        assert_eq!(window.may_ack(&id("a"), Sequence(1)), Ok(()), "late, and harmless");
        assert_eq!(window.may_ack(&id("a"), Sequence(6)), Err(AckRefused::NotSent));
        assert_eq!(window.may_ack(&id("a"), Sequence(-1)), Err(AckRefused::NotSent));
        assert_eq!(window.may_ack(&id("b"), Sequence(1)), Err(AckRefused::UnknownDevice));
    }

    #[test]
    fn retention_and_deletion_never_leave_a_window_stuck() {
        let mut window = Window::new(2, vec![(key("a"), Sequence(1)), (key("b"), Sequence(9))]);
        let heads = [head("a", 5, 6), head("b", 1, 2)];
        assert!(!window.is_beyond(&heads[..1]) && window.is_beyond(&heads));
        window.heads(&heads, Start::Earliest);
        assert!(!window.is_beyond(&heads));
        assert_eq!(window.next(10), Some((id("a"), Sequence(4), 2)), "from what is kept");
        window.sent(&id("a"), Some(Sequence(6)));
        window.acked(&id("a"), Sequence(6));
        assert_eq!(window.next(10), Some((id("b"), Sequence(0), 2)), "its end is lost");
        window.sent(&id("b"), None);
        assert_eq!(window.next(10), None, "nothing was there after all");
        let short = [head("a", 5, 5), head("b", 1, 2)];
        assert!(window.is_beyond(&short));
        window.heads(&short, Start::Earliest);
        assert_eq!(window.next(10), Some((id("a"), Sequence(4), 2)), "more was sent than there is");
        window.heads(&[], Start::Earliest);
        assert_eq!(window.lag(), 0);
    }
}
