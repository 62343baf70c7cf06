//! The names of metrics: what is described is counted, what is counted is described, and the rules in `deploy`
//! use nothing else. It reads text only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What Prometheus adds to the name of a histogram.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace").to_owned()
}

/// All files below a folder whose names end like this, with their text.
fn texts(folder: &Path, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(texts(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push((path.clone(), fs::read_to_string(&path).expect("text")));
        }
    }
    found
}

/// Words that begin with `roost_`, each with what stands before and after it.
fn words(text: &str) -> impl Iterator<Item = (Option<char>, &str, Option<char>)> {
    text.match_indices("roost_").map(move |(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (text[..at].chars().next_back(), &rest[..end], rest[end..].chars().next())
    })
}

/// Those that are a whole string of their own.
fn quoted(text: &str) -> BTreeSet<String> {
    let quoted = words(text).filter(|(before, _, after)| (*before, *after) == (Some('"'), Some('"')));
    quoted.map(|(_, word, _)| word.to_owned()).collect()
}

/// The part of a source file that is not its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().expect("a first part")
}

fn described() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("node/src/metrics.rs")).expect("it is there");
    quoted(product(&text))
}

#[test]
fn every_metric_is_described_and_counted() {
    let mut counted = BTreeSet::new();
    for (path, text) in texts(&root().join("node/src"), ".rs") {
        if !path.ends_with("src/metrics.rs") {
            counted.extend(quoted(product(&text)));
        }
    }
    assert!(counted.len() > 20, "{counted:?}");
    assert_eq!(described(), counted);
}

#[test]
fn rules_name_metrics_that_exist_and_say_what_to_do() {
    let described = described();
    for (path, text) in texts(&root().join("deploy"), ".rules.yaml") {
        let known = |name: &str| {
            let base = OF_HISTOGRAMS.iter().find_map(|ending| name.strip_suffix(ending));
            described.contains(base.unwrap_or(name))
        };
        let unknown: Vec<&str> = words(&text).map(|(_, name, _)| name).filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
        let count = |key: &str| text.lines().filter(|line| line.trim_start().starts_with(key)).count();
        let alerts = count("- alert:");
        assert!(alerts > 5, "{}", path.display());
        assert_eq!((count("summary:"), count("action:"), count("labels:")), (alerts, alerts, alerts));
        let recorded: Vec<&str> =
            text.lines().filter_map(|line| line.trim_start().strip_prefix("- record: ")).collect();
        let used = text.lines().filter(|line| !line.contains("- record: "));
        for word in
            used.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':'))
        {
            assert!(!word.starts_with("roost:") || recorded.contains(&word), "nothing records {word}");
        }
    }
}
