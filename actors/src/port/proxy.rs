//! A proxy as it is configured: `http://…` or `socks5://…`.
//!
//! What must hold: the password is in nothing that is shown; what was parsed can be dialled. How it is spoken to
//! is the adapter's business.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Longest text of a proxy, in bytes.
const LONGEST: usize = 1024;

/// A proxy: scheme, who uses it, where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUri {
    /// What is spoken with it.
    pub kind: ProxyKind,
    /// Host and port; an IPv6 address in brackets.
    pub authority: String,
    /// Name and password, each of 1 to 255 bytes.
    pub login: Option<(String, String)>,
}

/// What is spoken with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP `CONNECT`.
    Http,
    /// SOCKS5.
    Socks,
}

impl ProxyKind {
    fn scheme(self) -> &'static str {
        match self {
            ProxyKind::Http => "http",
            ProxyKind::Socks => "socks5",
        }
    }
}

/// Why a text is no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http:// or socks5:// with [user:password@]host:port and nothing behind it")]
pub struct ProxyError;

impl ProxyUri {
    /// The whole of it with the password, as it is stored. Never to be shown.
    pub fn secret(&self) -> String {
        let login = self.login.as_ref().map(|(user, password)| format!("{user}:{password}@"));
        format!("{}://{}{}", self.kind.scheme(), login.unwrap_or_default(), self.authority)
    }
}

impl FromStr for ProxyUri {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<ProxyUri, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").filter(|_| text.len() <= LONGEST).ok_or(ProxyError)?;
        let kind = match scheme {
            "http" => ProxyKind::Http,
            "socks5" => ProxyKind::Socks,
            _ => return Err(ProxyError),
        };
        let (login, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => {
                let (user, password) = login.split_once(':').ok_or(ProxyError)?;
                // What HTTP cannot carry in a header is refused here, not at the first dial.
                let sound = |text: &str| (1..256).contains(&text.len()) && !text.contains(char::is_control);
                if !sound(user) || !sound(password) {
                    return Err(ProxyError);
                }
                (Some((user.to_owned(), password.to_owned())), authority)
            }
            None => (None, rest),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or(ProxyError)?;
        let is_name = |host: &str| {
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (1..=253).contains(&host.len()) && host.bytes().all(byte)
        };
        let known = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(host),
        };
        let port_known = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse() != Ok(0);
        if !known || !port_known || port.parse::<u16>().is_err() {
            return Err(ProxyError);
        }
        Ok(ProxyUri { kind, authority: authority.to_owned(), login })
    }
}

impl fmt::Display for ProxyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| format!("{user}@")).unwrap_or_default();
        write!(f, "{}://{user}{}", self.kind.scheme(), self.authority)
    }
}

impl fmt::Debug for ProxyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:3128", "socks5://user:p@ss@proxy.example:1080", "http://[::1]:8080/"] {
            let proxy: ProxyUri = good.parse().expect(good);
            assert_eq!(proxy.secret().parse(), Ok(proxy), "{good}");
        }
        for bad in [
            "",
            "proxy:3128",
            "https://proxy:443",
            "socks4://proxy:1080",
            "http://proxy",
            "http://:3128",
            "http://proxy:0",
            "http://proxy:65536",
            "http://proxy:+80",
            "http://[proxy]:80",
            "http://a proxy:80",
            "http://user@proxy:3128",
            "http://user:pass\nword@proxy:3128",
            "http://proxy:3128/path",
            "http://proxy:3128?query",
        ] {
            assert_eq!(bad.parse::<ProxyUri>(), Err(ProxyError), "{bad}");
        }
    }

    #[test]
    fn a_password_is_kept_and_never_shown() {
        let proxy: ProxyUri = "socks5://user:hunter2@proxy:1080".parse().expect("a proxy");
        assert_eq!(proxy.to_string(), "socks5://user@proxy:1080");
        assert_eq!(format!("{proxy:?}"), "Proxy(socks5://user@proxy:1080)");
        assert_eq!(proxy.secret(), "socks5://user:hunter2@proxy:1080");
    }
}
