//! The ring: golden vectors that pin it for ever, balance, and what a leaving member moves.

use proptest::prelude::*;
use roost_placement::ring::{Ring, RingKey, Spread};
use roost_proto::id::{BusinessId, DeviceKey, NodeId};

fn node(n: u32) -> NodeId {
    format!("node-{n}").parse().expect("a label")
}

fn ring(nodes: impl IntoIterator<Item = u32>) -> Ring {
    Ring::new(nodes.into_iter().map(|n| (node(n), 100)))
}

fn tenant(n: u32) -> BusinessId {
    format!("tenant-{n}").parse().expect("a label")
}

fn device(n: u32) -> DeviceKey {
    format!("tenants/tenant-{}/devices/device-{n}", n % 7).parse().expect("a name")
}

fn names(preference: Vec<&NodeId>) -> String {
    preference.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn golden_vectors_pin_the_ring() {
    let ring = ring(1..=4);
    let tenants: Vec<String> = (0..6).map(|n| names(ring.preference(RingKey::Tenant(&tenant(n))))).collect();
    let devices: Vec<String> = (0..6).map(|n| names(ring.preference(RingKey::Device(&device(n))))).collect();
    assert_eq!(tenants, TENANTS, "tenants");
    assert_eq!(devices, DEVICES, "devices");
}

/// Computed with a second implementation, in another language.
const TENANTS: [&str; 6] = [
    "node-1 node-4 node-3 node-2",
    "node-4 node-3 node-1 node-2",
    "node-1 node-4 node-3 node-2",
    "node-1 node-4 node-3 node-2",
    "node-3 node-4 node-2 node-1",
    "node-4 node-3 node-1 node-2",
];
const DEVICES: [&str; 6] = [
    "node-1 node-4 node-3 node-2",
    "node-2 node-1 node-3 node-4",
    "node-4 node-3 node-1 node-2",
    "node-4 node-2 node-3 node-1",
    "node-2 node-4 node-1 node-3",
    "node-2 node-1 node-3 node-4",
];

#[test]
fn an_empty_ring_prefers_nobody() {
    let ring = ring([]);
    assert!(ring.preference(RingKey::Tenant(&tenant(1))).is_empty());
    assert_eq!(ring.home(RingKey::Tenant(&tenant(1))), None);
    assert!(ring.shares().is_empty());
}

#[test]
fn shares_add_up_to_the_whole_and_follow_the_weights() {
    let ring = Ring::new([(node(1), 100), (node(2), 100), (node(3), 200)]);
    let shares = ring.shares();
    let sum: f64 = shares.iter().map(|share| share.fraction).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    assert_eq!(shares.iter().map(|share| share.points).collect::<Vec<_>>(), [256, 256, 512]);
    assert!((shares[2].fraction - 0.5).abs() < 0.08, "{shares:?}");
}

#[test]
fn ten_thousand_tenants_are_spread_evenly() {
    let ring = ring(0..10);
    let mut counts = std::collections::BTreeMap::new();
    for n in 0..10_000 {
        *counts.entry(ring.home(RingKey::Tenant(&tenant(n))).expect("not empty").clone()).or_insert(0u32) +=
            1;
    }
    let most = counts.values().max().expect("ten members");
    assert!(*most < 1250, "{counts:?}");
}

#[test]
fn a_large_tenant_is_hashed_by_device_and_a_small_one_is_not() {
    let small: Vec<DeviceKey> =
        (0..16).map(|n| format!("tenants/small/devices/d{n}").parse().expect("a name")).collect();
    let large: Vec<DeviceKey> =
        (0..17).map(|n| format!("tenants/large/devices/d{n}").parse().expect("a name")).collect();
    let mut spread = Spread::default();
    spread.add_large(small.iter().chain(&large), 33, 3);
    assert_eq!(spread.key(&small[0]), RingKey::Tenant(&small[0].business_id));
    assert_eq!(spread.key(&large[0]), RingKey::Device(&large[0]));
    let mut spread = Spread::default();
    spread.add_large(&large, 10_000, 3);
    assert_eq!(
        spread.key(&large[0]),
        RingKey::Tenant(&large[0].business_id),
        "17 of a mean of 3,333 is below 2 %"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_preference_names_each_member_once(count in 1u32..12, key in 0u32..1000) {
        let ring = ring(0..count);
        let preference = ring.preference(RingKey::Device(&device(key)));
        let distinct: std::collections::BTreeSet<_> = preference.iter().collect();
        prop_assert_eq!(distinct.len(), count as usize);
        prop_assert_eq!(preference.len(), count as usize);
        prop_assert_eq!(ring.home(RingKey::Device(&device(key))), preference.first().copied());
    }

    #[test]
    fn a_member_that_leaves_moves_exactly_its_own_keys(count in 2u32..10, leaver in 0u32..10, key in 0u32..100_000) {
        let leaver = leaver % count;
        let (before, after) = (ring(0..count), ring((0..count).filter(|n| *n != leaver)));
        let key = tenant(key);
        let gone = node(leaver);
        let mut expected = before.preference(RingKey::Tenant(&key));
        expected.retain(|node| **node != gone);
        prop_assert_eq!(after.preference(RingKey::Tenant(&key)), expected);
    }

    #[test]
    fn the_order_in_which_members_are_told_does_not_matter(mut order in Just((0u32..6).collect::<Vec<_>>()).prop_shuffle(), key in 0u32..1000) {
        let key = device(key);
        let shuffled = ring(order.iter().copied());
        order.sort_unstable();
        let sorted = ring(order);
        prop_assert_eq!(shuffled.preference(RingKey::Device(&key)), sorted.preference(RingKey::Device(&key)));
    }
}
