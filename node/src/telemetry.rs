//! Logs: one subscriber, as text for people or as JSON lines for machines, on standard error.
//!
//! What must hold: phone numbers, message texts and keys are never logged at any level (whoever logs
//! takes care; nothing here can). Metrics are elsewhere, traces do not exist yet.

use tracing::Subscriber;
use tracing_subscriber::Layer as _;
/// What is logged: a level, or targets with levels.
pub use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::TelemetryConfig;

/// Makes the subscriber the process's own. Returns `false` when there is one already.
pub fn install(config: &TelemetryConfig) -> bool {
    subscriber(config.json, config.level.clone(), std::io::stderr).try_init().is_ok()
}

/// A subscriber that writes to `writer`.
pub fn subscriber<W>(json: bool, level: Targets, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match json {
        true => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        false => layer.with_ansi(false).with_target(true).boxed(),
    };
    Box::new(tracing_subscriber::registry().with(layer.with_filter(level)))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_carry_fields_and_the_level_filters() {
        let kept = Kept::default();
        let writer = kept.clone();
        let level: Targets = "info".parse().expect("a level");
        let subscriber = subscriber(true, level, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(node = "n1", "started");
            tracing::debug!("not this");
        });
        let text = String::from_utf8(kept.0.lock().expect("not poisoned").clone()).expect("text");
        let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
        assert_eq!((line["message"].as_str(), line["node"].as_str()), (Some("started"), Some("n1")));
    }
}
