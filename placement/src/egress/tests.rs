//! When devices leave a node whose way is broken, when they do not, and when it takes some again.

use roost_proto::id::{Incarnation, Life};

use super::*;

const PATIENCE: Patience =
    Patience { probe: Duration::from_secs(5), back: Duration::from_secs(30), rest: Duration::from_secs(600) };

fn at(seconds: u64) -> BootTime {
    BootTime(seconds * 1_000_000_000)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn reach(connected: u32, failing: u32) -> Reach {
    Reach { connected, failing, heard: Some(secs(1)) }
}

fn node(n: usize) -> NodeId {
    format!("n{n}").parse().expect("a label")
}

/// Members `n1`, `n2`, … that get through like this.
fn view(members: &[Reach]) -> View {
    let member = |(n, reach): (usize, &Reach)| Member {
        life: Life { node: node(n + 1), incarnation: Incarnation(1) },
        address: String::new(),
        zone: String::new(),
        weight: 100,
        state: MemberState::Active,
        version: 1,
        owned: reach.connected + reach.failing,
        remaining: secs(1),
        beats: 1,
        cordoned: false,
        reach: *reach,
        cut_off: false,
    };
    View { members: members.iter().enumerate().map(member).collect(), ..View::default() }
}

fn judged(view: &View) -> Result<(), Keeps> {
    judge(view, &node(1), secs(8))
}

/// What `n1` makes of it at that second.
fn weigh(egress: &mut Egress, view: &View, second: u64) -> bool {
    egress.see(view.members[0].reach, at(second));
    egress.weigh(view, &node(1), &Timing::FAST, &PATIENCE, at(second))
}

#[test]
fn a_node_whose_devices_fail_while_others_are_heard_gives_them_away() {
    let view = view(&[reach(7, 3), reach(10, 0), reach(10, 0)]);
    assert_eq!(judged(&view), Ok(()));
    let mut egress = Egress::default();
    assert!(weigh(&mut egress, &view, 100) && egress.is_away());
    assert!(!weigh(&mut egress, &view, 101), "once");
}

#[test]
fn fewer_than_three_of_ten_that_fail_are_no_reason() {
    let mut egress = Egress::default();
    assert!(!weigh(&mut egress, &view(&[reach(8, 3), reach(10, 0)]), 100));
    assert!(!reach(0, 0).is_broken() && !reach(5, 0).is_broken() && reach(0, 1).is_broken());
}

#[test]
fn a_way_that_is_broken_counts_as_broken_until_few_fail() {
    let mut egress = Egress::default();
    egress.see(reach(7, 3), at(1));
    egress.see(reach(8, 2), at(2));
    assert!(egress.broken.is_some(), "a fifth still fails");
    egress.see(reach(9, 1), at(3));
    assert!(egress.broken.is_none());
}

#[test]
fn nothing_leaves_when_everybody_fails_alike() {
    assert_eq!(judged(&view(&[reach(0, 9), reach(0, 9), reach(1, 9)])), Err(Keeps::AllFail));
    let most = view(&[reach(0, 9), reach(0, 9), reach(0, 9), reach(9, 0)]);
    assert_eq!(judged(&most), Err(Keeps::AllFail), "two of the three others fail");
    let half = view(&[reach(0, 9), reach(0, 9), reach(9, 0)]);
    assert_eq!(judged(&half), Ok(()), "one of the two others gets there");
}

#[test]
fn who_drains_for_its_own_way_counts_as_failing_also_when_it_has_no_device_left() {
    let mut all = view(&[reach(0, 9), reach(0, 0), reach(0, 0), reach(9, 0)]);
    for member in &mut all.members[1..=2] {
        (member.cut_off, member.state) = (true, MemberState::Draining);
    }
    assert_eq!(judged(&all), Err(Keeps::AllFail));
}

#[test]
fn a_single_node_and_one_that_nobody_can_relieve_keep_their_devices() {
    assert_eq!(judged(&view(&[reach(0, 9)])), Err(Keeps::Alone));
    let mut two = view(&[reach(0, 9), reach(9, 0)]);
    two.members[1].cordoned = true;
    assert_eq!(judged(&two), Err(Keeps::Alone), "cordoned");
    (two.members[1].cordoned, two.members[1].state) = (false, MemberState::Draining);
    assert_eq!(judged(&two), Err(Keeps::Alone), "draining");
    (two.members[1].state, two.members[1].remaining) = (MemberState::Active, Duration::ZERO);
    assert_eq!(judged(&two), Err(Keeps::Alone), "silent");
    two.members[1].remaining = secs(1);
    assert_eq!(judged(&two), Ok(()));
}

#[test]
fn what_others_heard_before_the_trouble_began_shows_nothing() {
    let mut two = view(&[reach(0, 9), reach(9, 0)]);
    for (heard, judged_so) in [(None, Err(Keeps::NobodyKnown)), (Some(secs(12)), Err(Keeps::NobodyKnown))] {
        two.members[1].reach.heard = heard;
        assert_eq!(judged(&two), judged_so);
    }
    let mut egress = Egress::default();
    assert!(!weigh(&mut egress, &two, 100), "connections that look alive may be dead");
    assert!(weigh(&mut egress, &two, 104), "12 s ago is younger than the trouble now");
}

#[test]
fn an_operators_freeze_holds_the_devices_where_they_are() {
    let mut two = view(&[reach(0, 9), reach(9, 0)]);
    two.frozen = true;
    let mut egress = Egress::default();
    assert!(!weigh(&mut egress, &two, 100));
    two.frozen = false;
    assert!(weigh(&mut egress, &two, 101));
}

#[test]
fn it_comes_back_when_probes_have_got_through_for_a_while_and_then_stays_longer_each_time() {
    let broken = view(&[reach(0, 9), reach(9, 0)]);
    let mut egress = Egress::default();
    assert!(weigh(&mut egress, &broken, 100));
    for (second, got_through) in [(110, true), (120, false), (130, true), (159, true)] {
        assert!(egress.probe(&broken, &node(1), &PATIENCE, at(second)));
        assert!(!egress.probe(&broken, &node(1), &PATIENCE, at(second + 9)), "one at a time");
        egress.probed(got_through, at(second));
        assert!(!weigh(&mut egress, &broken, second), "at {second} s");
    }
    assert!(weigh(&mut egress, &broken, 160) && !egress.is_away());
    assert!(!weigh(&mut egress, &broken, 161));
    assert!(!weigh(&mut egress, &broken, 759), "ten minutes after the first return");
    assert!(weigh(&mut egress, &broken, 760));
    egress.probed(true, at(800));
    assert!(weigh(&mut egress, &broken, 830));
    assert!(!weigh(&mut egress, &broken, 2029), "twenty after the second");
    assert!(weigh(&mut egress, &broken, 2030));
}

#[test]
fn it_comes_back_at_once_when_nobody_else_is_left_to_take_devices() {
    let mut two = view(&[reach(0, 9), reach(9, 0)]);
    let mut egress = Egress::default();
    assert!(weigh(&mut egress, &two, 100));
    two.members[1].remaining = Duration::ZERO;
    assert!(!weigh(&mut egress, &two, 101), "it may only be late");
    two.members.truncate(1);
    assert!(weigh(&mut egress, &two, 102) && !egress.is_away());
}

#[test]
fn an_idle_node_tries_its_way_when_another_fails_and_only_then() {
    let mut two = view(&[reach(0, 0), reach(9, 0)]);
    let mut egress = Egress::default();
    egress.see(Reach::default(), at(100));
    assert!(!egress.probe(&two, &node(1), &PATIENCE, at(100)));
    two.members[1].reach = reach(0, 9);
    assert!(egress.probe(&two, &node(1), &PATIENCE, at(101)));
    egress.probed(true, at(102));
    assert_eq!(egress.reach(at(104)).heard, Some(secs(2)), "and those that fail can know");
    egress.see(reach(1, 0), at(110));
    assert!(!egress.probe(&two, &node(1), &PATIENCE, at(110)), "its devices tell");
}

#[test]
fn people_are_told_why_a_device_goes_or_stays() {
    let mut view = view(&[reach(0, 9), reach(9, 0)]);
    let said = |view: &View, first: Option<&NodeId>| next(view, &view.members[0], first).unwrap_or_default();
    assert!(said(&view, None).contains("for 9 of its devices, and others do: it should drain"));
    view.frozen = true;
    assert!(said(&view, None).contains("frozen"));
    view.frozen = false;
    view.members[1].reach = reach(0, 9);
    assert!(said(&view, None).contains("neither do the others"));
    view.members[1].reach.heard = None;
    view.members[1].reach.failing = 0;
    assert!(said(&view, None).contains("until another node is known to reach it"));
    view.members[1].cordoned = true;
    assert!(said(&view, None).contains("no other node could take them"));
    view.members[0].cut_off = true;
    assert!(said(&view, Some(&node(2))).contains("egress drain): it should hand the device to n2"));
    assert!(said(&view, None).contains("nobody can take the device: it stays"));
    view.members[0] = Member { cut_off: false, reach: reach(9, 0), ..view.members[0].clone() };
    assert_eq!(next(&view, &view.members[0], None), None);
}
