//! The consistent-hash ring: which node should try first for a tenant or a device, and who after it.
//!
//! What must hold: the same members give the same ring on every machine, in every version, for ever
//! (only explicit bytes are hashed, with SipHash-2-4 under a zero key; golden vectors pin it), and a
//! member that leaves moves exactly its own keys. The ring proposes; the ownership row decides. It
//! knows nothing of load: see `load`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashring::HashRing;
use roost_proto::id::{BusinessId, DeviceKey, NodeId};
use siphasher::sip::SipHasher24;

use crate::ledger::{Member, MemberState, View};
use crate::seeded::{self, Bug};

/// Points of a member of weight 100.
pub const POINTS_PER_UNIT: u32 = 256;

/// Heavier members count as this heavy, so that a typing error cannot fill the memory: 100 units.
pub const MAX_WEIGHT: u32 = 10_000;

/// A tenant with more devices than this may be spread; below, its devices always live together.
pub const LARGE_TENANT_FLOOR: usize = 16;

/// What is looked up on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingKey<'a> {
    /// All devices of a tenant together.
    Tenant(&'a BusinessId),
    /// One device of a spread tenant.
    Device(&'a DeviceKey),
}

impl RingKey<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            RingKey::Tenant(business_id) => [b"t\0", business_id.as_str().as_bytes()].concat(),
            RingKey::Device(key) => {
                let (tenant, device) = (key.business_id.as_str(), key.device_id.as_str());
                [b"d\0", tenant.as_bytes(), b"/", device.as_bytes()].concat()
            }
        }
    }
}

/// Which tenants are hashed by device.
///
/// A tenant is large when more than [`LARGE_TENANT_FLOOR`] of its devices, and more than 2 % of the
/// mean load of a member, are seen at once. Nodes that see different rows may judge differently: that
/// costs balance, never exclusivity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread(BTreeSet<BusinessId>);

impl Spread {
    /// The tenants that are marked as spread, whatever their size.
    pub fn marked(tenants: impl IntoIterator<Item = BusinessId>) -> Spread {
        Spread(tenants.into_iter().collect())
    }

    /// Adds every tenant that is large among `devices`, in a cluster that hosts `total` devices on
    /// `members` members.
    pub fn add_large<'a>(
        &mut self,
        devices: impl IntoIterator<Item = &'a DeviceKey>,
        total: u64,
        members: usize,
    ) {
        let mut sizes: BTreeMap<&BusinessId, usize> = BTreeMap::new();
        for key in devices {
            *sizes.entry(&key.business_id).or_default() += 1;
        }
        let mean = total / (members.max(1) as u64);
        let limit = LARGE_TENANT_FLOOR.max(usize::try_from(mean / 50).unwrap_or(usize::MAX));
        for (business_id, size) in sizes {
            if size > limit {
                self.0.insert(business_id.clone());
            }
        }
    }

    /// How this device is looked up.
    pub fn key<'a>(&self, device: &'a DeviceKey) -> RingKey<'a> {
        if self.0.contains(&device.business_id) {
            RingKey::Device(device)
        } else {
            RingKey::Tenant(&device.business_id)
        }
    }
}

/// A member's part of the key space.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The member.
    pub node: NodeId,
    /// 0 to 1; all shares add up to 1.
    pub fraction: f64,
    /// Its points on the ring.
    pub points: u32,
}

/// The ring of one set of members.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Finds the first point at or after a key.
    points: HashRing<Point, Fixed>,
    /// All points in ring order: position and index into `nodes`.
    order: Vec<(u64, usize)>,
    /// The members, in order of id.
    nodes: Vec<NodeId>,
}

impl Ring {
    /// A ring of these members and their weights (100 is one unit; at least one point each).
    pub fn new(members: impl IntoIterator<Item = (NodeId, u32)>) -> Ring {
        let mut members: Vec<(NodeId, u32)> = members.into_iter().collect();
        if !seeded::on(Bug::TieByInsertion) {
            members = members.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
        }
        let mut placed = Vec::new();
        for (index, (node, weight)) in members.iter().enumerate() {
            let count = ((*weight).min(MAX_WEIGHT) * POINTS_PER_UNIT / 100).max(1);
            let name: Arc<str> = node.as_str().into();
            placed.extend((0..count).map(|k| Point { name: name.clone(), k, index, place: 0 }));
        }
        // The crate sorts by hash (stably) and tells no positions. Points that are in order before they
        // go in, and numbered, let a walk go on from wherever `get` lands.
        // Near is near enough for the defect: two equal hashes of 64 bits are never seen.
        let coarse = if seeded::on(Bug::TieByInsertion) { 52 } else { 0 };
        placed.sort_by_cached_key(|point| Fixed.hash_one(point) >> coarse);
        for (place, point) in placed.iter_mut().enumerate() {
            point.place = place;
        }
        let order = placed.iter().map(|point| (Fixed.hash_one(point), point.index)).collect();
        let mut points = HashRing::with_hasher(Fixed);
        points.batch_add(placed);
        Ring { points, order, nodes: members.into_iter().map(|(node, _)| node).collect() }
    }

