//! Real `roost serve` processes: a configuration and a log file each, started, killed, frozen, watched.
//!
//! What must hold: every process that is started here ends with the value that stands for it, whatever
//! happens in between, and has ended when the value is gone. It knows nothing of devices; it is what an
//! operator's tooling would do.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::process::{Child, Command};

use crate::ports;

/// What all nodes of a cluster share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The `roost` binary.
    pub program: PathBuf,
    /// Where configurations, keys and logs go.
    pub folder: PathBuf,
    /// `sqlite://…` or `postgres://…`.
    pub store_url: String,
    /// WebSocket URL of the simulated WhatsApp.
    pub whatsapp_url: String,
    /// PEM file of its certificate authority.
    pub whatsapp_ca: PathBuf,
    /// Its Noise root key, in hex.
    pub whatsapp_root: String,
    /// Logins per second that each node may do.
    pub logins_per_second: u32,
    /// The value of `telemetry.log_level`.
    pub log_level: String,
}

impl Site {
    /// Makes the key file that all nodes need, readable by its owner only.
    pub fn prepare(&self) -> io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut key = [0u8; 32];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut key);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.key_file())?;
        file.write_all(hex::encode(key).as_bytes())
    }

    /// The same site with the URLs of a node that reaches it in ways of its own.
    pub fn seen_from(&self, ground: &Ground) -> Site {
        let Ground { store_url, whatsapp_url, .. } = ground.clone();
        Site { store_url, whatsapp_url, ..self.clone() }
    }

    /// The same server as that of the WebSocket.
    fn sticker_url(&self) -> String {
        let (scheme, rest) = self.whatsapp_url.split_once("://").unwrap_or_default();
        let scheme = if scheme == "wss" { "https" } else { "http" };
        format!("{scheme}://{}/sticker", rest.split('/').next().unwrap_or_default())
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("kek")
    }

    /// Starts a node under this id, on an address of the loopback interface.
    pub fn start(&self, id: &str) -> io::Result<NodeProcess> {
        self.start_at(id, &Spot::default())
    }

    /// Starts a node under this id at this spot.
    pub fn start_at(&self, id: &str, spot: &Spot) -> io::Result<NodeProcess> {
        let mut node = self.prepare_at(id, id, spot)?;
        node.spawn()?;
        Ok(node)
    }

    /// A node under this id that does not run yet; its files are called by `name`.
    pub fn prepare_at(&self, name: &str, id: &str, spot: &Spot) -> io::Result<NodeProcess> {
        let [grpc, http] = spot.addresses()?;
        let config = self.folder.join(format!("{name}.toml"));
        let text = format!(
            "[node]\nid = \"{id}\"\n\n[listen]\ngrpc = \"{grpc}\"\nhttp = \"{http}\"\ninsecure = true\n\n\
             [store]\nurl = \"{}\"\nkek_file = \"{}\"\n\n[connect]\nper_second = {rate}\nburst = {rate}\n\n\
             [whatsapp]\nurl = \"{}\"\nca_file = \"{}\"\nroot_key = \"{}\"\nsticker_url = \"{}\"\n\n[media]\ndirectory = \"{}\"\n\n[telemetry]\nlog_level = \"{}\"\n",
            self.store_url,
            self.key_file().display(),
            self.whatsapp_url,
            self.whatsapp_ca.display(),
            self.whatsapp_root,
            self.sticker_url(),
            self.folder.join("media").display(),
            self.log_level,
            rate = self.logins_per_second,
        );
        std::fs::write(&config, text)?;
        Ok(NodeProcess {
            id: id.to_owned(),
            grpc,
            http,
            log: self.folder.join(format!("{name}.log")),
            config,
            program: self.program.clone(),
            namespace: spot.namespace.clone(),
            child: None,
        })
    }
}

/// Where a node runs and how it reaches what all share.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Where it runs.
    pub spot: Spot,
    /// The store, as it is reached from there.
    pub store_url: String,
    /// The simulated WhatsApp, as it is reached from there.
    pub whatsapp_url: String,
}

/// Where a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Its address.
    pub address: IpAddr,
    /// The network namespace in which that address is; `None` is our own.
    pub namespace: Option<String>,
}

impl Default for Spot {
    fn default() -> Spot {
        Spot { address: Ipv4Addr::LOCALHOST.into(), namespace: None }
    }
}

impl Spot {
    /// Addresses for gRPC and HTTP that were free a moment ago. A namespace has all its ports to itself.
    fn addresses(&self) -> io::Result<[SocketAddr; 2]> {
        if self.namespace.is_some() {
            return Ok([SocketAddr::new(self.address, 7443), SocketAddr::new(self.address, 7080)]);
        }
        Ok([ports::free(self.address)?, ports::free(self.address)?])
    }
}

/// One `roost serve`: the parent process and, below it, the worker.
#[derive(Debug)]
pub struct NodeProcess {
    /// Its node id.
    pub id: String,
    /// Where its gRPC API listens.
    pub grpc: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub http: SocketAddr,
    /// Its standard error, all lives one after the other.
    pub log: PathBuf,
    config: PathBuf,
    program: PathBuf,
    namespace: Option<String>,
    child: Option<Child>,
}

