//! Under which chain each device speaks in each group, and who was given its key.
//!
//! What must hold: a chain is accused only while somebody who was given its key is not in the group; who comes and goes
//! between two messages, or was never given it, accuses nobody. A device that goes back to the chain before its last one
//! speaks to all who were given that. A key that comes with what is sent again does not count: who asks for that was given
//! one before. Bounded: where a device changed its chain longest ago, that is forgotten first, and of each place all chains
//! but two are.

use std::collections::{BTreeMap, BTreeSet};

use crate::wa::account::{DeviceRef, Pn};
use crate::wa::groups::Group;

/// Places whose chains are remembered.
const MOST: usize = 100_000;

/// A device in a group.
type Place = (DeviceRef, String);

/// The chains under which each device spoke last in each group.
#[derive(Debug, Default)]
pub(super) struct Chains {
    by_place: BTreeMap<Place, Spoken>,
    /// In the order in which the devices began to speak under their last chains.
    order: BTreeMap<u64, Place>,
    begun: u64,
}

/// How a device spoke in a group.
#[derive(Debug)]
struct Spoken {
    last: Chain,
    /// Under which it spoke before.
    before: Option<Chain>,
    /// When it changed to its last one, in the order of all.
    begun: u64,
}

/// Of a sender key.
#[derive(Debug)]
struct Chain {
    number: u32,
    /// Whose devices were given its key.
    holders: BTreeSet<Pn>,
}

impl Chain {
    fn new(number: u32) -> Self {
        Self { number, holders: BTreeSet::new() }
    }
}

impl Chains {
    /// A device speaks in a group under the chain of this number. Returns whether somebody could read it who is not in the
    /// group.
    pub(super) fn speaks(&mut self, sender: DeviceRef, group: &Group, number: u32) -> bool {
        let place = (sender, group.id.clone());
        let outsider = |chain: &Chain| chain.holders.iter().any(|holder| !group.members.contains_key(holder));
        let (last, before) = match self.by_place.remove(&place) {
            Some(spoken) if spoken.last.number == number => {
                let accused = outsider(&spoken.last);
                self.by_place.insert(place, spoken);
                return accused;
            }
            Some(Spoken { last, before, begun }) => {
                self.order.remove(&begun);
                let again = before.filter(|before| before.number == number);
                (again.unwrap_or_else(|| Chain::new(number)), Some(last))
            }
            None => (Chain::new(number), None),
        };
        let accused = outsider(&last);
        self.begun += 1;
        self.order.insert(self.begun, place.clone());
        self.by_place.insert(place, Spoken { last, before, begun: self.begun });
        if self.order.len() > MOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.by_place.remove(&oldest);
        }
        accused
    }

    /// A device of this account is given the key of the present chain.
    pub(super) fn given(&mut self, sender: DeviceRef, group: &Group, to: Pn) {
        if let Some(spoken) = self.by_place.get_mut(&(sender, group.id.clone())) {
            spoken.last.holders.insert(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::UnixMillis;

    use super::*;
    use crate::wa::groups::Role;
    use crate::wa::machine::Machine;

    const ADA: DeviceRef = DeviceRef { pn: 1, device: 1 };

    fn group() -> Group {
        let mut group = Machine::new(1, false).new_group(UnixMillis(0), ADA.pn, "Hens".to_owned());
        group.members.extend([(2, Role::Member), (3, Role::Member)]);
        group
    }

    #[test]
    fn a_chain_is_accused_while_somebody_has_its_key_who_is_not_in_the_group() {
        let (mut chains, mut group) = (Chains::default(), group());
        assert!(!chains.speaks(ADA, &group, 7));
        chains.given(ADA, &group, 2);
        group.members.remove(&3);
        assert!(!chains.speaks(ADA, &group, 7), "he never had the key");
        group.members.remove(&2);
        assert!(chains.speaks(ADA, &group, 7));
        assert!(!chains.speaks(ADA, &group, 8), "nobody was given the new one");
        chains.given(ADA, &group, 3);
        group.members.insert(3, Role::Member);
        assert!(!chains.speaks(ADA, &group, 8), "he is back");
    }

    #[test]
    fn a_device_that_goes_back_to_a_chain_speaks_to_all_who_were_given_its_key() {
        let (mut chains, mut group) = (Chains::default(), group());
        chains.speaks(ADA, &group, 7);
        chains.given(ADA, &group, 2);
        group.members.remove(&2);
        assert!(!chains.speaks(ADA, &group, 8), "the new one is for those who are left");
        chains.given(ADA, &group, 3);
        assert!(chains.speaks(ADA, &group, 7), "he has the key of the old one");
        assert!(chains.speaks(ADA, &group, 7), "and keeps it");
        assert!(!chains.speaks(ADA, &group, 8));
        group.members.remove(&3);
        assert!(chains.speaks(ADA, &group, 8), "its holders are remembered as well");
        assert_eq!((chains.by_place.len(), chains.order.len()), (1, 1));
    }

    #[test]
    fn the_place_where_a_chain_began_first_is_forgotten_first() {
        let (mut chains, mut group) = (Chains::default(), group());
        let other = DeviceRef { pn: u64::MAX, device: 1 };
        for speaker in [other, ADA] {
            chains.speaks(speaker, &group, 7);
            chains.given(speaker, &group, 2);
        }
        group.members.remove(&2);
        let mut crowd = self::group();
        for number in 0..MOST - 1 {
            crowd.id = number.to_string();
            chains.speaks(DeviceRef { pn: 2, device: 1 }, &crowd, 7);
        }
        assert_eq!((chains.by_place.len(), chains.order.len()), (MOST, MOST));
        assert!(chains.speaks(ADA, &group, 7), "it is remembered, though it has the lowest number");
        assert!(!chains.speaks(other, &group, 7), "it was the oldest");
    }
}
