//! The small parent of a node: joins the cluster for its worker, waits for it, certifies its death.
//!
//! What must hold: the certificate is written only after the worker has been waited for, when the
//! kernel has closed its sockets; a worker never outlives its parent; each worker is a new life. The
//! parent holds no devices, serves nothing, and does not decide when a worker is dead by any other
//! sign. If the parent dies too, the lease decides.

mod restarts;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use roost_placement::lease::BootTime;
use roost_placement::ledger::{Candidate, JoinError, Ledger, Timing};
use roost_placement::slot::Standstill;
use roost_proto::id::{Incarnation, Life};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use self::restarts::{Next, Restarts};

pub use self::restarts::RestartOptions;

/// Exit code of a worker whose life is over although it did not stop: its row says dead.
pub const EXIT_LIFE_OVER: u8 = 80;

/// The life that the parent has joined with, as `node/incarnation`.
const LIFE: &str = "ROOST_LIFE";

/// The parent's process id.
const PARENT: &str = "ROOST_PARENT_PID";

/// Attempts to write a death certificate, and how long each may take. The lease ends by itself soon.
const CERTIFICATES: u32 = 6;
const CERTIFICATE: Duration = Duration::from_secs(1);

/// How long the first join waits for a store that does not answer.
const FIRST_JOIN: Duration = Duration::from_secs(5);

/// How long between two attempts to join.
const AGAIN: Duration = Duration::from_millis(250);

/// What a parent is told.
pub struct Family {
    /// The ownership rows, through a connection that is opened when needed.
    pub ledger: Arc<dyn Ledger>,
    /// What the node says of itself when it joins.
    pub candidate: Candidate,
    /// The cluster's lease times.
    pub timing: Timing,
    /// The program to run as the worker.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// From the first signal until the worker is killed: longer than its drain may take.
    pub grace: Duration,
    /// How often a failing worker is started again.
    pub restarts: RestartOptions,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// The node cannot join: its id is in use, or the store does not answer.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The worker cannot be started.
    #[error("the worker {program:?} cannot be started: {source}")]
    Spawn {
        /// What was to run.
        program: PathBuf,
        /// Why it did not.
        source: std::io::Error,
    },
    /// The worker cannot be waited for.
    #[error("the worker cannot be waited for: {0}")]
    Wait(#[source] std::io::Error),
}

/// SIGTERM and SIGINT of this process, one message each. Bounded: more than a few say nothing new.
pub fn stop_signals() -> std::io::Result<mpsc::Receiver<()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (told, signals) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(signals)
}

/// Runs workers until one stops for good; returns the exit code to leave with. Each message in `stop`
/// is a wish to stop: the first lets the worker drain, the second kills it.
///
/// Call it on the main thread of a current-thread runtime: the kernel ties a worker to the *thread*
/// that started it.
pub async fn raise(family: Family, mut stop: mpsc::Receiver<()>) -> Result<u8, FamilyError> {
    let mut restarts = Restarts::new(family.restarts);
    let began = Instant::now();
    let mut first = true;
    // The life before, while nobody has heard of its death.
    let mut unburied = None;
    loop {
        let life = tokio::select! {
            life = join(&family, first, &mut unburied) => life?,
            Some(()) = stop.recv() => return Ok(0),
        };
        first = false;
        let mut worker = match spawn(&family, &life) {
            Ok(worker) => worker,
            Err(source) => {
                certify(&*family.ledger, &life).await;
                return Err(FamilyError::Spawn { program: family.program, source });
            }
        };
        tracing::info!(%life, pid = worker.id(), "the worker has started");
        let (status, stopping) = wait(&mut worker, &family, &mut stop).await.map_err(FamilyError::Wait)?;
        tracing::info!(%life, %status, "the worker is gone");
        unburied = (!certify(&*family.ledger, &life).await).then_some(life.clone());
        match restarts.next(began.elapsed(), code(status), stopping, rand::random()) {
            Next::Leave(code) => return Ok(code),
            Next::Restart(pause) => {
                tracing::warn!(%life, ?pause, "the worker will be started again in a new life");
                if timeout(pause, stop.recv()).await.is_ok() {
                    return Ok(0);
                }
            }
        }
    }
}

