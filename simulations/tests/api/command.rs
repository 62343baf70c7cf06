//! The command line, as a process of its own.

use std::process::Stdio;

use tokio::process::Command;

fn roost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
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
