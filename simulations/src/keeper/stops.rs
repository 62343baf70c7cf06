//! The signals that ask a command to stop.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP of this process.
pub struct Stops {
    terminate: Signals,
    interrupt: Signals,
    /// `None` where whoever started this process wishes it to outlive the terminal, as `nohup` does.
    hangup: Option<Signals>,
}

impl Stops {
    /// From now on these signals do nothing but to be told here.
    pub fn listen() -> io::Result<Stops> {
        let hangup = if is_ignored(Signal::HUP) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Stops {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = hangup => Signal::HUP,
        }
    }
}

/// The exit code of a command that a signal has stopped, as a shell shows it.
pub fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask(&status).is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

fn mask(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_with_the_code_that_a_shell_shows() {
        assert_eq!([Signal::HUP, Signal::INT, Signal::TERM].map(exit_code), [129, 130, 143]);
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        assert_eq!(
            mask("Name:\troost\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"),
            Some(0x1001)
        );
        assert_eq!(mask("Name:\troost\n"), None);
    }
}
