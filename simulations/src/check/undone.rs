//! What a checker believes when the database loses its tail: what it has seen of the rows is undone with them.
//!
//! What must hold: only what the database took is undone, and only from where its standby heard nothing more; what
//! nodes, WhatsApp and callers did in that time has happened, and what they do because of it is still to come. A
//! checker that is not wrapped excuses nothing: keys, epochs and bytes on the wire are once and for all.

use super::Check;
use crate::history::{Fact, What};

/// A checker of what the rows say.
pub(super) struct Undone<C> {
    believes: C,
    /// What the standby has, and what happened since.
    standby: Option<(C, Vec<Fact>)>,
}

impl<C> Undone<C> {
    pub(super) fn new(believes: C) -> Undone<C> {
        Undone { believes, standby: None }
    }
}

impl<C: Check + Clone> Check for Undone<C> {
    fn name(&self) -> &'static str {
        self.believes.name()
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::StandbyBehind => self.standby = Some((self.believes.clone(), Vec::new())),
            What::TailLost { .. } => {
                if let Some((before, since)) = self.standby.take() {
                    self.believes = before;
                    let (stored, others): (Vec<_>, Vec<_>) =
                        since.iter().partition(|fact| fact.what.is_stored());
                    stored.into_iter().for_each(|fact| self.believes.forget(fact));
                    // Each was judged when it happened, by the rows of that time.
                    others.into_iter().for_each(|fact| drop(self.believes.see(fact)));
                }
            }
            _ => {
                if let Some((_, since)) = &mut self.standby {
                    since.push(fact.clone());
                }
            }
        }
        self.believes.see(fact)
    }

    fn end(&mut self, at: u64) -> Result<(), String> {
        self.believes.end(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fenced::Fenced;
    use super::super::scene::{committed, grant, granted, judge};
    use super::*;
    use crate::history::How;

    #[test]
    fn what_the_lost_tail_granted_was_never_granted_and_what_was_before_stands_again() {
        let history = |end: What| {
            let (behind, lost) = (What::StandbyBehind, What::TailLost { since: 2_000_000 });
            let given = granted(&grant(2, 2), How::Claim);
            [granted(&grant(1, 1), How::Claim), behind, given, committed(&grant(2, 2), 1), lost, end]
        };
        assert_eq!(judge(Undone::new(Fenced::default()), history(committed(&grant(1, 1), 1))), None);
        assert!(judge(Undone::new(Fenced::default()), history(committed(&grant(2, 2), 2))).is_some());
    }
}
