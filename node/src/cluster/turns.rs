//! Whose turn it is to log in: a token bucket, the more urgent first, fair between tenants. Pure.
//!
//! What must hold: no second has more turns than the rate, whatever was saved up before it; so many at once at
//! most as the burst; within one urgency the tenants take turns, so that a tenant of 9,000 devices does not starve
//! one of three; a place that is given up costs nobody a turn. Time is passed in; who waits is a number.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use roost_actors::port::Urgency;
use roost_placement::lease::BootTime;
use roost_proto::id::BusinessId;

/// Waiting devices of one urgency: tenants in rotation, and each tenant's own line.
#[derive(Debug, Default)]
struct Line {
    rotation: VecDeque<BusinessId>,
    waiting: BTreeMap<BusinessId, VecDeque<u64>>,
}

impl Line {
    fn push(&mut self, tenant: &BusinessId, waiter: u64) {
        let line = self.waiting.entry(tenant.clone()).or_default();
        if line.is_empty() {
            self.rotation.push_back(tenant.clone());
        }
        line.push_back(waiter);
    }

    fn pop(&mut self) -> Option<u64> {
        let tenant = self.rotation.pop_front()?;
        let line = self.waiting.get_mut(&tenant)?;
        let waiter = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.rotation.push_back(tenant);
        }
        waiter
    }

    fn remove(&mut self, tenant: &BusinessId, waiter: u64) -> bool {
        let Some(line) = self.waiting.get_mut(tenant) else { return false };
        let before = line.len();
        line.retain(|other| *other != waiter);
        let removed = line.len() < before;
        if line.is_empty() {
            self.waiting.remove(tenant);
            self.rotation.retain(|other| other != tenant);
        }
        removed
    }

    fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }
}

/// Nobody waits for ever: the slowest rate, turns per second.
const SLOWEST: f64 = 0.001;

/// The turns of one node.
#[derive(Debug)]
pub struct Turns {
    /// Turns per second.
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: BootTime,
    /// When the last turns were, as far back as the rate is counted.
    taken: VecDeque<BootTime>,
    lines: BTreeMap<Urgency, Line>,
}

impl Turns {
    /// `rate` per second, more than zero; `burst` at once, at least one.
    pub fn new(rate: f64, burst: u32, now: BootTime) -> Turns {
        let burst = f64::from(burst.max(1));
        Turns {
            rate: rate.max(SLOWEST),
            burst,
            tokens: burst,
            filled: now,
            taken: VecDeque::new(),
            lines: BTreeMap::new(),
        }
    }

    /// Changes the rate from `now` on.
    pub fn set_rate(&mut self, rate: f64, now: BootTime) {
        self.fill(now);
        self.rate = rate.max(SLOWEST);
    }

    fn fill(&mut self, now: BootTime) {
        let passed = now.since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        let (_, span) = self.limit();
        while self.taken.front().is_some_and(|turn| now.since(*turn) >= span) {
            self.taken.pop_front();
        }
    }

    /// So many turns in so long a span, a second or little more: what the rate is when turns are whole.
    fn limit(&self) -> (usize, Duration) {
        let turns = self.rate.ceil();
        (turns as usize, Duration::from_secs_f64(turns / self.rate))
    }

    /// Takes a place at the end of the tenant's line.
    pub fn wait(&mut self, tenant: &BusinessId, waiter: u64, urgency: Urgency) {
        self.lines.entry(urgency).or_default().push(tenant, waiter);
    }

    /// Gives up a place; `false` when the turn had come already.
    pub fn give_up(&mut self, tenant: &BusinessId, waiter: u64) -> bool {
        self.lines.values_mut().any(|line| line.remove(tenant, waiter))
    }

    /// Whose turn it is at `now`, in order.
    pub fn due(&mut self, now: BootTime) -> Vec<u64> {
        self.fill(now);
        let mut due = Vec::new();
        let (limit, _) = self.limit();
        while self.tokens >= 1.0 && self.taken.len() < limit {
            let Some(waiter) = self.lines.values_mut().find_map(Line::pop) else { break };
            self.tokens -= 1.0;
            self.taken.push_back(now);
            due.push(waiter);
        }
        due
    }

