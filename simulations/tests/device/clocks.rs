//! Clocks of a node whose lease can be taken away, at once or between two looks, and whose calendar can be turned.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use roost_actors::port::Clocks;
use roost_placement::lease::BootTime;
use roost_proto::id::{Age, UnixMillis};

/// Looks that no test has.
const ALWAYS: u64 = u64::MAX;

pub(crate) struct NodeClocks {
    begin: Instant,
    /// How often the lease is still found good.
    good: AtomicU64,
    /// How often it was found to be over.
    over: AtomicU64,
    ahead: AtomicI64,
    age: AtomicI64,
}

impl NodeClocks {
    pub(crate) fn new() -> NodeClocks {
        NodeClocks {
            begin: Instant::now(),
            good: AtomicU64::new(ALWAYS),
            over: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            age: AtomicI64::new(0),
        }
    }

    pub(crate) fn may_act(&self, act: bool) {
        self.good.store(if act { ALWAYS } else { 0 }, Ordering::SeqCst);
    }

    /// The lease is good for whoever looks next, and over for those who look after that.
    pub(crate) fn lapses_after_a_look(&self) {
        self.good.store(1, Ordering::SeqCst);
    }

    /// How often somebody has found the lease over.
    pub(crate) fn lapses_seen(&self) -> u64 {
        self.over.load(Ordering::SeqCst)
    }

    /// So many days pass on the calendar.
    pub(crate) fn days_pass(&self, days: i64) {
        self.ahead.fetch_add(days * 24 * 3600 * 1000, Ordering::SeqCst);
    }

    /// The node hears in which age the database is.
    pub(crate) fn age_is(&self, age: i64) {
        self.age.store(age, Ordering::SeqCst);
    }
}

impl Clocks for NodeClocks {
    fn boot(&self) -> BootTime {
        BootTime(1).plus(self.begin.elapsed())
    }

    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).expect("this age") + self.ahead.load(Ordering::SeqCst))
    }

    fn may_act(&self) -> bool {
        let look = |good: u64| if good == ALWAYS { Some(good) } else { good.checked_sub(1) };
        let act = self.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, look).is_ok();
        if !act {
            self.over.fetch_add(1, Ordering::SeqCst);
        }
        act
    }

    fn age(&self) -> Age {
        Age(self.age.load(Ordering::SeqCst))
    }

    fn trusted(&self) -> Age {
        Age::default()
    }
}