impl NodeProcess {
    /// Replaces the program that it runs, from its next start on.
    pub fn install(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts it, if it does not run.
    pub fn spawn(&mut self) -> io::Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = match &self.namespace {
            // It becomes the program, with the same process id.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.arg("serve").arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Whether the parent process runs.
    pub fn is_running(&mut self) -> io::Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// Process id of the parent; `None` when it has ended.
    pub fn parent(&self) -> Option<Pid> {
        let id = self.child.as_ref()?.id()?;
        Pid::from_raw(i32::try_from(id).ok()?)
    }

    /// Process id of the worker: the child of the parent.
    pub fn worker(&self) -> Option<Pid> {
        child_of(self.parent()?)
    }

    /// Sends a signal to the worker. `false` when there is none.
    pub fn signal_worker(&self, signal: Signal) -> io::Result<bool> {
        match self.worker() {
            Some(pid) => kill_process(pid, signal).map(|()| true).map_err(io::Error::from),
            None => Ok(false),
        }
    }

    /// Sends a signal to the parent. `false` when there is none.
    pub fn signal_parent(&self, signal: Signal) -> io::Result<bool> {
        match self.parent() {
            Some(pid) => kill_process(pid, signal).map(|()| true).map_err(io::Error::from),
            None => Ok(false),
        }
    }

    /// Waits for the parent to end. `None` when it had not within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(status) => status.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The end of its log, for a report of what went wrong.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // The parent first: it would start another worker. A worker that it starts meanwhile ends with it.
        let family: Vec<Pid> = [self.parent(), self.worker()].into_iter().flatten().collect();
        end(&family, ENDING);
        if let Some(child) = &mut self.child {
            let _ = child.try_wait();
        }
    }
}

/// How long the kernel may take to end a process that was killed.
const ENDING: Duration = Duration::from_secs(5);

/// Kills processes, frozen ones too, and waits until they have ended, at most for `limit`. Blocks. `false` when some
/// have not.
pub(crate) fn end(processes: &[Pid], limit: Duration) -> bool {
    // One that cannot be opened has ended before.
    let open = |process: &Pid| Some((*process, pidfd_open(*process, PidfdFlags::empty()).ok()?));
    let opened: Vec<_> = processes.iter().filter_map(open).collect();
    for (process, _) in &opened {
        let _ = kill_process(*process, Signal::KILL);
    }
    let last = Instant::now() + limit;
    opened.iter().all(|(_, ended)| {
        let left = Timespec::try_from(last.saturating_duration_since(Instant::now()));
        let mut ends = [PollFd::new(ended, PollFlags::IN)];
        left.is_ok_and(|left| poll(&mut ends, Some(&left)).is_ok_and(|ready| ready > 0))
    })
}

/// First child process of `parent`.
fn child_of(parent: Pid) -> Option<Pid> {
    children_of(parent).into_iter().next()
}

/// The living child processes of `parent`, by the process table.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let child = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        let (state, its_parent) = state_and_parent(pid)?;
        let own = state != 'Z' && its_parent == parent.as_raw_nonzero().get();
        if own { Pid::from_raw(pid) } else { None }
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(child).collect()
}

/// Whether there is no such process, or only what is left of one until somebody takes note of its end.
pub(crate) fn has_ended(process: Pid) -> bool {
    state_and_parent(process.as_raw_nonzero().get()).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// Whether a process was stopped by a signal and has not gone on.
pub fn is_stopped(process: Pid) -> bool {
    state_and_parent(process.as_raw_nonzero().get()).is_some_and(|(state, _)| state == 'T')
}

fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may hold anything; state and parent follow it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Byte of the `-shm` file that SQLite locks for writing in WAL mode (WAL-index format, section 2.3.2).
const WAL_WRITE_LOCK: &str = "120";

/// Whether `process` holds the write lock of the SQLite database at `file`: freezing it in that moment
/// would block everybody else for as long.
pub fn holds_write_lock(process: Pid, file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let mut shared = file.as_os_str().to_owned();
    shared.push("-shm");
    let inode = std::fs::metadata(PathBuf::from(shared))?.ino().to_string();
    let pid = process.as_raw_nonzero().to_string();
    let locks = std::fs::read_to_string("/proc/locks")?;
    Ok(locks.lines().any(|line| {
        // 1: POSIX  ADVISORY  WRITE 4711 fd:00:1234 120 120
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", holder, place, first, last] = fields[..] else { return false };
        let covers = first <= WAL_WRITE_LOCK && WAL_WRITE_LOCK <= last && first.len() == 3 && last.len() == 3;
        holder == pid && place.rsplit(':').next() == Some(inode.as_str()) && covers
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_process_is_found_by_its_parent() {
        let mut shell = Command::new("sh")
            .args(["-c", "cat; true"])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell can be started");
        let id = i32::try_from(shell.id().expect("it runs")).expect("process ids are small");
        let parent = Pid::from_raw(id).expect("not zero");
        let found = tokio::time::timeout(Duration::from_secs(10), async {
            while child_of(parent).is_none() {
                tokio::task::yield_now().await;
            }
        });
        found.await.expect("the shell starts cat");
        drop(shell.stdin.take());
        assert!(shell.wait().await.expect("it ends").success());
    }

    #[test]
    fn a_frozen_process_that_is_ended_has_ended() {
        let mut cat =
            std::process::Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat can be started");
        let process = Pid::from_child(&cat);
        kill_process(process, Signal::STOP).expect("it runs");
        assert!(!has_ended(process));
        assert!(end(&[process], Duration::from_secs(10)));
        assert!(has_ended(process), "though nobody has taken note of it");
        assert!(cat.try_wait().expect("it can be waited for").is_some());
    }
}
