//! The command line, as a process of its own.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::live::{Live, TENANT};

fn roost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Asks the first node, with JSON as its answer.
pub(crate) async fn run(live: &Live, arguments: &[&str]) -> Output {
    let endpoint = live.nodes[0].endpoint.clone();
    let mut command = roost(&["-o", "json", "--endpoint", &endpoint]);
    command.args(arguments).output().await.expect("it runs")
}

/// The lines that a command has printed, which must have worked.
pub(crate) async fn lines(live: &Live, arguments: &[&str]) -> Vec<Value> {
    let done = run(live, arguments).await;
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_reader_who_has_had_enough_ends_a_command_quietly() {
    for arguments in [&["version"][..], &["config", "defaults"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let done = roost(arguments).stdout(writer).stderr(Stdio::piped()).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_sent_again_under_its_request_id_is_the_same_message() {
    let live = Live::new(2).await;
    live.online("shop").await;
    let friend = live.friend().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    };
    let (page, other) = (path("page.txt", b"a page"), path("other.txt", b"another page"));
    let id = uuid::Uuid::new_v4().to_string();
    let send =
        |file: &str| ["send", "document", "acme/shop", &friend, file, "--request-id", &id].map(str::to_owned);
    let name = async |file: &str| {
        let wanted = send(file);
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        lines(&live, &wanted).await[0]["name"].clone()
    };
    let first = name(&page).await;
    assert!(first.as_str().is_some_and(|name| name.starts_with(TENANT)), "{first}");
    assert_eq!(name(&page).await, first, "uploaded again, and not sent again");
    let another = send(&other);
    let another: Vec<&str> = another.iter().map(String::as_str).collect();
    let refused = run(&live, &another).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("IDEMPOTENCY_KEY_REUSED"), "{said}");
}
