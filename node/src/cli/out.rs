//! Standard output, whose reader may be gone: `roost events tail … | head -1` has had enough after a line.
//!
//! What must hold: that is no failure and no panic, and nothing is asked of the cluster for a reader who is not there.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Writes to standard output, or ends the process when nobody reads it or it cannot be written.
pub(super) fn write(text: Arguments<'_>) {
    let Err(error) = std::io::stdout().lock().write_fmt(text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("standard output cannot be written: {error}");
    std::process::exit(1);
}
