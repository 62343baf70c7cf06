//! All members restart or are replaced one after the other: what moves where, by the plans of the drains alone.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use roost_placement::choice::Choice;
use roost_placement::ledger::{Desired, Member, MemberState, Ownership, View};
use roost_placement::plan::{Policy, plan};
use roost_placement::ring::{Ring, Spread};
use roost_placement::wish::{Surveyed, Wish};
use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life};

/// Devices that a drain gives away between two looks at the view.
const AT_ONCE: usize = 7;

struct Cluster {
    members: Vec<Member>,
    rows: Vec<Surveyed>,
    /// How often each device was given away.
    moves: BTreeMap<DeviceKey, usize>,
}

impl Cluster {
    /// Members `n0` to `n{members - 1}` of version 1, with so many devices each, and an empty one.
    fn with_a_spare(members: usize, each: usize) -> Cluster {
        let mut cluster = Cluster { members: Vec::new(), rows: Vec::new(), moves: BTreeMap::new() };
        for number in 0..=members {
            let life =
                Life { node: format!("n{number}").parse().expect("an id"), incarnation: Incarnation(1) };
            cluster.members.push(Member {
                life: life.clone(),
                address: String::new(),
                zone: String::new(),
                weight: 100,
                state: MemberState::Active,
                version: 1,
                owned: 0,
                remaining: Duration::from_secs(2),
                beats: 1,
                cordoned: false,
                reach: Default::default(),
                cut_off: false,
            });
            for device in 0..if number < members { each } else { 0 } {
                let key = format!("tenants/t{}/devices/d{number}-{device}", device % 3).parse();
                let key: DeviceKey = key.expect("a name");
                let (epoch, desired, wish) = (Epoch(1), Desired::Online, Wish::default());
                let owner = Some(life.clone());
                cluster.rows.push(Ownership { key, owner, epoch, desired, wish }.into());
            }
        }
        cluster
    }

    fn view(&self) -> View {
        let mut members = self.members.clone();
        for member in &mut members {
            let own = self.rows.iter().filter(|line| line.row.owner.as_ref() == Some(&member.life));
            member.owned = u32::try_from(own.count()).expect("few");
        }
        View { members, ..View::default() }
    }

    /// It drains and comes back empty, in its next life, speaking this version.
    fn restart(&mut self, place: usize, version: u32) {
        let old = self.members[place].life.clone();
        self.members[place].state = MemberState::Draining;
        loop {
            let own = self.rows.iter().filter(|line| line.row.owner.as_ref() == Some(&old));
            let some: Vec<Surveyed> = own.take(AT_ONCE).cloned().collect();
            if some.is_empty() {
                break;
            }
            let plan = plan(&self.view(), &Policy { rebalance: false, ..Policy::default() }, &some);
            assert_eq!(plan.moves.len(), some.len(), "every device finds a place");
            for line in plan.moves {
                *self.moves.entry(line.key.clone()).or_default() += 1;
                let row = self.rows.iter_mut().find(|other| other.row.key == line.key).expect("it is there");
                row.row.owner = Some(line.to);
            }
        }
        let member = &mut self.members[place];
        member.state = MemberState::Active;
        member.version = version;
        member.life.incarnation.0 += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn with_a_spare_member_a_rolling_restart_moves_each_device_once(members in 2usize..8, each in 1usize..40) {
        let mut cluster = Cluster::with_a_spare(members, each);
        for place in 0..members {
            cluster.restart(place, 1);
        }
        prop_assert_eq!(cluster.moves.len(), members * each);
        prop_assert!(cluster.moves.values().all(|moves| *moves == 1), "{:?}", cluster.moves);
    }

    #[test]
    fn an_upgrade_moves_nothing_to_the_old_version_while_the_new_has_room(members in 3usize..8, each in 1usize..40) {
        let mut cluster = Cluster::with_a_spare(members, each);
        cluster.members[members].version = 2;
        for place in 0..members {
            cluster.restart(place, 2);
        }
        prop_assert!(cluster.moves.values().all(|moves| *moves == 1), "{:?}", cluster.moves);
    }
}

#[test]
fn while_two_versions_share_the_cluster_the_newer_members_try_first_up_to_the_highest_wanted() {
    let mut cluster = Cluster::with_a_spare(4, 5);
    let order = |cluster: &Cluster, row: &Surveyed, max_version: Option<u32>| -> Vec<String> {
        let (view, spread) = (View { max_version, ..cluster.view() }, Spread::default());
        let ring = Ring::of(&view);
        let choice = Choice::new(&ring, &view, &spread);
        assert_eq!(
            choice.home(&row.row.key, &Wish::default()),
            choice.order(&row.row.key, &Wish::default()).first().copied()
        );
        choice.order(&row.row.key, &Wish::default()).into_iter().map(ToString::to_string).collect()
    };
    let row = cluster.rows[0].clone();
    let before = order(&cluster, &row, None);
    let last = before.last().expect("five members").clone();
    let newer = cluster.members.iter_mut().find(|member| member.life.node.as_str() == last);
    newer.expect("it is a member").version = 2;
    let after = order(&cluster, &row, None);
    assert_eq!((after[0].as_str(), &after[1..]), (last.as_str(), &before[..4]));
    assert_eq!(order(&cluster, &row, Some(2)), after);
    assert_eq!(order(&cluster, &row, Some(1)), before, "a version that is not wanted comes last");

    let first = cluster.members.iter_mut().find(|member| member.life.node.as_str() == before[0]);
    first.expect("it is a member").version = 3;
    let above = order(&cluster, &row, Some(1));
    assert_eq!((&above[..3], &above[3..]), (&before[1..4], &[last, before[0].clone()][..]));
}
