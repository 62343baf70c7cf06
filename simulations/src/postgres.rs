//! A PostgreSQL server of our own, for tests: its data in a temporary folder, on a loopback port,
//! stopped when the value is dropped.
//!
//! What must hold: it runs without rights (PostgreSQL refuses root, so a process of root hands it to
//! the user `postgres` or `nobody`), listens to nobody but this machine, and leaves nothing behind.
//! It does not install PostgreSQL: when the programs are missing it says so.

mod session;
mod standby;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ports;
use crate::processes::children_of;

pub use self::session::Session;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// `initdb`, `postgres` and `psql` were found nowhere.
    #[error(
        "PostgreSQL is not installed: no initdb, postgres and psql in one folder of PATH, \
         nor under /usr/lib/postgresql/*/bin"
    )]
    Missing,
    /// We are root, and there is no user to hand the server to.
    #[error("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")]
    NoUser,
    /// A file or a process could not be made.
    #[error("{doing}")]
    Io {
        /// What we were about to do.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// What it wrote.
        output: String,
    },
    /// The server did not answer within half a minute.
    #[error("the server did not start; its log ends with: {log}")]
    NotStarted {
        /// The end of its log.
        log: String,
    },
}

/// A running server. Its superuser is `roost`, without a password.
#[derive(Debug)]
pub struct TempPostgres {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    server: Child,
    folder: tempfile::TempDir,
}

const STARTING: Duration = Duration::from_secs(30);
const STOPPING: Duration = Duration::from_secs(5);

impl TempPostgres {
    /// Makes the data folder and starts the server; about two seconds. Blocks.
    pub fn start() -> Result<TempPostgres, PostgresError> {
        TempPostgres::start_in(&std::env::temp_dir())
    }

    /// The same with its data below `parent`, for example on a small file system.
    pub fn start_in(parent: &Path) -> Result<TempPostgres, PostgresError> {
        let programs = programs().ok_or(PostgresError::Missing)?;
        let user = server_user()?;
        let folder = fresh_folder(user, parent)?;
        let data = folder.path().join("data");
        let made = command(&programs, "initdb", user, folder.path())
            .args(["--no-sync", "--auth=trust", "--username=roost", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .map_err(io("running initdb"))?;
        succeeded("initdb", made)?;

        let port = free_port().map_err(io("finding a free port"))?;
        let server = serve(&programs, user, folder.path(), port)?;
        let mut started = TempPostgres { programs, user, port, server, folder };
        started.wait_until_ready()?;
        Ok(started)
    }

    /// Ends all sessions and stops the server; the data stays. Blocks for up to five seconds.
    pub fn stop(&mut self) {
        self.thaw();
        // SIGINT is PostgreSQL's fast shutdown.
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::INT);
        }
        let deadline = Instant::now() + STOPPING;
        while matches!(self.server.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }

    /// Whether the server's first process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.server.try_wait(), Ok(None))
    }

    /// Kills every process of the server at once: nothing is flushed, nobody is told. The data stays.
    pub fn kill(&mut self) {
        self.freeze();
        // The children first: they cannot be found by their parent when it is gone.
        if let Some(server) = self.pid() {
            for child in children_of(server) {
                let _ = kill_process(child, Signal::KILL);
            }
            let _ = kill_process(server, Signal::KILL);
        }
        let _ = self.server.wait();
    }

    /// Stops every process of the server where it is: connections stay open, and nobody answers.
    pub fn freeze(&self) {
        // The server first: from then on it has no more children.
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        let Some(server) = self.pid() else { return };
        // A process that has ended in the meantime needs no signal.
        let _ = kill_process(server, signal);
        for child in children_of(server) {
            let _ = kill_process(child, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.server.id()).ok().and_then(Pid::from_raw)
    }

    /// Starts a stopped server again, on the same port and data.
    pub fn resume(&mut self) -> Result<(), PostgresError> {
        self.server = serve(&self.programs, self.user, self.folder.path(), self.port)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + STARTING;
        loop {
            let address = (Ipv4Addr::LOCALHOST, self.port);
            if TcpStream::connect(address).is_ok() && self.sql("postgres", "SELECT 1").is_ok() {
                return Ok(());
            }
            let gone = matches!(self.server.try_wait(), Ok(Some(_)));
            if gone || Instant::now() > deadline {
                let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                let log = tail.into_iter().rev().collect::<Vec<_>>().join("; ");
                return Err(PostgresError::NotStarted { log });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://roost@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database; returns its URL. The name is letters, digits and `_`.
    pub fn database(&self, name: &str) -> Result<String, PostgresError> {
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(name))
    }

    /// Runs statements with `psql`; returns what they print, unaligned and without headers.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, PostgresError> {
        let output = self.psql(database).args(["-c", statements]).output();
        let output = output.map_err(|source| PostgresError::Io { doing: "running psql".into(), source })?;
        succeeded("psql", output)
    }

    /// A session of its own, for races: it keeps its transaction open between statements.
    pub fn session(&self, database: &str, application: &str) -> Result<Session, PostgresError> {
        let mut psql = self.psql(database);
        psql.env("PGAPPNAME", application);
        Session::start(psql).map_err(|source| PostgresError::Io { doing: "starting psql".to_owned(), source })
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = command(&self.programs, "psql", self.user, self.folder.path());
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "roost"]);
        psql.args(["-p", &self.port.to_string(), "-d", database]);
        psql
    }
}

