//! What a node counts, and the text that Prometheus reads.
//!
//! What must hold: the recorder is a value, so that several nodes fit in one process; no label is a
//! device, a tenant or a phone number, because their number has no bound; names and meanings are part of
//! the contract with whoever has built an alert on them.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

static METADATA: Metadata<'static> = Metadata::new("roost", Level::INFO, None);

/// Names, units and meanings, for the `# HELP` lines.
const COUNTERS: [(&str, &str); 18] = [
    ("roost_grpc_requests_total", "Calls that have ended, by service, method, code and reason."),
    ("roost_forwarded_requests_total", "Calls forwarded to the owner of a device, by result."),
    (
        "roost_sends_total",
        "Messages by type and result: accepted, or the reason of a refusal; of any type sent, failed.",
    ),
    ("roost_idempotent_replays_total", "Sends that were answered with an earlier message."),
    ("roost_events_appended_total", "Events written to the log, by kind."),
    ("roost_events_expired_total", "Events removed by retention."),
    ("roost_fence_rejections_total", "Reads and writes that the fence refused, by operation."),
    ("roost_ownership_transitions_total", "Devices that this node gained, by reason."),
    ("roost_devices_moved_total", "Devices that this node handed off, by reason."),
    ("roost_device_connect_total", "Logins to WhatsApp, by result."),
    ("roost_client_outdated_total", "Logins that WhatsApp refused because the client is too old (405)."),
    (
        "roost_owner_violations_total",
        "Devices that ran on this node and were claimed by another life in the very next epoch, as their history says, \
         while this node's own permit to act still ran when it learned of it. Gifts, releases, deletions, lost tails and \
         leases that had run out are none. Must be 0; a machine that stood still with its clock can cause one.",
    ),
    (
        "roost_egress_drains_total",
        "Times that this node gave its devices away because it could not reach WhatsApp and others could.",
    ),
    ("roost_stream_replaced_total", "Connections that WhatsApp ended for another one, by origin."),
    ("roost_event_deliveries_total", "Events handed to consumers, by result."),
    ("roost_media_uploaded_bytes_total", "Bytes of files that callers uploaded."),
    ("roost_media_downloaded_bytes_total", "Bytes of files that callers downloaded."),
    ("roost_media_expired_total", "Uploaded files that were removed when their time was over."),
];

const GAUGES: [(&str, &str); 16] = [
    ("roost_nodes", "Members of the cluster as this node sees them, by state."),
    ("roost_ring_version", "View epoch of the ring that this node uses."),
    ("roost_node_lease_remaining_seconds", "How long this node may act without another heartbeat."),
    ("roost_devices", "Devices on this node, by state."),
    ("roost_reachout_locked_devices", "Devices on this node that WhatsApp has locked for new chats."),
    ("roost_capped_devices", "Devices on this node that have used up WhatsApp's quota of new chats."),
    ("roost_connect_queue_length", "Devices on this node that wait for their turn to log in, by urgency."),
    ("roost_connect_rate", "Logins per second that this node allows itself at present."),
    ("roost_devices_unowned", "Devices that are wanted online and that no living node holds."),
    ("roost_devices_pinned_unplaceable", "Devices that wait for the node that they require."),
    (
        "roost_devices_unreachable",
        "Devices on this node that have failed to reach WhatsApp for ten seconds or more.",
    ),
    (
        "roost_egress_drained",
        "1 while this node has its devices elsewhere because it cannot reach WhatsApp and others can.",
    ),
    ("roost_nodes_cordoned", "Members that take nothing new."),
    ("roost_placement_frozen", "1 while an operator has stopped all rebalancing."),
    ("roost_max_mean_load", "The fullest member's load over its weighted share."),
    ("roost_open_streams", "Streams of callers that are open on this node."),
];

const HISTOGRAMS: [(&str, &str); 8] = [
    ("roost_grpc_duration_seconds", "How long calls took, by service and method."),
    (
        "roost_takeover_duration_seconds",
        "Phases of take-overs: detect (from the last heartbeat seen, once for each death), claim (from that news to \
         the grants), connect and first_event (from opening a device).",
    ),
    ("roost_handoff_duration_seconds", "From the order to stop a device until the grant of the new owner."),
    (
        "roost_handoff_pause_seconds",
        "From that order until the device is online here, by target: warm, cold.",
    ),
    (
        "roost_pacing_delay_seconds",
        "How long messages were held back by the pace of their device, or by WhatsApp's lock.",
    ),
    ("roost_lease_renew_duration_seconds", "Heartbeats to the store."),
    ("roost_commit_duration_seconds", "Transactions of devices, waiting for the group included."),
    ("roost_send_duration_seconds", "Stages of a send: accept (until it is durable, forwarding included)."),
];

/// The metrics of one node. Cloning gives the same metrics.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// A recorder of its own.
    pub fn new() -> Metrics {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).expect("the buckets are not empty");
        let recorder = Arc::new(builder.build_recorder());
        for (name, text) in COUNTERS {
            recorder.describe_counter(name.into(), None, text.into());
        }
        for (name, text) in GAUGES {
            recorder.describe_gauge(name.into(), None, text.into());
        }
        for (name, text) in HISTOGRAMS {
            recorder.describe_histogram(name.into(), Some(Unit::Seconds), text.into());
        }
        let handle = recorder.handle();
        Metrics { recorder, handle }
    }

    /// Adds one to a counter.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.add(name, labels, 1);
    }

    /// Adds to a counter.
    pub fn add(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        self.recorder.register_counter(&key(name, labels), &METADATA).increment(by);
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], to: f64) {
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(to);
    }

    /// Adds to a gauge; negative values take away.
    pub fn shift(&self, name: &'static str, labels: &[(&'static str, &str)], by: f64) {
        self.recorder.register_gauge(&key(name, labels), &METADATA).increment(by);
    }

    /// Puts a duration into a histogram.
    pub fn time(&self, name: &'static str, labels: &[(&'static str, &str)], took: Duration) {
        self.recorder.register_histogram(&key(name, labels), &METADATA).record(took.as_secs_f64());
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        // Histograms keep their samples until they are drained.
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|&(label, value)| Label::new(label, value.to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_in_one_process_count_apart() {
        let (one, two) = (Metrics::new(), Metrics::new());
        one.count("roost_sends_total", &[("type", "text"), ("result", "accepted")]);
        one.time("roost_send_duration_seconds", &[("stage", "accept")], Duration::from_millis(3));
        one.set("roost_nodes", &[("state", "active")], 3.0);
        let text = one.render();
        assert!(text.contains("roost_sends_total{type=\"text\",result=\"accepted\"} 1"), "{text}");
        assert!(text.contains("roost_nodes{state=\"active\"} 3"), "{text}");
        assert!(
            text.contains("roost_send_duration_seconds_bucket{stage=\"accept\",le=\"0.005\"} 1"),
            "{text}"
        );
        assert!(text.contains("# HELP roost_sends_total "), "{text}");
        assert!(!two.render().contains("accepted"));
    }
}
