//! The library's log, on standard error: one line each, level and module first.

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        eprintln!("{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Shows this level and above; `warn` when the text names no level.
pub fn start(level: &str) {
    log::set_max_level(level.parse().unwrap_or(LevelFilter::Warn));
    log::set_logger(&Stderr).expect("this is the only logger");
}
