//! Deliberate defects: the test of the tests. Each leaves out one guard that the design rests on, at exactly the
//! line where the guard is; the simulation has to find every one and name the invariant that it breaks.
//!
//! What must hold: without the feature `seeded-bugs`, which only tests ask for, [`on`] is the constant `false` and
//! nothing can plant a defect, so the product contains none. With it, a defect is planted for one thread and for
//! as long as [`Planted`] lives (the one global of this workspace: a switch that went through every constructor
//! would change the code that it is to judge).

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident => $invariant:literal,)*) => {
        /// A defect that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$name),*];

            /// The invariant that it breaks, as `design.md` section 6 names it.
            pub fn invariant(self) -> &'static str {
                match self { $(Bug::$name => $invariant,)* }
            }

            /// What is wrong, in one line.
            pub fn what(self) -> &'static str {
                match self { $(Bug::$name => concat!($($what),+).trim_ascii(),)* }
            }
        }
    };
}

bugs! {
    /// The fence compares the epoch in a plain WHERE and locks nothing.
    PlainFence => "fenced",
    /// One kind of write, the status of a device, goes past the fence.
    UnfencedStatus => "fenced",
    /// A claim finds ownerless devices through an anti-join.
    AntiJoinClaim => "no-early-death",
    /// A grant leaves the epoch as it was.
    EpochStays => "epochs-grow",
    /// A permit is given by the epoch alone, whatever is left of the lease.
    PermitByEpochAlone => "guarded-login",
    /// A login is sent without a permit.
    NoPermit => "guarded-login",
    /// The local deadline counts from the answer to a heartbeat.
    DeadlineFromAnswer => "one-owner",
    /// There is no local deadline.
    NoLocalDeadline => "one-owner",
    /// A device that was replaced dials again without asking the database.
    BlindRedial => "guarded-login",
    /// A message is settled before the commit that holds it.
    AckBeforeCommit => "ack-after-commit",
    /// A message goes on the wire before the commit that holds its bytes.
    WireBeforeCommit => "persist-first",
    /// A ratchet is committed before the event that it gave, in a transaction of its own.
    RatchetApart => "ack-after-commit",
    /// A heartbeat renews a row that says dead.
    DeadRenewed => "no-early-death",
    /// A slot is taken when its lease is over by the database's clock, whether or not its holder was seen to stand still.
    JoinByDatabaseClock => "no-early-death",
    /// A process that comes back takes the incarnation that its node had before.
    IncarnationReused => "no-early-death",
    /// A member buries others right after a gap in its own renewals.
    NoQuarantine => "quarantine",
    /// A member is buried while its lease runs.
    EarlyBurial => "no-early-death",
    /// A hand-off gives the row away before the device has stopped and flushed.
    GiveBeforeFlush => "stopped",
    /// What was encrypted is on the wire, but the next owner encrypts it again with the ratchet as it was.
    EncryptedAgain => "no-key-reuse",
    /// Prekeys are numbered from the beginning again once all before are uploaded, by the next owner too.
    PrekeyNumberedAgain => "no-key-reuse",
    /// The sequence of an event is counted in the owner's memory.
    SequenceFromCache => "gapless",
    /// The position of a consumer moves before it was offered the events.
    PositionFirst => "deliver",
    /// Of nodes that stand equally near on the ring, the one that was put in first wins.
    TieByInsertion => "converge",
    /// A node that drains goes on taking devices.
    DrainAccepts => "stopped",
    /// A commit whose outcome is unknown is repeated as if it were another one.
    CommittedTwice => "ack-after-commit",
    /// The connection of a device that has stopped goes on reading and writing.
    LeftRunning => "stopped",
}

/// Whether this defect is planted.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn on(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "seeded-bugs")]
pub use self::planting::{Planted, on, plant};

#[cfg(feature = "seeded-bugs")]
mod planting {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this defect is planted in this thread.
    pub fn on(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a defect in this thread, until the guard is dropped.
    pub fn plant(bug: Bug) -> Planted {
        Planted { before: PLANTED.replace(Some(bug)), of_this_thread: PhantomData }
    }

    /// A defect is planted.
    #[must_use = "the defect is gone when this is dropped"]
    pub struct Planted {
        before: Option<Bug>,
        of_this_thread: PhantomData<*const ()>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_defect_is_planted_for_one_thread_while_its_guard_lives() {
            let planted = plant(Bug::NoLocalDeadline);
            assert!(on(Bug::NoLocalDeadline) && !on(Bug::BlindRedial));
            let elsewhere = std::thread::spawn(|| on(Bug::NoLocalDeadline)).join();
            assert!(!elsewhere.expect("it does not panic"));
            drop(planted);
            assert!(!on(Bug::NoLocalDeadline));
        }
    }
}
