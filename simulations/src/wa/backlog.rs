//! What the server holds for one companion until it says that it has it.
//!
//! What must hold: a delivery leaves only when it is settled (or when the queue is full, oldest first, which
//! is counted); what was sent on an earlier connection and not settled is offered again on the next, in
//! order. It sends nothing itself.

use std::collections::VecDeque;

use roost_proto::stanza::{Jid, Read as _, Stanza};

/// How many deliveries wait for one device at most. The real server keeps them for weeks; a test that
/// exceeds this sees it in the ledger.
const LIMIT: usize = 10_000;

/// The queue of one companion.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Stanza>,
    dropped: u64,
}

impl Backlog {
    /// Puts one delivery at the end. Returns the oldest if it was dropped for it.
    pub fn push(&mut self, stanza: Stanza) -> Option<Stanza> {
        let full = self.waiting.len() >= LIMIT;
        let dropped = if full { self.waiting.pop_front() } else { None };
        self.dropped += u64::from(full);
        self.waiting.push_back(stanza);
        dropped
    }

    /// Takes out the delivery that the device has settled: tag and id must fit, and the sender, because
    /// receipts of several devices share one id. Only a message may be settled by its id alone: the
    /// receipt that settles it can name its sender in the other form.
    pub fn settle(&mut self, tag: &str, id: &str, from: Option<&Jid>) -> Option<Stanza> {
        let fits = |stanza: &Stanza| stanza.tag == tag && stanza.text("id").as_deref() == Some(id);
        let exact = from.and_then(|from| {
            self.waiting.iter().position(|s| fits(s) && s.jid("from").as_ref() == Some(from))
        });
        let by_id = || self.waiting.iter().position(fits).filter(|_| from.is_none() || tag == "message");
        let position = exact.or_else(by_id)?;
        self.waiting.remove(position)
    }

    /// All that waits, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Stanza> {
        self.waiting.iter()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::stanza::Builder;

    use super::*;

    fn receipt(id: &str, device: u16) -> Stanza {
        Builder::new("receipt").attr("id", id).attr("from", Jid::pn_device("1", device)).build()
    }

    #[test]
    fn the_settled_delivery_is_the_one_from_that_device() {
        let mut backlog = Backlog::default();
        backlog.push(receipt("A", 1));
        backlog.push(receipt("A", 2));
        let settled = backlog.settle("receipt", "A", Some(&Jid::pn_device("1", 2))).expect("waits");
        assert_eq!(settled.jid("from"), Some(Jid::pn_device("1", 2)));
        assert!(backlog.settle("message", "A", None).is_none());
        assert!(backlog.settle("receipt", "A", Some(&Jid::pn_device("1", 2))).is_none(), "acked twice");
        assert!(backlog.settle("receipt", "A", None).is_some());
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_it() {
        let mut backlog = Backlog::default();
        for number in 0..=LIMIT {
            backlog.push(receipt(&number.to_string(), 1));
        }
        assert_eq!((backlog.len(), backlog.dropped()), (LIMIT, 1));
        assert!(backlog.settle("receipt", "0", None).is_none());
    }
}
