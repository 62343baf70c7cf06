//! Where files go and come from.

use std::time::Duration;

use super::{Question, set};
use crate::stanza::{Builder, Missing, Read as _, Stanza};

/// Hosts that are believed of one answer.
const HOSTS: usize = 16;
/// Shortest and longest time for which an answer is believed, in seconds.
const TTL: (u64, u64) = (10, 24 * 3600);

/// Asks where files of this account go and come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhereMediaGoes;

/// Where WhatsApp wants files to go and come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaHosts {
    /// What goes with an upload.
    pub auth: String,
    /// `host` or `host:port`, the best one first; at least one.
    pub hosts: Vec<String>,
    /// How long this may be used.
    pub ttl: Duration,
}

impl Question for WhereMediaGoes {
    type Answer = MediaHosts;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        set("w:m").children([Builder::new("media_conn").build()]).build()
    }

    /// `<media_conn auth ttl><host hostname/>*</media_conn>`
    fn read(&self, answer: &Stanza) -> Result<MediaHosts, Missing> {
        let conn = answer.need_child("media_conn")?;
        let auth = conn.need_text("auth")?.into_owned();
        let names = conn.all_named("host").filter_map(|host| Some(host.text("hostname")?.into_owned()));
        // It becomes part of a URL: nothing but a host and a port may be in it.
        let plain = |name: &String| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
            (1..=260).contains(&name.len()) && name.bytes().all(good)
        };
        let hosts: Vec<String> = names.filter(plain).take(HOSTS).collect();
        if hosts.is_empty() {
            return Err(Missing { tag: "media_conn".to_owned(), what: "host" });
        }
        let ttl = conn.number("ttl").unwrap_or(0).clamp(TTL.0, TTL.1);
        Ok(MediaHosts { auth, hosts, ttl: Duration::from_secs(ttl) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hosts: &[&str]) -> Stanza {
        let hosts = hosts.iter().map(|name| Builder::new("host").attr("hostname", *name).build());
        let hosts: Vec<_> = hosts.collect();
        let conn = Builder::new("media_conn").attr("auth", "a").attr("ttl", 300u32);
        Builder::new("iq").children([conn.children(hosts).build()]).build()
    }

    #[test]
    fn hosts_are_names_and_never_paths() {
        let read =
            WhereMediaGoes.read(&answer(&["mmg.whatsapp.net", "evil/..", "me@evil", "127.0.0.1:84", ""]));
        let read = read.expect("two are good");
        assert_eq!(read.hosts, ["mmg.whatsapp.net", "127.0.0.1:84"]);
        assert_eq!((read.auth.as_str(), read.ttl), ("a", Duration::from_secs(300)));
    }

    #[test]
    fn an_answer_without_a_host_or_permission_is_refused() {
        assert!(WhereMediaGoes.read(&answer(&[])).is_err());
        assert!(WhereMediaGoes.read(&answer(&["a b"])).is_err());
        assert!(WhereMediaGoes.read(&Builder::new("iq").build()).is_err());
    }
}
