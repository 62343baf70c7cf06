//! A network of our own on this machine: a namespace for each node, all on one bridge, and packet filters
//! that cut a node off from whom we like, in one direction or both.
//!
//! What must hold: names carry this process's id, so runs do not meet; everything is removed when the value
//! is dropped, and what a run that was killed left behind is removed by the next one. It needs root and the
//! programs `ip` and `nft`; [`missing`] says what is not there.

use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, getpid};

use crate::processes::has_ended;

/// First letters of all names that are made here.
const PREFIX: &str = "rst";

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {why}")]
pub struct NetworkError {
    /// What was run.
    command: String,
    /// What came of it.
    why: String,
}

/// A bridge with our own end on it, and namespaces beside us.
#[derive(Debug)]
pub struct Network {
    /// What all names begin with: this process's id, and two letters for runs side by side.
    run: String,
    /// The second and third part of all addresses.
    subnet: [u8; 2],
    places: usize,
}

/// The way in which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// None get through.
    Both,
    /// What the node sends is lost; it still hears.
    Out,
    /// What is sent to the node is lost; it is still heard.
    In,
}

/// Somebody whom a node can be cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Far {
    /// The address.
    pub address: Ipv4Addr,
    /// One service there; `None` is everything.
    pub port: Option<u16>,
}

/// What is missing for a network of our own, in words.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root, for network namespaces".to_owned());
    }
    let absent = ["ip", "nft"].into_iter().find(|program| {
        let ran = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        !ran.is_ok_and(|status| status.success())
    });
    if let Some(program) = absent {
        return Some(format!("the program {program}"));
    }
    Network::build(1).err().map(|error| format!("network namespaces ({error})"))
}