    /// How long after `now` the next turn comes, when `due` was asked just before; `None` when nobody waits.
    pub fn next(&self, now: BootTime) -> Option<Duration> {
        let token = Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.rate);
        let (limit, span) = self.limit();
        let first = self.taken.len().checked_sub(limit).and_then(|over| self.taken.get(over));
        let place = first.map_or(Duration::ZERO, |turn| turn.plus(span).since(now));
        (!self.is_empty()).then_some(token.max(place))
    }

    /// The time between two turns at the full rate.
    pub fn slot(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lines.values().map(Line::len).sum()
    }

    /// How many wait with this urgency.
    pub fn waiting(&self, urgency: Urgency) -> usize {
        self.lines.get(&urgency).map_or(0, Line::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    fn tenant(name: &str) -> BusinessId {
        name.parse().expect("a label")
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut turns = Turns::new(10.0, 3, at(0));
        (0..20).for_each(|waiter| turns.wait(&tenant("a"), waiter, Urgency::Idle));
        assert_eq!(turns.due(at(0)), [0, 1, 2]);
        assert_eq!(turns.due(at(50)), Vec::<u64>::new());
        assert_eq!(turns.due(at(100)), [3]);
        assert_eq!(turns.due(at(1100)).len(), 3, "idle time saves up one burst at most");
    }

    #[test]
    fn no_second_has_more_turns_than_the_rate_although_a_burst_was_saved_up() {
        let mut turns = Turns::new(50.0, 30, at(0));
        (0..1000).for_each(|waiter| {
            turns.wait(&tenant("a"), waiter, if waiter % 3 == 0 { Urgency::Urgent } else { Urgency::Idle })
        });
        let mut times = Vec::new();
        for step in 0..2000 {
            times.extend(turns.due(at(step * 7)).iter().map(|_| step * 7));
        }
        for (first, from) in times.iter().enumerate() {
            let within = times[first..].iter().take_while(|time| **time < from + 1000).count();
            assert!(within <= 50, "{within} in one second");
        }
        assert!(times.len() > 680, "fourteen seconds at nearly the rate: {}", times.len());
    }

    #[test]
    fn a_rate_that_is_no_whole_number_is_kept_over_time() {
        let mut turns = Turns::new(1.6, 10, at(0));
        (0..1000).for_each(|waiter| turns.wait(&tenant("a"), waiter, Urgency::Idle));
        let mut now = at(0);
        let mut taken = 0;
        while now < at(100_000) {
            taken += turns.due(now).len();
            now = now.plus(turns.next(now).expect("many wait").max(Duration::from_millis(1)));
        }
        assert!((158..=162).contains(&taken), "{taken} in 100 s");
    }

    #[test]
    fn a_small_tenant_does_not_wait_for_a_large_one() {
        let mut turns = Turns::new(4.0, 4, at(0));
        (0..9000).for_each(|waiter| turns.wait(&tenant("large"), waiter, Urgency::Idle));
        (9000..9002).for_each(|waiter| turns.wait(&tenant("small"), waiter, Urgency::Idle));
        assert_eq!(turns.due(at(0)), [0, 9000, 1, 9001]);
    }

    #[test]
    fn the_more_urgent_go_first() {
        let mut turns = Turns::new(4.0, 4, at(0));
        for (waiter, urgency) in
            [Urgency::Warm, Urgency::Idle, Urgency::Recent, Urgency::Urgent].iter().enumerate()
        {
            turns.wait(&tenant("a"), waiter as u64, *urgency);
        }
        assert_eq!(turns.due(at(0)), [3, 2, 1, 0]);
    }

    #[test]
    fn a_new_rate_counts_from_the_moment_of_its_change() {
        let mut turns = Turns::new(10.0, 1, at(0));
        (0..20).for_each(|waiter| turns.wait(&tenant("a"), waiter, Urgency::Idle));
        assert_eq!(turns.due(at(0)), [0]);
        turns.set_rate(1.0, at(50));
        assert_eq!(turns.due(at(100)), Vec::<u64>::new(), "half a turn and a bit");
        assert_eq!(turns.due(at(600)), Vec::<u64>::new(), "a whole turn, and one was less than a second ago");
        assert_eq!(turns.due(at(1000)), [1]);
    }

    #[test]
    fn a_place_that_is_given_up_costs_nobody_a_turn() {
        let mut turns = Turns::new(1.0, 1, at(0));
        turns.wait(&tenant("a"), 1, Urgency::Idle);
        turns.wait(&tenant("b"), 2, Urgency::Idle);
        assert!(turns.give_up(&tenant("a"), 1));
        assert_eq!(turns.due(at(0)), [2]);
        assert!(!turns.give_up(&tenant("b"), 2), "it had its turn");
        assert_eq!(turns.next(at(0)), None);
    }
}
