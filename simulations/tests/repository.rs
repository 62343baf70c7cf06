//! The rules of the repository, checked on its files: which crate may use which, one home for each big
//! dependency, a header and a size budget for every source file, no sleeping tests, no loose ends.
//!
//! It reads text only; what the compiler or clippy can say is left to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["proto", "placement", "actors", "node", "simulations"];

/// Lines that a source file may have.
const BUDGET: usize = 400;

/// Big dependencies and the crates that may name them.
const HOMES: [(&str, &str); 9] = [
    ("ractor", "actors"),
    ("sqlx", "node"),
    ("tonic-health", "node"),
    ("tonic-reflection", "node"),
    ("tracing-subscriber", "node"),
    ("hashring", "placement"),
    ("snow", "proto"),
    ("libsignal-protocol", "proto"),
    ("waproto", "proto"),
];

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("simulations is a folder of the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of the workspace by path from the root, in order, with their text.
fn sources() -> BTreeMap<String, String> {
    let root = root();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be listed") {
            let path = entry.expect("a folder entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(&root).expect("the path begins with the root");
                found.insert(relative.to_string_lossy().into_owned(), read(&path));
            }
        }
    }
    assert!(found.len() > 20, "the sources are looked for in the wrong place: {}", root.display());
    found
}

/// Names of the dependencies of a crate, with the section they stand in.
fn dependencies(name: &str) -> Vec<(String, String)> {
    let manifest = read(&root().join(name).join("Cargo.toml"));
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if section.ends_with("dependencies")
            && let Some((key, _)) = line.split_once('=')
        {
            let key = key.trim().split('.').next().unwrap_or_default().to_owned();
            found.push((section.clone(), key));
        }
    }
    found
}

/// What breaks a rule, one line each; empty when nothing does.
fn report(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

#[test]
fn crates_use_only_those_before_them() {
    let mut broken = Vec::new();
    for (place, name) in CRATES.iter().enumerate() {
        for (section, dependency) in dependencies(name) {
            let Some(other) = dependency.strip_prefix("roost-") else { continue };
            let allowed = CRATES[..place].contains(&other);
            if !allowed {
                broken.push(format!("{name} has {dependency} in [{section}]"));
            }
        }
    }
    report("proto <- placement <- actors <- node <- simulations, and nothing points back", broken);
}

#[test]
fn each_big_dependency_has_one_home() {
    let mut broken = Vec::new();
    for name in CRATES {
        for (section, dependency) in dependencies(name) {
            if let Some((_, home)) = HOMES.iter().find(|(big, home)| *big == dependency && *home != name) {
                broken.push(format!("{dependency} lives in {home}, but {name} has it in [{section}]"));
            }
        }
    }
    report("each big dependency has one home", broken);
}

#[test]
fn only_tests_are_built_with_planted_defects() {
    let mut broken = Vec::new();
    for name in CRATES {
        let mut section = String::new();
        for line in read(&root().join(name).join("Cargo.toml")).lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            }
            let declares = section == "features" && line == "seeded-bugs = []";
            if line.contains("seeded-bugs") && section != "dev-dependencies" && !declares {
                broken.push(format!("{name} has `{line}` in [{section}]"));
            }
        }
    }
    report("the feature seeded-bugs is asked for by dev-dependencies alone", broken);
}

#[test]
fn every_file_opens_with_a_header() {
    let headless = sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    report("a file opens with //! and says what it is", headless.map(|(path, _)| path).collect());
}

#[test]
fn no_file_is_over_the_budget() {
    let long = sources().into_iter().map(|(path, text)| (text.lines().count(), path));
    let long = long.filter(|(lines, _)| *lines > BUDGET);
    report("400 lines are the budget of a file", long.map(|(n, path)| format!("{path}: {n}")).collect());
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = ["mod.rs", "util.rs", "utils.rs", "helper.rs", "helpers.rs", "common.rs", "misc.rs"];
    let named =
        sources().into_keys().filter(|path| empty.iter().any(|name| path.ends_with(&format!("/{name}"))));
    report("a file's name says which noun lives in it", named.collect());
}

#[test]
fn no_test_sleeps() {
    let mut broken = Vec::new();
    let needle = concat!("sleep", "(");
    for (path, text) in sources() {
        let tests_from = if path.contains("/tests/") || path.ends_with("/tests.rs") {
            Some(0)
        } else {
            text.lines().position(|line| line.trim() == "#[cfg(test)]")
        };
        let Some(from) = tests_from else { continue };
        for (number, line) in text.lines().enumerate().skip(from) {
            if line.contains(needle) {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report("a test waits for a condition with a bound, or pauses time", broken);
}

#[test]
fn nothing_is_left_behind() {
    let needles = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("dbg", "!("),
        concat!("for", " now"),
    ];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle)) {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report("loose ends are finished or left out", broken);
}

#[test]
fn device_tables_are_written_only_by_the_store() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if path.starts_with("node/src/store") || path.ends_with("repository.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let writes = ["INSERT INTO ", "DELETE FROM "].iter().any(|verb| line.contains(verb));
            if writes && !path.starts_with("simulations/tests/") {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report("SQL that writes lives in node/src/store, behind the fence", broken);
}
