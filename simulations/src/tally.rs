//! What was sent and what arrived: the books that say whether anything was lost or doubled.
//!
//! What must hold: each text is sent once by its author's own count and is unique for the whole run, so
//! an event with that text is a delivery of that message and of no other. Pure; whoever sends and reads
//! writes here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use roost_proto::api::event::Payload;
use roost_proto::api::{Event, message_received};

/// The books of one run.
#[derive(Debug, Default)]
pub struct Tally {
    sent: BTreeMap<String, String>,
    received: BTreeMap<String, BTreeMap<String, u32>>,
    heads: BTreeMap<String, Head>,
    first: BTreeMap<(String, i64), Instant>,
    faults: BTreeSet<String>,
    conversations: BTreeMap<String, Vec<String>>,
    places: BTreeMap<(String, String), i64>,
    ids: BTreeMap<(String, i64), String>,
    rewritten: usize,
    whatsapp_ids: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    sequence: i64,
    epoch: i64,
}

/// What the books say at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balance {
    /// Messages that the API accepted.
    pub sent: usize,
    /// Those that stand in the receiver's log exactly once.
    pub once: usize,
    /// Those that do not stand in the receiver's log.
    pub lost: usize,
    /// Those that stand there more than once.
    pub doubled: usize,
    /// Breaks of the log's order, in words.
    pub faults: Vec<String>,
}

impl Tally {
    /// The API has accepted `text` for the device `to`.
    pub fn sent(&mut self, text: &str, to: &str) {
        self.sent.insert(text.to_owned(), to.to_owned());
    }

    /// The same, as the next text of a conversation: whoever speaks in it waits for each text to be accepted
    /// before the next. `whatsapp_id` is what the API called it.
    pub fn said(&mut self, conversation: &str, text: &str, to: &str, whatsapp_id: &str) {
        self.sent(text, to);
        self.whatsapp_ids.insert(text.to_owned(), whatsapp_id.to_owned());
        self.conversations.entry(conversation.to_owned()).or_default().push(text.to_owned());
    }

    /// A reader has been given this event. Events of one device must come in the order of its log; the
    /// same event may be given again from its beginning, not out of order. `now` is when it was read.
    pub fn read(&mut self, event: &Event, now: Instant) {
        let before = self.ids.insert((event.device.clone(), event.sequence), event.event_id.clone());
        if before.as_ref() == Some(&event.event_id) {
            return;
        }
        let head = self.heads.entry(event.device.clone()).or_default();
        if event.sequence <= head.sequence {
            // The log has lost its end and was written anew.
            self.rewritten += 1;
        } else {
            if event.sequence != head.sequence + 1 {
                let fault = format!("{}: {} follows {}", event.device, event.sequence, head.sequence);
                self.faults.insert(fault);
            }
            if event.owner_epoch < head.epoch {
                self.faults.insert(format!(
                    "{}: epoch {} follows {} at {}",
                    event.device, event.owner_epoch, head.epoch, event.sequence
                ));
            }
        }
        *head = Head { sequence: event.sequence, epoch: event.owner_epoch };
        if let Some(Payload::MessageReceived(message)) = &event.payload
            && let Some(message_received::Content::Text(text)) = &message.content
            && !message.from_me
        {
            self.first.entry((event.device.clone(), event.owner_epoch)).or_insert(now);
            self.places.entry((text.clone(), event.device.clone())).or_insert(event.sequence);
            *self.received.entry(text.clone()).or_default().entry(event.device.clone()).or_default() += 1;
        }
    }

    /// The same messages sent, and nothing read: to hold them against the whole log anew.
    pub fn unread(&self) -> Tally {
        Tally {
            sent: self.sent.clone(),
            conversations: self.conversations.clone(),
            whatsapp_ids: self.whatsapp_ids.clone(),
            ..Tally::default()
        }
    }

    /// Events that stand where a reader was given others before: a log that lost its end.
    pub fn rewritten(&self) -> usize {
        self.rewritten
    }

    /// Events of this device that were read.
    pub fn position(&self, device: &str) -> i64 {
        self.heads.get(device).map_or(0, |head| head.sequence)
    }

    /// When a reader was given the first message that this device received after `epoch`.
    pub fn first_message_after(&self, device: &str, epoch: i64) -> Option<Instant> {
        let from = (device.to_owned(), epoch + 1);
        let later = self.first.range(from..).take_while(|((name, _), _)| name == device);
        later.map(|(_, at)| *at).min()
    }

    /// Accepted messages so far.
    pub fn sent_count(&self) -> usize {
        self.sent.len()
    }

    /// Accepted messages that have not arrived yet.
    pub fn missing(&self) -> usize {
        self.sent.iter().filter(|(text, to)| self.count(text, to) == 0).count()
    }

