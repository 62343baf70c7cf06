//! The database of a run: a temporary server that can be broken in every way, or one that somebody gave us
//! and that we only use; and PgBouncer in front of it, where a scenario wants that.
//!
//! What must hold: a server of our own ends with the value, and so does the pooler. Calls block.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::arena::address_of;
use crate::ports;
use crate::postgres::{TempPostgres, query};
use crate::world::Failed;

/// The name of the database in a server of our own.
const NAME: &str = "chaos";

/// Where the nodes keep everything.
pub struct Database {
    pooler: Option<Pooler>,
    own: Option<TempPostgres>,
    url: String,
    small_disk: Option<SmallDisk>,
}

impl Database {
    /// The one behind a URL, which is only used.
    pub fn given(url: &str) -> Result<Database, Failed> {
        address_of(url).ok_or("the database URL names no host that can be found")?;
        Ok(Database { pooler: None, own: None, url: url.to_owned(), small_disk: None })
    }

    /// A temporary server.
    pub fn temporary() -> Result<Database, Failed> {
        let server = TempPostgres::start()?;
        let url = server.database(NAME)?;
        Ok(Database { pooler: None, own: Some(server), url, small_disk: None })
    }

    /// A temporary server whose file system can be filled.
    pub fn on_a_small_disk() -> Result<Database, Failed> {
        let disk = SmallDisk::mount()?;
        let server = TempPostgres::start_in(disk.folder.path())?;
        let url = server.database(NAME)?;
        Ok(Database { pooler: None, own: Some(server), url, small_disk: Some(disk) })
    }

    /// A temporary server behind PgBouncer in transaction mode.
    pub fn behind_a_pooler() -> Result<Database, Failed> {
        let mut database = Database::temporary()?;
        let server = address_of(&database.url).ok_or("a URL of our own has an address")?;
        // What a node asks for at the start of a connection does not pass a pooler: the role has it.
        let limits = ["statement_timeout", "idle_in_transaction_session_timeout"];
        let limits = limits.map(|limit| format!("ALTER ROLE roost SET {limit} = '1s';"));
        database.sql(&limits.concat())?;
        database.pooler = Some(Pooler::start(server)?);
        Ok(database)
    }

    /// Our own server, to break it.
    pub fn server(&mut self) -> Result<&mut TempPostgres, Failed> {
        self.own.as_mut().ok_or_else(|| "this needs a database server of our own".into())
    }

    /// Puts a promoted standby in the place of the server, which dies.
    pub fn fail_over(&mut self, mut standby: TempPostgres) -> Result<(), Failed> {
        let primary = self.own.take().ok_or("this needs a database server of our own")?;
        standby.take_the_place_of(primary)?;
        self.own = Some(standby);
        Ok(())
    }

    /// The file system that can be filled.
    pub fn disk(&self) -> Result<&SmallDisk, Failed> {
        self.small_disk.as_ref().ok_or_else(|| "this database has no disk of its own".into())
    }

    /// Lets a server of our own go on, should it be frozen.
    pub fn thaw(&self) {
        if let Some(server) = &self.own {
            server.thaw();
        }
    }

    /// Where nodes reach it: the pooler, if there is one.
    pub fn address(&self) -> SocketAddr {
        let pooler = self.pooler.as_ref().map(|pooler| pooler.address);
        pooler.or_else(|| address_of(&self.url)).expect("the URL was looked at when it came in")
    }

    /// Its URL through another address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("postgres", &self.url));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}{address}/{path}")
    }

    /// Runs statements, past the pooler; returns what they print.
    pub fn sql(&self, statements: &str) -> Result<String, Failed> {
        Ok(query(&self.url, statements)?)
    }

    /// Takes every connection that the server has left, and all that others give up, until dropped.
    pub fn hog(&self) -> Hog {
        Hog::start(address_of(&self.url).expect("the URL was looked at when it came in"))
    }
}

