//! A command that starts processes ends with all of them, however it ends: it is the ward of a keeper, a process above
//! it that has nothing else to do.
//!
//! What must hold: when the keeper has ended, nothing that was started below it runs, and the temporary folder of all of
//! them is gone, with what was mounted there and the networks of the run. The first signal is passed on, and the ward
//! ends in its own way, within a limit; the second ends everything at once. When the ward is killed, the keeper clears
//! up; when the keeper is killed, the ward is told to end; what is left when both are killed goes when the next keeper
//! begins. It knows nothing of what the ward does.

mod folder;
mod stops;

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, timeout};

use self::folder::Folder;
use crate::chaos::network;
use crate::processes::children_of;

pub use self::stops::{Stops, exit_code};

/// The keeper's process id, for its ward.
const KEEPER: &str = "ROOST_KEEPER_PID";

/// Exit code when there is no keeper, and so nothing was done.
const EXIT_NOTHING: u8 = 2;

/// How long a ward may take to end in its own way.
const ENDING: Duration = Duration::from_secs(40);

/// How long everybody else may take to end when asked: PostgreSQL needs it to give its shared memory back.
const ASKED: Duration = Duration::from_secs(2);

/// How long the kernel may take to end what was killed.
const KILLED: Duration = Duration::from_secs(10);

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
struct NoKeeper {
    /// What was tried.
    doing: &'static str,
    /// Why it did not work.
    source: io::Error,
}

fn doing<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> NoKeeper {
    move |error| NoKeeper { doing, source: error.into() }
}

/// Does this work in a process of its own below a keeper, which is this process: the program is run once more with the
/// same arguments. Returns the exit code of the work, or 128 and the signal where that ended it.
///
/// Call it on the main thread, before there is another: the kernel ties the ward to the *thread* that started it.
pub fn kept(work: impl FnOnce() -> ExitCode) -> ExitCode {
    let kept = match its_keeper() {
        Ok(Some(keeper)) => {
            let code = work();
            if getppid() != Some(keeper) {
                folder::remove(&std::env::temp_dir());
            }
            return code;
        }
        Ok(None) => keep(),
        Err(error) => Err(error),
    };
    match kept {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(EXIT_NOTHING)
        }
    }
}

/// Takes a folder of this process out of the keeper's, which goes in the end. Returns where it is now.
pub fn spared(folder: PathBuf) -> PathBuf {
    let kept = std::env::var_os(KEEPER).and(folder.parent()).filter(|home| **home == std::env::temp_dir());
    let beside = kept.and_then(Path::parent).zip(folder.file_name()).map(|(home, name)| home.join(name));
    match beside {
        Some(beside) if std::fs::rename(&folder, &beside).is_ok() => beside,
        Some(_) | None => folder,
    }
}

/// The keeper of this process; `None` when it has none. From here on, its death tells this process to end.
fn its_keeper() -> Result<Option<Pid>, NoKeeper> {
    let Ok(keeper) = std::env::var(KEEPER) else { return Ok(None) };
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(doing("tying this process to its keeper"))?;
    // It may have died before the line above: then nothing will tell us.
    let parent = getppid().filter(|parent| parent.as_raw_nonzero().to_string() == keeper);
    parent.map(Some).ok_or_else(|| doing("looking for the keeper")(io::Error::other("it is gone")))
}

fn keep() -> Result<u8, NoKeeper> {
    // From here on, the children of whoever dies below us are ours.
    set_child_subreaper(Some(getpid())).map_err(doing("becoming the parent of orphans"))?;
    folder::sweep(&std::env::temp_dir());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = runtime.map_err(doing("starting a runtime"))?.block_on(attend());
    network::sweep();
    code
}

/// Starts the ward and stays with it to its end, and to that of everything below it.
async fn attend() -> Result<u8, NoKeeper> {
    let heard = doing("listening to signals");
    let (mut stops, mut ends) = match (Stops::listen(), signal(SignalKind::child())) {
        (Ok(stops), Ok(ends)) => (stops, ends),
        (Err(error), _) | (_, Err(error)) => return Err(heard(error)),
    };
    // Only now: until then a signal ends us as we are.
    let folder = Folder::make(&std::env::temp_dir()).map_err(doing("making a temporary folder"))?;
    let program = std::env::current_exe().map_err(doing("looking for this program"))?;
    let ward = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(KEEPER, getpid().as_raw_nonzero().to_string())
        .env("TMPDIR", folder.path())
        // A terminal sends its interrupt to the whole group; the ward shall hear of it once, from us.
        .process_group(0)
        .spawn();
    let ward = Pid::from_child(&ward.map_err(doing("starting this program once more"))?);
    let code = its_end(ward, &mut stops, &mut ends).await;
    if !end_all(&mut ends).await {
        complain("some of the processes of this run cannot be ended");
    }
    Ok(code)
}

/// Passes the first signal on and waits for the end; returns the exit code. After a second signal, and past the limit,
/// it kills the ward.
async fn its_end(ward: Pid, stops: &mut Stops, ends: &mut Signals) -> u8 {
    let mut asked: Option<(Signal, Instant)> = None;
    loop {
        let late = async {
            match asked {
                Some((_, limit)) => tokio::time::sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = ends.recv() => if let Reaped { ward: Some(status), .. } = reap(Some(ward)) {
                return code(status);
            },
            stop = stops.next() => match asked {
                None => {
                    asked = Some((stop, Instant::now() + ENDING));
                    let _ = kill_process(ward, stop);
                }
                Some((first, _)) => return killed(ward, first),
            },
            () = late => {
                complain("it does not end by itself and is killed");
                return killed(ward, asked.map_or(Signal::KILL, |(first, _)| first));
            }
        }
    }
}

fn killed(ward: Pid, because: Signal) -> u8 {
    let _ = kill_process(ward, Signal::KILL);
    exit_code(because)
}

/// The exit code as a shell would show it.
fn code(status: WaitStatus) -> u8 {
    let signal = || status.terminating_signal().map_or(1, |signal| 128 + signal);
    u8::try_from(status.exit_status().unwrap_or_else(signal)).unwrap_or(1)
}

/// Ends everything below this process, first with a word, then without. `false` when something outlived that.
async fn end_all(ends: &mut Signals) -> bool {
    for (signal, limit) in [(Signal::INT, ASKED), (Signal::KILL, KILLED)] {
        if timeout(limit, all_ended(signal, ends)).await.is_ok() {
            return true;
        }
    }
    false
}

/// Sends this to every child, frozen ones too, and to those that become ours when their parents end, until there is none.
async fn all_ended(signal: Signal, ends: &mut Signals) {
    let mut told = Vec::new();
    while reap(None).more {
        for child in children_of(getpid()) {
            if !told.contains(&child) {
                let _ = kill_process(child, signal);
                let _ = kill_process(child, Signal::CONT);
                told.push(child);
            }
        }
        ends.recv().await;
    }
}

/// What was found among children that have ended.
struct Reaped {
    ward: Option<WaitStatus>,
    /// Whether there are others.
    more: bool,
}

/// Takes leave of all children that have ended.
fn reap(ward: Option<Pid>) -> Reaped {
    let mut reaped = Reaped { ward: None, more: true };
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((child, status))) if Some(child) == ward => reaped.ward = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return reaped,
            Err(_) => return Reaped { more: false, ..reaped },
        }
    }
}

/// Whoever would read it may have hung up.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "roost: {text}");
}