    /// The ring of a view's members that take devices, now (active) or in a moment (joining): when many
    /// start at once, the first does not take everything.
    pub fn of(view: &View) -> Ring {
        Ring::new(takers(view).map(|member| (member.life.node.clone(), member.weight)))
    }

    /// The ring of the next view with its members in the order in which they came: what a ring is that is
    /// changed member by member. Only a planted defect wants it.
    pub(crate) fn grown(&self, view: &View) -> Ring {
        let weights: BTreeMap<&NodeId, u32> =
            takers(view).map(|member| (&member.life.node, member.weight)).collect();
        let stay = self.nodes.iter().filter(|node| weights.contains_key(node));
        let come = weights.keys().copied().filter(|node| !self.nodes.contains(node));
        Ring::new(stay.chain(come).map(|node| (node.clone(), weights[node])))
    }

    /// All members, each once, in the order in which they should try. Empty for an empty ring.
    pub fn preference(&self, key: RingKey<'_>) -> Vec<&NodeId> {
        let mut found = Vec::with_capacity(self.nodes.len());
        let Some(start) = self.points.get(&Bytes(&key.bytes())) else { return found };
        let mut seen = vec![false; self.nodes.len()];
        let (before, from) = self.order.split_at(start.place);
        for (_, index) in from.iter().chain(before) {
            if !std::mem::replace(&mut seen[*index], true) {
                found.push(&self.nodes[*index]);
                if found.len() == self.nodes.len() {
                    break;
                }
            }
        }
        found
    }

    /// The node at which this key is at home: the first of the preference.
    pub fn home(&self, key: RingKey<'_>) -> Option<&NodeId> {
        let start = self.points.get(&Bytes(&key.bytes()))?;
        self.nodes.get(start.index)
    }

    /// Each member's part of the key space, in order of node id.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> =
            self.nodes.iter().map(|node| Share { node: node.clone(), fraction: 0.0, points: 0 }).collect();
        // A point answers for the keys between its predecessor and itself.
        let mut before = self.order.last().map_or(0, |(position, _)| *position);
        for (position, index) in &self.order {
            let width = position.wrapping_sub(before);
            shares[*index].fraction += width as f64 / 2f64.powi(64);
            shares[*index].points += 1;
            before = *position;
        }
        if let [(_, only)] = self.order[..] {
            shares[only].fraction = 1.0;
        }
        shares
    }

    /// The members, in order of node id.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }
}

/// The members that are on the ring of a view: not those that give everything away, nor the cordoned.
pub fn takers(view: &View) -> impl Iterator<Item = &Member> {
    let takes = |member: &&Member| {
        !member.cordoned && matches!(member.state, MemberState::Active | MemberState::Joining)
    };
    view.members.iter().filter(takes)
}

/// One point of a member. Equality and order are the hash's business.
#[derive(Debug, Clone)]
struct Point {
    name: Arc<str>,
    k: u32,
    index: usize,
    place: usize,
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for bytes in [&b"m\0"[..], self.name.as_bytes(), b"\0", &self.k.to_be_bytes()] {
            state.write(bytes);
        }
    }
}

/// Bytes, hashed as they are: no length, no terminator, no endianness of the machine.
struct Bytes<'a>(&'a [u8]);

impl Hash for Bytes<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

/// SipHash-2-4 under a zero key: the same number everywhere, for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fixed;

impl BuildHasher for Fixed {
    type Hasher = SipHasher24;

    fn build_hasher(&self) -> SipHasher24 {
        SipHasher24::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_siphash_2_4_of_the_bytes_alone() {
        for bytes in [&b""[..], b"abc", b"seven b", b"eight by", b"m\0node-1\0\0\0\x01\xff"] {
            assert_eq!(Fixed.hash_one(Bytes(bytes)), siphash_2_4_zero_key(bytes));
        }
    }

    /// The algorithm written down a second time, straight from the paper.
    fn siphash_2_4_zero_key(bytes: &[u8]) -> u64 {
        fn round(v: &mut [u64; 4]) {
            v[0] = v[0].wrapping_add(v[1]);
            v[2] = v[2].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(13) ^ v[0];
            v[3] = v[3].rotate_left(16) ^ v[2];
            v[0] = v[0].rotate_left(32);
            v[2] = v[2].wrapping_add(v[1]);
            v[0] = v[0].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(17) ^ v[2];
            v[3] = v[3].rotate_left(21) ^ v[0];
            v[2] = v[2].rotate_left(32);
        }
        let mut v =
            [0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573];
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() / 8 * 8 + 7, 0);
        padded.push(bytes.len() as u8);
        for word in padded.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(*word);
            v[3] ^= word;
            round(&mut v);
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        (0..4).for_each(|_| round(&mut v));
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}
