//! What a configuration may say and what is refused, field by field.

use super::fields::slot_of_host;
use super::*;

fn judged(text: &str) -> Result<Config, ConfigError> {
    let mut layers = Layers::defaults();
    layers.file("[node]\nid = \"n1\"\n").expect("a known key");
    layers.file(text)?;
    validate(&layers)
}

fn refusal(text: &str) -> String {
    judged(text).expect_err("this must be refused").to_string()
}

#[test]
fn the_defaults_are_valid_and_listen_on_loopback_only() {
    let config = judged("").expect("the defaults");
    assert!(config.listen.grpc.ip().is_loopback() && config.listen.http.ip().is_loopback());
    assert_eq!(config.node.weight, 100);
    assert_eq!(config.timing, Timing::FAST);
    assert_eq!(config.retention, Duration::from_secs(7 * 86_400));
    assert_eq!(config.whatsapp.root_key, None);
}

#[test]
fn a_public_address_needs_the_word_insecure() {
    let said = refusal("[listen]\ngrpc = \"192.0.2.1:7443\"\n");
    assert!(said.contains("listen.grpc") && said.contains("no TLS") && said.contains("insecure"), "{said}");
    judged("[listen]\ngrpc = \"192.0.2.1:7443\"\ninsecure = true\n").expect("said aloud");
}

#[test]
fn a_wildcard_address_needs_one_to_advertise() {
    let wildcard = "[listen]\ngrpc = \"0.0.0.0:7443\"\ninsecure = true\n";
    assert!(refusal(wildcard).contains("listen.advertise"));
    judged(&format!("{wildcard}advertise = \"node-1:7443\"\n")).expect("reachable");
    assert!(refusal("[listen]\nadvertise = \"node-1\"\n").contains("host:port"));
}

#[test]
fn each_refusal_names_its_field() {
    for (text, field) in [
        ("[node]\nid = \"Not Valid\"\n", "node.id"),
        ("[node]\nweight = 0.0\n", "node.weight"),
        ("[node]\ndrain_timeout = \"2 minutes\"\n", "node.drain_timeout"),
        ("[listen]\nhttp = \"localhost\"\n", "listen.http"),
        ("[store]\nurl = \"mysql://x\"\n", "store.url"),
        ("[store]\nurl_file = \"/nowhere/at/all\"\n", "store.url_file"),
        ("[store]\nmax_connections = 1\n", "store.max_connections"),
        ("[cluster]\nprofile = \"turbo\"\n", "cluster.profile"),
        ("[connect]\nper_second = 0\n", "connect.per_second"),
        ("[connect]\nburst = -1\n", "connect.burst"),
        ("[whatsapp]\nurl = \"https://example.org\"\n", "whatsapp.url"),
        ("[whatsapp]\nroot_key = \"abc\"\n", "whatsapp.root_key"),
        ("[whatsapp]\nsticker_url = \"static.whatsapp.net\"\n", "whatsapp.sticker_url"),
        ("[whatsapp]\nsticker_url = \"https://static.whatsapp.net/sticker?id=1\"\n", "whatsapp.sticker_url"),
        ("[whatsapp]\nproxy = \"https://proxy:443\"\n", "whatsapp.proxy"),
        ("[whatsapp]\nproxy_file = \"/nowhere/at/all\"\n", "whatsapp.proxy_file"),
        ("[events]\nretention = \"10s\"\n", "events.retention"),
        ("[telemetry]\nlog_format = \"xml\"\n", "telemetry.log_format"),
        ("[telemetry]\nlog_level = \"roost_node=loud\"\n", "telemetry.log_level"),
    ] {
        let said = refusal(text);
        assert!(said.contains(field), "{text:?} gave {said:?}");
    }
}

#[test]
fn a_url_from_a_file_is_used_and_never_shown() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "postgres://roost:hunter2@db/roost\n").expect("written");
    let config = judged(&format!("[store]\nurl_file = {:?}\n", file.path())).expect("readable");
    assert_eq!(config.store.url, "postgres://roost:hunter2@db/roost");
    assert!(!format!("{config:?}").contains("hunter2"));
    std::fs::write(file.path(), "socks5://roost:hunter2@proxy:1080\n").expect("written");
    let config = judged(&format!("[whatsapp]\nproxy_file = {:?}\n", file.path())).expect("readable");
    assert!(config.whatsapp.proxy.is_some() && !format!("{config:?}").contains("hunter2"));
    std::fs::write(file.path(), "hunter2\n").expect("written");
    let said = refusal(&format!("[store]\nurl_file = {:?}\n", file.path()));
    assert!(said.contains("store.url_file") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_file_that_does_not_exist_or_is_not_toml_is_refused() {
    let said = load(Some(Path::new("/nowhere/roost.toml"))).expect_err("no such file").to_string();
    assert!(said.contains("/nowhere/roost.toml"), "{said}");
    let said = refusal("[store]\nurl = 'hunter2\n");
    assert!(said.contains("not valid TOML at line 2") && !said.contains("hunter2"), "{said}");
    assert!(refusal("node = 3\n").contains("[node]"));
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
    for bad in ["", "5", "s", "1.5s", "-1s", "1 s", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(parse_duration(bad), None, "{bad:?}");
    }
}

#[test]
fn a_host_name_becomes_a_node_id() {
    assert_eq!(slot_of_host("Roost-1.example.org\n").map(|id| id.to_string()), Some("roost-1".into()));
    assert_eq!(slot_of_host("my_host").map(|id| id.to_string()), Some("my-host".into()));
    assert_eq!(slot_of_host("\n"), None);
}