/// Takes the slot for a new life. A slot in use is waited for as long as a dead holder would need to be
/// forgotten, and taken only after its holder has stood still before our eyes; a silent store is waited for
/// briefly at first, and without end later. A former life of ours whose certificate could not be written is certified
/// as soon as the store answers again.
async fn join(family: &Family, first: bool, unburied: &mut Option<Life>) -> Result<Life, JoinError> {
    let timing = &family.timing;
    let began = Instant::now();
    // Since when the slot is known to be in use: a store that was silent before says nothing of its holder.
    let mut used_since = None;
    let patience = 2 * (timing.ttl + timing.grace + timing.quarantine());
    let mut standstill = Standstill::default();
    // Compared only with itself; a suspended machine makes us wait longer.
    let now = || BootTime(0).plus(began.elapsed());
    loop {
        if let Some(life) = &*unburied
            && certified(&*family.ledger, life).await
        {
            *unburied = None;
        }
        let silent = standstill.silent(now(), timing);
        let error = match timeout(FIRST_JOIN, family.ledger.join(&family.candidate, silent, timing)).await {
            Ok(Ok(life)) => return Ok(life),
            Ok(Err(error)) => error,
            Err(_) => JoinError::Unavailable(roost_placement::ledger::Unavailable(
                "the store did not answer in time".into(),
            )),
        };
        let enough = match &error {
            JoinError::Apart { .. } => true,
            JoinError::InUse { .. } => used_since.get_or_insert_with(Instant::now).elapsed() >= patience,
            JoinError::Unavailable(_) => first && began.elapsed() >= FIRST_JOIN,
        };
        if enough {
            return Err(error);
        }
        tracing::warn!(node = %family.candidate.node, %error, "cannot join yet");
        let pause = match error {
            JoinError::InUse { holder, wait } => {
                standstill.refused(holder, now());
                wait.max(standstill.left(now(), timing)).clamp(AGAIN, 4 * AGAIN)
            }
            JoinError::Apart { .. } | JoinError::Unavailable(_) => AGAIN,
        };
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.8..1.2))).await;
    }
}

fn spawn(family: &Family, life: &Life) -> std::io::Result<Child> {
    Command::new(&family.program)
        .args(&family.arguments)
        .env(LIFE, life.to_string())
        .env(PARENT, std::process::id().to_string())
        // A terminal sends its interrupt to the whole group; the worker shall hear of it once, from us.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Waits for the worker's end. Tells whether it was asked to stop.
async fn wait(
    worker: &mut Child,
    family: &Family,
    stop: &mut mpsc::Receiver<()>,
) -> std::io::Result<(ExitStatus, bool)> {
    let mut kill_at: Option<Instant> = None;
    loop {
        let late = async {
            match kill_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = worker.wait() => return Ok((status?, kill_at.is_some())),
            Some(()) = stop.recv() => match kill_at {
                None => {
                    kill_at = Some(Instant::now() + family.grace);
                    tell(worker, Signal::TERM);
                }
                Some(_) => worker.start_kill()?,
            },
            () = late => {
                tracing::warn!("the worker did not leave in time");
                worker.start_kill()?;
                return Ok((worker.wait().await?, true));
            }
        }
    }
}

fn tell(worker: &Child, signal: Signal) {
    let pid = worker.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, signal)
    {
        tracing::warn!(%error, "the worker could not be told to stop");
    }
}

/// Writes the death certificate: the worker has been waited for. Whether it could be written.
async fn certify(ledger: &dyn Ledger, life: &Life) -> bool {
    for _ in 0..CERTIFICATES {
        if certified(ledger, life).await {
            return true;
        }
        tokio::time::sleep(AGAIN.mul_f64(rand::random_range(0.5..1.0))).await;
    }
    tracing::warn!(%life, "no death certificate: the others will see when the lease ends");
    false
}

async fn certified(ledger: &dyn Ledger, life: &Life) -> bool {
    match timeout(CERTIFICATE, ledger.certify_death(life)).await {
        Ok(Ok(_)) => return true,
        Ok(Err(error)) => tracing::warn!(%life, %error, "no death certificate yet"),
        Err(_) => tracing::warn!(%life, "no death certificate in time"),
    }
    false
}

/// The exit code as a shell would show it.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    u8::try_from(status.code().unwrap_or_else(signal)).unwrap_or(1)
}

/// Why a process that was started as a worker must not work.
#[derive(Debug, thiserror::Error)]
pub enum OrphanError {
    /// The environment does not say which life this is.
    #[error("{LIFE} must have the form node/incarnation")]
    Life,
    /// The parent is gone already: its successor may have started another worker.
    #[error("the parent process is gone")]
    Parent,
    /// The kernel does not promise to end this process with its parent.
    #[error("the kernel refused to tie this process to its parent: {0}")]
    Kernel(#[from] rustix::io::Errno),
}

/// The life that this process was started for; `None` when it is no worker. From here on, this process
/// ends with its parent. Call it first thing, on the main thread.
pub fn inherited_life() -> Result<Option<Life>, OrphanError> {
    let Ok(life) = std::env::var(LIFE) else { return Ok(None) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above: then nothing will end us.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if parent.is_none() || parent != std::env::var(PARENT).ok() {
        return Err(OrphanError::Parent);
    }
    parse_life(&life).map(Some).ok_or(OrphanError::Life)
}

fn parse_life(text: &str) -> Option<Life> {
    let (node, incarnation) = text.split_once('/')?;
    let incarnation = incarnation.parse().ok().filter(|number| *number > 0)?;
    Some(Life { node: node.parse().ok()?, incarnation: Incarnation(incarnation) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_reads_back_as_it_is_passed_on() {
        let life = parse_life("node-1/42").expect("well formed");
        assert_eq!(life.to_string(), "node-1/42");
        for bad in ["", "node-1", "node-1/", "node-1/x", "node-1/0", "Node/1", "/1"] {
            assert_eq!(parse_life(bad), None, "{bad}");
        }
    }
}
