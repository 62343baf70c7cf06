//! The cluster with all its shells in virtual time: the same seed is the same run, and no seed of the first
//! few breaks anything.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often a process that is held up stands still.
const HOLDS: u32 = 6;
/// How long it runs before.
const RUNS: Duration = Duration::from_millis(200);
/// For how long it stands: longer than a library remembers what it keeps for a second by a clock of its own.
const STANDS: Duration = Duration::from_millis(1100);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
    command.args(["chaos", "sim", "--depth", "stack"]).args(arguments);
    command
}

fn sim(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program runs")
}

/// The same on a machine that has no time for it again and again.
fn held_up(arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let (pid, (say, ended)) = (Pid::from_child(&child), channel());
    let waiting = thread::spawn(move || {
        let output = child.wait_with_output().expect("it can be waited for");
        // Nobody may listen any more.
        let _ = say.send(());
        output
    });
    for _ in 0..HOLDS {
        if ended.recv_timeout(RUNS).is_ok() {
            break;
        }
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(pid, Signal::STOP);
        let stood = ended.recv_timeout(STANDS);
        let _ = kill_process(pid, Signal::CONT);
        if stood.is_ok() {
            break;
        }
    }
    waiting.join().expect("it has ended")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn two_processes_with_one_seed_have_the_same_history_however_long_they_take() {
    for seed in ["2", "5"] {
        let (first, second) = (sim(&["--seed", seed]), held_up(&["--seed", seed]));
        assert!(text(&first).contains("hash "), "{}", text(&first));
        assert_eq!(text(&first), text(&second));
    }
}

#[test]
fn no_seed_of_the_first_few_dozen_breaks_anything_and_rare_things_happen() {
    let output = sim(&["--seeds", "1..25"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for rare in ["buried", "certified", "taken over", "given", "drained", "thawed", "replaced"] {
        assert!(said.contains(rare), "{rare} never happened: {said}");
    }
}

/// Seeds that once failed.
#[test]
fn what_was_mended_stays_mended() {
    for (seed, story) in [
        ("5", "the answer to an accepting commit was lost, and the message waited for the next owner"),
        ("1488", "a device was relieved milliseconds before the end: its event was not owed yet"),
    ] {
        let output = sim(&["--seed", seed]);
        assert!(output.status.success(), "seed {seed}, {story}: {}", text(&output));
    }
}
