//! `roost chaos run` and `roost demo`, the real program, ended in the middle by those who may end it: nothing is left
//! on the machine.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use roost_simulations::chaos::network;
use roost_simulations::postgres::TempPostgres;
use roost_simulations::processes::is_stopped;
use roost_simulations::world::until;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a run may take to come to a point, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it may take to end: longer than its keeper waits for it.
const ENDING: Duration = Duration::from_secs(60);

/// A run of the program with a temporary folder of its own, by which all its processes are known.
struct Run {
    folder: TempDir,
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    seen: Vec<Pid>,
}

impl Run {
    /// Two nodes and two devices, at one scenario for longer than a test takes.
    fn start(scenario: &str, more: &[&str]) -> Run {
        let small = ["--nodes", "2", "--devices", "2", "--duration", "10m", "--seed", "7"];
        Run::of(&[&["chaos", "run", scenario], &small[..], more].concat())
    }

    fn of(arguments: &[&str]) -> Run {
        let folder = tempfile::tempdir().expect("a folder");
        let mut program = Command::new(env!("CARGO_BIN_EXE_roost"));
        program.args(arguments).env("TMPDIR", folder.path());
        let program = program.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut program = program.expect("it can be started");
        let lines = BufReader::new(program.stdout.take().expect("a pipe")).lines();
        Run { folder, program, lines, said: Vec::new(), seen: Vec::new() }
    }

