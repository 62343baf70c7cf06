//! Bounded load: how many devices a member may take.
//!
//! What must hold: a claimer never goes above its *own* bound, so the rule needs no agreement; the
//! bounds of all members together always leave room for every device; and when nobody takes a device
//! the bound gives way, because a device without an owner is worse than an uneven load. A bound never
//! takes a device away from anybody: that is the plan's.

use std::time::Duration;

use crate::ledger::{Member, MemberState, View};

/// A claimer stays below this many per cent of its weighted share.
pub const BOUND_PERCENT: u32 = 125;

/// A device that nobody took for this long relaxes the bounds, by 10 % for it and each further one.
pub const RELAX_EVERY: Duration = Duration::from_secs(1);

/// The most that a member of weight `weight` may own when `weights` is the sum over all active members:
/// `ceil(total · weight / weights · percent / 100)`. No weights, no bound.
pub fn bound(total: u64, weight: u32, weights: u64, percent: u32) -> u64 {
    if weights == 0 {
        return u64::MAX;
    }
    let product = u128::from(total) * u128::from(weight) * u128::from(percent);
    u64::try_from(product.div_ceil(u128::from(weights) * 100)).unwrap_or(u64::MAX)
}

/// The bound for a device that has waited for `waited`: 10 % more for each whole [`RELAX_EVERY`].
pub fn relaxed(bound: u64, waited: Duration) -> u64 {
    let steps = u64::try_from(waited.as_millis() / RELAX_EVERY.as_millis()).unwrap_or(u64::MAX);
    bound.saturating_mul(steps.saturating_mul(10).saturating_add(100)).div_ceil(100)
}

/// Devices that the bounds share out: what the living members own, and `orphans` that nobody living
/// does. What a cordoned member keeps is nobody else's load.
pub fn total(view: &View, orphans: usize) -> u64 {
    let shared = view.members.iter().filter(|member| !keeps(member));
    let owned: u64 = shared.map(|member| u64::from(member.owned)).sum();
    owned + orphans as u64
}

/// Whether a member holds on to what it has and takes nothing: cordoned, and not on its way out.
pub fn keeps(member: &Member) -> bool {
    member.cordoned && member.state != MemberState::Draining
}

/// Sum of the weights of these members.
pub fn weights<'a>(members: impl IntoIterator<Item = &'a Member>) -> u64 {
    members.into_iter().map(|member| u64::from(member.weight.max(1))).sum()
}

/// The members of a view that may be given devices now.
pub fn active(view: &View) -> impl Iterator<Item = &Member> {
    view.members.iter().filter(|member| member.state == MemberState::Active && !member.cordoned)
}

/// The fullest taker's load over its weighted share: 1 when all are even, or there is nothing to share.
pub fn unevenness(view: &View) -> f64 {
    let (total, weights) = (total(view, 0) as f64, weights(active(view)) as f64);
    let share = |member: &Member| total * f64::from(member.weight.max(1)) / weights;
    let load = |member: &Member| f64::from(member.owned) / share(member);
    if total == 0.0 { 1.0 } else { active(view).map(load).fold(1.0, f64::max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_rounded_up_so_that_everything_finds_a_place() {
        assert_eq!(bound(60, 100, 300, 125), 25);
        assert_eq!(bound(1, 100, 300, 125), 1);
        assert_eq!(bound(0, 100, 300, 125), 0);
    }

    #[test]
    fn a_bound_gives_way_by_a_tenth_for_each_second_of_waiting() {
        assert_eq!(relaxed(25, Duration::from_millis(999)), 25);
        assert_eq!(relaxed(25, Duration::from_secs(1)), 28);
        assert_eq!(relaxed(25, Duration::from_secs(10)), 50);
        assert_eq!(relaxed(1, Duration::from_secs(1)), 2);
    }

    #[test]
    fn weight_doubles_the_bound() {
        assert_eq!(bound(90, 200, 300, 100), 60);
        assert_eq!(bound(u64::MAX, u32::MAX, 1, 125), u64::MAX);
    }
}
