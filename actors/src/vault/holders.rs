//! Who was given our chain in a group.
//!
//! What must hold: whoever was given it stays in the list for as long as the chain goes on, also when he says that he has
//! lost it, or has new keys. Else his removal would not end a chain that he may have all the same.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::renewed::Renewals;

/// Begins the line of a device that needs the chain again; no address does.
const LACKS: char = '!';
/// Begins the line that says how far the list has followed the renewals.
const FOLLOWED: char = '@';

/// Devices by their addresses, each with whether it can read under the chain, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Holders {
    devices: BTreeMap<String, bool>,
    /// The number of the last renewal that is in it.
    followed: u64,
}

impl Holders {
    /// From their row: an address in each line.
    pub(super) fn read(row: &[u8]) -> Holders {
        let mut holders = Holders::default();
        for line in String::from_utf8_lossy(row).lines() {
            if let Some(number) = line.strip_prefix(FOLLOWED) {
                holders.followed = number.parse().unwrap_or_default();
                continue;
            }
            match line.strip_prefix(LACKS) {
                Some(device) => holders.devices.insert(device.to_owned(), false),
                None => holders.devices.insert(line.to_owned(), true),
            };
        }
        holders
    }

    pub(super) fn written(&self) -> Bytes {
        let lines = self.devices.iter().map(|(device, reads)| match reads {
            true => device.clone(),
            false => format!("{LACKS}{device}"),
        });
        let followed = (self.followed > 0).then(|| format!("{FOLLOWED}{}", self.followed));
        followed.into_iter().chain(lines).collect::<Vec<_>>().join("\n").into()
    }

    /// Whoever has had new keys since needs it again.
    pub(super) fn follow(&mut self, renewals: &Renewals) {
        for device in renewals.since(self.followed) {
            self.lose(device);
        }
        self.has_followed(renewals);
    }

    /// Whoever has had new keys by now was given it since, or needs it still.
    pub(super) fn has_followed(&mut self, renewals: &Renewals) {
        self.followed = renewals.last();
    }

    /// Whether nobody else was given it.
    pub(super) fn are_all_among(&self, devices: &BTreeSet<String>) -> bool {
        self.devices.keys().all(|device| devices.contains(device))
    }

    pub(super) fn can_read(&self, device: &str) -> bool {
        self.devices.get(device) == Some(&true)
    }

    pub(super) fn give(&mut self, device: String) {
        self.devices.insert(device, true);
    }

    /// A device needs it again, if it was given it.
    pub(super) fn lose(&mut self, device: &str) {
        if let Some(reads) = self.devices.get_mut(device) {
            *reads = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_reads_back_as_it_was_written() {
        let mut holders = Holders::read(b"");
        assert!(holders.written().is_empty());
        holders.give("77@lid.1".to_owned());
        holders.give("78@lid.0".to_owned());
        assert_eq!(holders.written(), "77@lid.1\n78@lid.0", "as rows were before some could lack it");
        holders.lose("77@lid.1");
        holders.lose("79@lid.0");
        let read = Holders::read(&holders.written());
        assert!(!read.can_read("77@lid.1") && read.can_read("78@lid.0") && !read.can_read("79@lid.0"));
        let devices = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(read.are_all_among(&devices(&["77@lid.1", "78@lid.0"])));
        assert!(!read.are_all_among(&devices(&["78@lid.0"])), "it may have it all the same");
    }
}
