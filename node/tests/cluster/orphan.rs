//! A worker ends with its parent. Three processes: this test, a parent, a worker, all of this binary.
//!
//! What must hold: without the variables that name a role, the two roles are tests that do nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roost_node::parent::{Family, OrphanError, RestartOptions, inherited_life, raise};
use roost_placement::ledger::Timing;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::mpsc;

use crate::ledger::{TestLedger, candidate};

const FILE: &str = "ROOST_TEST_ORPHAN_FILE";

fn role(name: &str) -> Vec<std::ffi::OsString> {
    vec!["--exact".into(), format!("orphan::{name}").into(), "--nocapture".into()]
}

#[test]
fn in_the_role_of_the_parent() {
    if std::env::var_os(FILE).is_none() || std::env::var_os("ROOST_LIFE").is_some() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let family = Family {
        ledger: Arc::new(TestLedger::default()),
        candidate: candidate("n1"),
        timing: Timing::FAST,
        program: std::env::current_exe().expect("this binary"),
        arguments: role("in_the_role_of_the_worker"),
        grace: Duration::from_secs(1),
        restarts: RestartOptions::default(),
    };
    let (_stop, signals) = mpsc::channel(1);
    runtime.block_on(raise(family, signals)).expect("a worker");
}

#[test]
fn in_the_role_of_the_worker() {
    let (Some(file), Some(life)) = (std::env::var_os(FILE), inherited_life().expect("a parent that lives"))
    else {
        return;
    };
    std::fs::write(PathBuf::from(file), format!("{} {life}", std::process::id())).expect("written");
    loop {
        std::thread::park();
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn worker_pid(file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(file).ok()?;
    let (pid, life) = text.split_once(' ')?;
    assert_eq!(life, "n1/1");
    Pid::from_raw(pid.parse().ok()?)
}

#[test]
fn a_worker_ends_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("worker");
    let mut parent = Command::new(std::env::current_exe().expect("this binary"))
        .args(role("in_the_role_of_the_parent"))
        .env(FILE, &file)
        .stdout(Stdio::null())
        .spawn()
        .expect("a parent");
    let worker = wait_for("the worker says who it is", || worker_pid(&file));
    assert!(test_kill_process(worker).is_ok(), "it runs");
    kill_process(Pid::from_child(&parent), Signal::KILL).expect("killed");
    parent.wait().expect("waited for");
    // Nobody may have waited for it: a process that has ended and was not waited for counts as gone.
    wait_for("the worker is gone", || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", worker.as_raw_nonzero())).ok();
        let zombie = state.as_deref().is_none_or(|stat| stat.contains(") Z"));
        (zombie || test_kill_process(worker).is_err()).then_some(())
    });
}

#[test]
fn a_worker_whose_parent_is_gone_refuses_to_work() {
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(role("in_the_role_of_the_worker"))
        .env(FILE, "/nonexistent/file")
        .env("ROOST_LIFE", "n1/1")
        .env("ROOST_PARENT_PID", "1")
        .output()
        .expect("it ran");
    assert!(!output.status.success());
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("{:?}", OrphanError::Parent)), "{said}");
}
