//! How often each device was sent a message again.
//!
//! What must hold: a device that asks on and on is remembered; of the others the one that asked last longest ago is
//! forgotten first.

use std::collections::{BTreeMap, VecDeque};

use roost_proto::stanza::Jid;

/// So many messages and devices are remembered.
const REMEMBERED: usize = 1024;

/// A message and a device.
type Asked = (String, String);

#[derive(Debug, Default)]
pub(super) struct Counts {
    known: BTreeMap<Asked, u32>,
    /// The one that asked last is the last.
    order: VecDeque<Asked>,
}

impl Counts {
    /// A device asks for a message of ours; how often it has by now.
    pub(super) fn count(&mut self, to: &Jid, id: &str) -> u32 {
        let asked = (id.to_owned(), to.to_string());
        let count = self.known.get(&asked).copied().unwrap_or_default().saturating_add(1);
        if count > 1 {
            self.order.retain(|other| *other != asked);
        }
        self.order.push_back(asked.clone());
        self.known.insert(asked, count);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_last_longest_ago_is_forgotten_first() {
        let mut counts = Counts::default();
        let device = Jid::lid_device("77", 1);
        assert_eq!((counts.count(&device, "A"), counts.count(&device, "B")), (1, 1));
        assert_eq!(counts.count(&device, "A"), 2);
        for other in 0..REMEMBERED - 1 {
            counts.count(&device, &other.to_string());
        }
        assert_eq!(counts.count(&device, "A"), 3);
        assert_eq!(counts.count(&device, "B"), 1, "it was forgotten");
        assert_eq!(counts.known.len(), REMEMBERED);
    }
}