    /// Accepted messages that have not arrived: text, receiving device, WhatsApp's id where it is known.
    pub fn lost(&self) -> Vec<(String, String, Option<String>)> {
        let lost = self.sent.iter().filter(|(text, to)| self.count(text, to) == 0);
        lost.map(|(text, to)| (text.clone(), to.clone(), self.whatsapp_ids.get(text).cloned())).collect()
    }

    /// Whether a text stands in the log of this device.
    pub fn has_arrived(&self, text: &str, to: &str) -> bool {
        self.count(text, to) > 0
    }

    /// Texts that stand in the receiver's log before one that was said earlier in the same conversation.
    pub fn reordered(&self) -> usize {
        let place = |text: &String| self.places.get(&(text.clone(), self.sent.get(text)?.clone())).copied();
        let mut reordered = 0;
        for texts in self.conversations.values() {
            let mut last = 0;
            for at in texts.iter().filter_map(place) {
                reordered += usize::from(at < last);
                last = last.max(at);
            }
        }
        reordered
    }

    /// Adds it up.
    pub fn balance(&self) -> Balance {
        let mut balance = Balance { sent: self.sent.len(), ..Balance::default() };
        for (text, to) in &self.sent {
            match self.count(text, to) {
                0 => balance.lost += 1,
                1 => balance.once += 1,
                _ => balance.doubled += 1,
            }
        }
        balance.faults = self.faults.iter().cloned().collect();
        balance
    }

    fn count(&self, text: &str, to: &str) -> u32 {
        self.received.get(text).and_then(|devices| devices.get(to)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roost_proto::api::MessageReceived;

    fn event(device: &str, sequence: i64, owner_epoch: i64, text: &str) -> Event {
        let content = Some(message_received::Content::Text(text.to_owned()));
        let payload = Payload::MessageReceived(MessageReceived { content, ..MessageReceived::default() });
        let event_id = format!("{device}/{sequence}/{owner_epoch}");
        let device = device.to_owned();
        Event { event_id, device, sequence, owner_epoch, payload: Some(payload), ..Event::default() }
    }

    #[test]
    fn one_arrival_balances_one_send() {
        let mut tally = Tally::default();
        tally.sent("a", "d");
        assert_eq!(tally.missing(), 1);
        tally.read(&event("d", 1, 1, "a"), Instant::now());
        let balance = tally.balance();
        assert_eq!((balance.sent, balance.once, balance.lost, balance.doubled), (1, 1, 0, 0));
    }

    #[test]
    fn the_same_event_read_again_is_not_a_second_arrival() {
        let mut tally = Tally::default();
        tally.sent("a", "d");
        tally.read(&event("d", 1, 1, "a"), Instant::now());
        tally.read(&event("d", 1, 1, "a"), Instant::now());
        assert_eq!(tally.balance().doubled, 0);
    }

    #[test]
    fn a_second_event_with_the_text_is_a_double() {
        let mut tally = Tally::default();
        tally.sent("a", "d");
        tally.read(&event("d", 1, 1, "a"), Instant::now());
        tally.read(&event("d", 2, 1, "a"), Instant::now());
        assert_eq!(tally.balance().doubled, 1);
    }

    #[test]
    fn an_arrival_at_another_device_is_not_an_arrival() {
        let mut tally = Tally::default();
        tally.sent("a", "d");
        tally.read(&event("e", 1, 1, "a"), Instant::now());
        assert_eq!(tally.balance().lost, 1);
    }

    #[test]
    fn a_log_that_lost_its_end_is_seen_and_read_on() {
        let mut tally = Tally::default();
        tally.sent("c", "d");
        for (sequence, epoch, text) in [(1, 1, "a"), (2, 1, "b"), (1, 1, "a"), (2, 9, "c"), (3, 9, "e")] {
            tally.read(&event("d", sequence, epoch, text), Instant::now());
        }
        assert_eq!((tally.rewritten(), tally.missing(), tally.balance().faults), (1, 0, vec![]));
    }

    #[test]
    fn a_text_that_overtakes_another_of_its_conversation_is_seen() {
        let mut tally = Tally::default();
        for (conversation, text) in [("x", "a"), ("x", "b"), ("y", "c")] {
            tally.said(conversation, text, "d", "");
        }
        for (sequence, text) in [(1, "c"), (2, "a"), (3, "b")] {
            tally.read(&event("d", sequence, 1, text), Instant::now());
        }
        assert_eq!(tally.reordered(), 0);
        tally.said("x", "e", "d", "");
        tally.said("x", "f", "d", "");
        tally.read(&event("d", 4, 1, "f"), Instant::now());
        tally.read(&event("d", 5, 1, "e"), Instant::now());
        assert_eq!(tally.reordered(), 1);
    }

    #[test]
    fn a_gap_and_a_falling_epoch_are_faults() {
        let mut tally = Tally::default();
        tally.read(&event("d", 1, 2, "a"), Instant::now());
        tally.read(&event("d", 3, 2, "b"), Instant::now());
        tally.read(&event("d", 4, 1, "c"), Instant::now());
        assert_eq!(tally.balance().faults.len(), 2);
    }
}