/// Runs statements on any database with `psql`; returns what they print, unaligned and without headers.
pub fn query(url: &str, statements: &str) -> Result<String, PostgresError> {
    let programs = programs().ok_or(PostgresError::Missing)?;
    let mut psql = Command::new(programs.join("psql"));
    // It neither waits for a server that does not answer nor asks the terminal for a password.
    psql.env("PGCONNECT_TIMEOUT", "10").arg("-w");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements]);
    succeeded("psql", psql.output().map_err(io("running psql"))?)
}

impl Drop for TempPostgres {
    fn drop(&mut self) {
        self.stop();
        remove_shared_memory(self.folder.path());
    }
}

/// A server that was killed leaves the segment of shared memory by which others know that it runs; the last field of
/// the seventh line of its lock file names it.
fn remove_shared_memory(folder: &Path) {
    let lock = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
    if let Some(segment) = lock.lines().nth(6).and_then(|line| line.split_whitespace().last()) {
        let _ = Command::new("ipcrm").args(["-m", segment]).stderr(Stdio::null()).status();
    }
}

fn io(doing: &str) -> impl FnOnce(io::Error) -> PostgresError + use<> {
    let doing = doing.to_owned();
    move |source| PostgresError::Io { doing, source }
}

/// A temporary folder that only the server's user may enter.
fn fresh_folder(user: Option<(u32, u32)>, parent: &Path) -> Result<tempfile::TempDir, PostgresError> {
    let folder = tempfile::Builder::new().prefix("roost-postgres-").tempdir_in(parent);
    let folder = folder.map_err(io("making a temporary folder"))?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))
        .map_err(io("closing the folder to others"))?;
    if let Some((uid, gid)) = user {
        chown(folder.path(), Some(uid), Some(gid)).map_err(io("giving the folder to the server"))?;
    }
    Ok(folder)
}

/// Starts the server on a data folder that exists.
fn serve(
    programs: &Path,
    user: Option<(u32, u32)>,
    folder: &Path,
    port: u16,
) -> Result<Child, PostgresError> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
    let logs = log.and_then(|log| Ok((log.try_clone()?, log)));
    let started = logs.and_then(|(log, errors)| {
        command(programs, "postgres", user, folder)
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(folder)
            .args(["-c", "max_connections=200", "-c", "shared_buffers=64MB"])
            // In its folder, and gone with it, though it be killed.
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
    });
    started.map_err(|source| PostgresError::Io { doing: "starting postgres".to_owned(), source })
}

fn command(programs: &Path, name: &str, user: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder).env("LC_ALL", "C").env_remove("PGOPTIONS");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn succeeded(program: &'static str, output: Output) -> Result<String, PostgresError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PostgresError::Failed { program, output })
}

/// The folder that holds all three programs: one of PATH, or the newest of Debian's.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        versions.push((version, entry.path().join("bin")));
    }
    versions.sort_unstable_by(|a, b| b.cmp(a));
    folders.extend(versions.into_iter().map(|(_, folder)| folder));
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file()))
}

/// Whom to hand the server to: nobody else unless we are root.
fn server_user() -> Result<Option<(u32, u32)>, PostgresError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    find("postgres").or_else(|| find("nobody")).map(Some).ok_or(PostgresError::NoUser)
}

fn free_port() -> io::Result<u16> {
    Ok(ports::free(Ipv4Addr::LOCALHOST.into())?.port())
}