/// A file system of a few hundred megabytes.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Result<SmallDisk, Failed> {
        let folder = tempfile::Builder::new().prefix("roost-small-disk-").tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256m,mode=0755", "roost"]).arg(folder.path());
        let mounted = mount.output()?;
        if !mounted.status.success() {
            return Err(format!("a small disk: {}", String::from_utf8_lossy(&mounted.stderr)).into());
        }
        Ok(SmallDisk { folder })
    }

    /// Fills it to the last block.
    pub fn fill(&self) -> Result<(), Failed> {
        use std::io::Write as _;
        let mut ballast = fs::File::create(self.folder.path().join("ballast"))?;
        let block = [0u8; 64 * 1024];
        // It ends with "no space left", which is the aim.
        while ballast.write_all(&block).is_ok() {}
        Ok(())
    }

    /// Makes room again.
    pub fn empty(&self) -> Result<(), Failed> {
        Ok(fs::remove_file(self.folder.path().join("ballast"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server has ended before; a lazy unmount leaves nothing behind even if it has not.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// PgBouncer in transaction mode.
struct Pooler {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

/// The first PgBouncer that keeps prepared statements in transaction mode; Roost's queries are prepared.
const POOLER_SINCE: (u32, u32) = (1, 21);

/// What is missing for a pooler, in words.
pub fn pooler_missing() -> Option<String> {
    let Ok(said) = Command::new("pgbouncer").arg("--version").output() else {
        return Some("the program pgbouncer".to_owned());
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let Some(found) = pooler_version(&said) else {
        return Some(format!("a PgBouncer that says its version, not {said:?}"));
    };
    (found < POOLER_SINCE).then(|| {
        let ((major, minor), (own_major, own_minor)) = (POOLER_SINCE, found);
        format!(
            "PgBouncer {major}.{minor} or later, for prepared statements (here is {own_major}.{own_minor})"
        )
    })
}

/// `PgBouncer 1.25.2` and more lines.
fn pooler_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

impl Pooler {
    fn start(server: SocketAddr) -> Result<Pooler, Failed> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new().prefix("roost-pgbouncer-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let port = ports::free(Ipv4Addr::LOCALHOST.into())?.port();
        let users = folder.path().join("users.txt");
        fs::write(&users, "\"roost\" \"\"\n")?;
        let ini = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{NAME} = host={} port={} user=roost\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 20\nmax_client_conn = 500\nserver_login_retry = 1\nmax_prepared_statements = 200\n\
             ignore_startup_parameters = extra_float_digits,options\n",
            server.ip(),
            server.port(),
            users.display(),
        );
        fs::write(&ini, text)?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("pgbouncer");
        // It does not run as root either.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command.arg(&ini).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let pooler = Pooler { address, child, _folder: folder };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                let log = fs::read_to_string(pooler._folder.path().join("log")).unwrap_or_default();
                return Err(format!("PgBouncer does not answer: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Idle connections that keep everybody else out.
pub struct Hog {
    enough: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hog {
    fn start(server: SocketAddr) -> Hog {
        use std::sync::atomic::Ordering;
        let enough = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = enough.clone();
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match occupy(server) {
                    Some(connection) => held.push(connection),
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Hog { enough, thread: Some(thread) }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.enough.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection that is logged in and idle; `None` when there is no room. The start-up message is that of
/// PostgreSQL's protocol 3.0 (section "Message Formats", `StartupMessage`).
fn occupy(server: SocketAddr) -> Option<TcpStream> {
    use std::io::{Read as _, Write as _};
    let parameters = format!("user\0roost\0database\0{NAME}\0application_name\0hog\0\0");
    let length = u32::try_from(8 + parameters.len()).ok()?;
    let message = [&length.to_be_bytes()[..], &196_608u32.to_be_bytes(), parameters.as_bytes()].concat();
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(&message).ok()?;
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    // 'R' asks for nothing more or says that we are in; 'E' refuses.
    (kind[0] == b'R').then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_pooler_is_read_from_what_it_says() {
        assert_eq!(pooler_version("PgBouncer 1.25.2\nlibevent 2.1.12-stable"), Some((1, 25)));
        assert!(pooler_version("PgBouncer 1.18.0") < Some(POOLER_SINCE));
        assert_eq!(pooler_version("nonsense"), None);
    }

    #[test]
    fn a_url_keeps_its_user_and_name_behind_another_address() {
        let database = Database::given("postgres://roost@127.0.0.1:5432/chaos").expect("an address");
        let through = database.url_at(SocketAddr::from(([10, 1, 2, 1], 999)));
        assert_eq!(through, "postgres://roost@10.1.2.1:999/chaos");
        assert_eq!(database.address(), SocketAddr::from(([127, 0, 0, 1], 5432)));
        assert!(Database::given("nowhere").is_err());
    }
}