    /// Waits until it has said this; from then on its processes are known.
    async fn says(&mut self, what: &str) {
        let heard = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.expect("it can be read") {
                self.said.push(line);
                if self.said.last().is_some_and(|line| line.contains(what)) {
                    return true;
                }
            }
            false
        });
        let heard = heard.await;
        assert_eq!(heard, Ok(true), "it has not said {what:?}: {}", self.said.join("\n"));
        self.seen = self.processes().into_iter().map(|(process, _)| process).collect();
        assert!(self.runs("serve"), "{:?}", self.processes());
    }

    /// Waits until a scenario has said this, on a database and a network of its own.
    async fn tells(&mut self, what: &str) {
        self.says(what).await;
        assert!(self.runs("postgres"), "{:?}", self.processes());
        assert!(network::missing().is_some() || !self.networks().is_empty());
    }

    fn runs(&self, what: &str) -> bool {
        self.processes().iter().any(|(_, command)| command.contains(what))
    }

    /// Stops the process that does the work: it takes no signal from then on, and cannot end by itself.
    async fn frozen_ward(&self) -> Pid {
        let ward = self.ward();
        kill_process(ward, Signal::STOP).expect("it runs");
        let stopped = until("it is stopped", PATIENCE, || async { is_stopped(ward) }).await;
        stopped.expect("nothing can prevent that");
        ward
    }

    /// The process that was started here.
    fn keeper(&self) -> Pid {
        let id = self.program.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw).expect("it runs")
    }

    /// The process below it that does the work.
    fn ward(&self) -> Pid {
        let parent = |process: Pid| field(process, "status", "PPid:");
        let own = Some(self.keeper().as_raw_nonzero().to_string());
        let below = self.processes().into_iter().map(|(process, _)| process);
        below.into_iter().find(|process| parent(*process) == own).expect("there is one")
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.keeper(), signal).expect("it runs");
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(ENDING, async {
            // It must not wait for a reader.
            while let Ok(Some(line)) = self.lines.next_line().await {
                self.said.push(line);
            }
            self.program.wait().await.expect("it can be waited for")
        });
        ended.await.unwrap_or_else(|_| panic!("it runs on: {}", self.said.join("\n")))
    }

    /// It ends with this exit code, and with everything that it has started.
    async fn leaves_nothing(&mut self, code: i32) {
        assert_eq!(self.ended().await.code(), Some(code), "{}", self.said.join("\n"));
        assert_eq!(self.left(), "");
    }

    /// Living processes that know of its folder, and how they were called.
    fn processes(&self) -> Vec<(Pid, String)> {
        let folder = self.folder.path().to_str().expect("it is text");
        let ours = |entry: std::fs::DirEntry| {
            let process = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let read = |name: &str| {
                let bytes = std::fs::read(entry.path().join(name)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let command = read("cmdline");
            let place = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let ours = [&command, &read("environ"), &*place.to_string_lossy()]
                .iter()
                .any(|text| text.contains(folder));
            let lives = !field(process, "status", "State:")?.starts_with('Z');
            (ours && lives).then_some((process, command))
        };
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(ours).collect()
    }

    /// Namespaces and links that its processes have made, by their names.
    fn networks(&self) -> Vec<String> {
        let places = ["/run/netns", "/sys/class/net"];
        let names = places.into_iter().flat_map(|place| entries(Path::new(place)));
        let of = |name: &str, process: &Pid| {
            let rest = name.strip_prefix("rst").and_then(|rest| rest.strip_prefix(&process.to_string()));
            rest.is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_ascii_digit()))
        };
        names.filter(|name| self.seen.iter().any(|process| of(name, process))).collect()
    }

    /// What is left on the machine, in words; nothing, as it should be.
    fn left(&self) -> String {
        let files = entries(self.folder.path());
        let (processes, networks) = (self.processes(), self.networks());
        if files.is_empty() && processes.is_empty() && networks.is_empty() {
            return String::new();
        }
        format!("processes {processes:?}, files {files:?}, networks {networks:?}")
    }

    async fn nothing_is_left_soon(&self) {
        let nothing = || async { self.left().is_empty() };
        let soon = until("nothing is left", ENDING, nothing).await;
        assert!(soon.is_ok(), "{}", self.left());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What a failing test leaves.
        for (process, _) in self.processes() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A line of a file that the kernel writes about a process.
fn field(process: Pid, file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// Whether SIGTERM waits for a process that cannot take it.
fn is_told(process: Pid) -> bool {
    let mask = field(process, "status", "ShdPnd:").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    mask.is_some_and(|mask| mask >> (Signal::TERM.as_raw() - 1) & 1 == 1)
}

#[tokio::test]
async fn a_run_that_is_terminated_while_a_node_is_frozen_leaves_nothing_but_its_report() {
    let reports = tempfile::tempdir().expect("a folder");
    let page: PathBuf = reports.path().join("chaos.html");
    let mut run = Run::start("freezes", &["login-storm", "--report", page.to_str().expect("it is text")]);
    run.tells("SIGSTOP for").await;
    run.signal(Signal::TERM);
    run.leaves_nothing(143).await;
    let text = std::fs::read_to_string(page.with_extension("txt")).expect("there is a report");
    assert!(
        text.contains("not begun: login-storm") && text.contains("freezes                stopped"),
        "{text}"
    );
    let html = std::fs::read_to_string(&page).expect("there is a page");
    assert!(html.contains("SIGSTOP for") && !html.contains("DIRTY"), "{html}");
}

#[tokio::test]
async fn a_run_that_is_interrupted_while_its_database_is_silent_leaves_nothing() {
    let mut run = Run::start("database-silence", &[]);
    run.tells("the database is silent").await;
    run.signal(Signal::INT);
    run.leaves_nothing(130).await;
}

#[tokio::test]
async fn a_run_that_is_terminated_while_its_nodes_start_leaves_nothing() {
    let mut run = Run::start("worker-kills", &[]);
    run.tells("starting node-2").await;
    run.signal(Signal::TERM);
    run.leaves_nothing(143).await;
    assert!(run.said.iter().any(|line| line.contains("stopped while it was set up")), "{:?}", run.said);
}

#[tokio::test]
async fn a_run_that_cannot_end_by_itself_is_ended_by_a_second_signal() {
    let mut run = Run::start("worker-kills", &[]);
    run.tells("pairing").await;
    let ward = run.frozen_ward().await;
    run.signal(Signal::TERM);
    let told = until("the first signal was passed on", PATIENCE, || async { is_told(ward) }).await;
    told.expect("it was");
    run.signal(Signal::TERM);
    run.leaves_nothing(143).await;
}

#[tokio::test]
async fn a_run_whose_program_is_killed_leaves_nothing() {
    let mut run = Run::start("worker-kills", &[]);
    run.tells("pairing").await;
    run.signal(Signal::KILL);
    assert_eq!(run.ended().await.signal(), Some(Signal::KILL.as_raw()));
    run.nothing_is_left_soon().await;

    let mut run = Run::start("worker-kills", &[]);
    run.tells("pairing").await;
    kill_process(run.ward(), Signal::KILL).expect("it runs");
    run.leaves_nothing(137).await;
}

#[tokio::test]
async fn what_a_run_leaves_that_nobody_could_end_goes_with_the_next_one() {
    let mut run = Run::start("worker-kills", &[]);
    run.tells("pairing").await;
    let (keeper, ward) = (run.keeper(), run.frozen_ward().await);
    kill_process(keeper, Signal::KILL).expect("it runs");
    kill_process(ward, Signal::KILL).expect("it runs");
    run.ended().await;
    assert_ne!(run.left(), "", "both are dead");

    let mut next = Command::new(env!("CARGO_BIN_EXE_roost"));
    next.args(["chaos", "run", "peace"]).env("TMPDIR", run.folder.path()).kill_on_drop(true);
    let next = timeout(ENDING, next.output()).await.expect("it ends").expect("it can be run");
    assert_eq!(next.status.code(), Some(2), "{next:?}");
    run.nothing_is_left_soon().await;
}

#[tokio::test]
async fn a_demo_that_is_terminated_leaves_nothing() {
    let mut run = Run::of(&["demo", "--short", "--plain"]);
    run.says("pairing").await;
    run.signal(Signal::TERM);
    run.leaves_nothing(143).await;
}

#[test]
fn a_database_that_is_killed_leaves_no_shared_memory() {
    let mut server = TempPostgres::start().expect("PostgreSQL can be started");
    let shown = |what: &str| server.sql("postgres", &format!("SHOW {what}")).expect("an answer");
    assert_eq!(shown("dynamic_shared_memory_type"), "mmap", "in its folder");
    let lock = std::fs::read_to_string(Path::new(&shown("data_directory")).join("postmaster.pid"));
    let lock = lock.expect("it runs");
    let segment =
        lock.lines().nth(6).and_then(|line| line.split_whitespace().last()).expect("it has a segment");
    let is_there = || {
        let all = std::fs::read_to_string("/proc/sysvipc/shm").expect("the kernel has a list");
        all.lines().any(|line| line.split_whitespace().nth(1) == Some(segment))
    };
    assert!(is_there());
    server.kill();
    assert!(is_there(), "nobody has cleared up");
    drop(server);
    assert!(!is_there());
}
