//! Checkers: one small file per invariant of `design.md` section 6, each a judge of a history.
//!
//! What must hold: a checker knows only facts, so the same checkers judge every kind of run; it says what it
//! saw in one line that names the devices and lives involved; each can fail, which a test shows.

use crate::history::Fact;

/// One invariant.
pub trait Check: Send {
    /// As `design.md` section 6 names it.
    fn name(&self) -> &'static str;

    /// Takes one fact in.
    ///
    /// # Errors
    /// The invariant does not hold: what was seen, in one line.
    fn see(&mut self, fact: &Fact) -> Result<(), String>;

    /// The run is over at this microsecond.
    ///
    /// # Errors
    /// The invariant does not hold: what was missing, in one line.
    fn end(&mut self, at: u64) -> Result<(), String> {
        let _ = at;
        Ok(())
    }
}