impl Network {
    /// A bridge and so many namespaces, at most 100: names of links have 15 letters.
    pub fn build(places: usize) -> Result<Network, NetworkError> {
        static FIRST: Once = Once::new();
        // Before the first one, what carries our own id is of somebody who had it before us.
        FIRST.call_once(|| sweep_of(|run| run == getpid()));
        sweep();
        let network = Network { run: name_of_run(), subnet: rand::random(), places };
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", network.host()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for place in 0..places {
            let (name, near) = (network.namespace(place), network.link(place));
            ip(&["netns", "add", &name])?;
            ip(&["link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
            ip(&["link", "set", &near, "master", &bridge, "up"])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&["-n", &name, "addr", "add", &format!("{}/24", network.address(place)), "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        }
        Ok(network)
    }

    /// Our own address, which all nodes reach.
    pub fn host(&self) -> Ipv4Addr {
        let [high, low] = self.subnet;
        Ipv4Addr::new(10, high, low, 1)
    }

    /// The address of a node.
    pub fn address(&self, place: usize) -> Ipv4Addr {
        let [a, b, c, _] = self.host().octets();
        Ipv4Addr::new(a, b, c, 11 + u8::try_from(place).expect("at most 100 places"))
    }

    /// The namespace of a node.
    pub fn namespace(&self, place: usize) -> String {
        format!("{}n{place}", self.run)
    }

    fn bridge(&self) -> String {
        format!("{}b", self.run)
    }

    fn link(&self, place: usize) -> String {
        format!("{}v{place}", self.run)
    }

    /// From now on a node loses packets from and to these, and no others. What is cut is a black hole: no
    /// connection is refused or reset.
    pub fn cut(&self, place: usize, far: &[Far], way: Way) -> Result<(), NetworkError> {
        let namespace = self.namespace(place);
        let command = ["netns", "exec", &namespace, "nft", "-f", "-"];
        run("ip", &command, Some(&rules(far, way)))
    }

    /// No packet of this node is lost any more.
    pub fn heal(&self, place: usize) -> Result<(), NetworkError> {
        ip(&["netns", "exec", &self.namespace(place), "nft", "flush", "ruleset"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was never made cannot be removed, and that is well.
        for place in 0..self.places {
            let _ = ip(&["netns", "del", &self.namespace(place)]);
            let _ = ip(&["link", "del", &self.link(place)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

/// A name that no other network of this process has, which would be removed with this one.
fn name_of_run() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let letter = |of: u32| char::from(b'a' + u8::try_from(of % 26).expect("less than 26"));
    format!("{PREFIX}{}{}{}", std::process::id(), letter(run / 26), letter(run))
}

/// Removes what runs left behind whose process is gone.
pub(crate) fn sweep() {
    sweep_of(has_ended);
}

fn sweep_of(gone: fn(Pid) -> bool) {
    let named = |folder: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| process_of(name).is_some_and(gone)).collect::<Vec<_>>()
    };
    // Others may sweep at the same time.
    for namespace in named("/run/netns") {
        let _ = ip(&["netns", "del", &namespace]);
    }
    for link in named("/sys/class/net") {
        let _ = ip(&["link", "del", &link]);
    }
}

/// The process that made something of this name; `None` when none of ours did.
fn process_of(name: &str) -> Option<Pid> {
    let rest = name.strip_prefix(PREFIX)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().and_then(Pid::from_raw)
}

/// The rule set of a cut, for `nft -f`.
fn rules(far: &[Far], way: Way) -> String {
    let (mut hears, mut says) = (String::new(), String::new());
    for Far { address, port } in far {
        // A service has its port at the far end; everything else is cut whole.
        let (from, to) = match port {
            Some(port) => (format!(" tcp sport {port}"), format!(" tcp dport {port}")),
            None => (String::new(), String::new()),
        };
        if way != Way::Out {
            hears.push_str(&format!("    ip saddr {address}{from} drop\n"));
        }
        if way != Way::In {
            says.push_str(&format!("    ip daddr {address}{to} drop\n"));
        }
    }
    format!(
        "flush ruleset\ntable ip roost {{\n  chain hears {{\n    type filter hook input priority 0;\n{hears}  }}\n  \
         chain says {{\n    type filter hook output priority 0;\n{says}  }}\n}}\n"
    )
}

fn ip(arguments: &[&str]) -> Result<(), NetworkError> {
    run("ip", arguments, None)
}

fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<(), NetworkError> {
    let failed = |why: String| NetworkError { command: format!("{program} {}", arguments.join(" ")), why };
    let fed = || -> io::Result<std::process::Output> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let command = Command::new(program)
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = command?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), input) {
            io::Write::write_all(&mut pipe, text.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = fed().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FAR: Far = Far { address: Ipv4Addr::new(10, 1, 2, 1), port: Some(5432) };

    #[test]
    fn a_one_way_cut_drops_packets_of_that_way_only() {
        let out = rules(&[FAR], Way::Out);
        assert!(out.contains("ip daddr 10.1.2.1 tcp dport 5432 drop") && !out.contains("saddr"), "{out}");
        let back = rules(&[FAR], Way::In);
        assert!(back.contains("ip saddr 10.1.2.1 tcp sport 5432 drop") && !back.contains("daddr"), "{back}");
        assert_eq!(rules(&[FAR, Far { port: None, ..FAR }], Way::Both).matches("drop").count(), 4);
    }

    #[test]
    fn runs_side_by_side_remove_nothing_of_each_other() {
        let names: Vec<String> = (0..26 * 26).map(|_| name_of_run()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let longest = format!("{PREFIX}4194303zzv99");
        assert_eq!(longest.len(), 15, "as long as a link's name may be");
    }

    #[test]
    fn what_is_swept_is_known_by_the_process_that_made_it() {
        let name = name_of_run();
        assert_eq!(process_of(&format!("{name}n0")), Some(getpid()));
        assert_eq!(process_of(&format!("{PREFIX}4194303xyv99")), Pid::from_raw(4_194_303));
        assert_eq!([process_of("lo"), process_of("rstn0"), process_of("rst")], [None; 3]);
    }

    #[test]
    fn what_another_process_of_our_id_has_left_is_not_in_the_way() {
        if missing().is_some() {
            return;
        }
        let name = format!("{PREFIX}{}zz", std::process::id());
        ip(&["netns", "add", &format!("{name}n0")]).expect("a namespace");
        ip(&["link", "add", &format!("{name}b"), "type", "bridge"]).expect("a bridge");
        sweep();
        let left = || std::path::Path::new("/run/netns").join(format!("{name}n0")).exists();
        assert!(left(), "its process lives");
        sweep_of(|run| run == getpid());
        assert!(!left());
    }
}
