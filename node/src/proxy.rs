//! The way to WhatsApp through a proxy: HTTP `CONNECT`, or SOCKS5.
//!
//! What must hold: the proxy is told the name of the host, so that nothing is looked up here; TLS is spoken with WhatsApp
//! through it, never with it. The password is never shown.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use tower_service::Service as _;

use crate::outside::{Connect, Duplex};

/// A proxy: `http://…` or `socks5://…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    /// Its address, without who uses it.
    at: Uri,
    login: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks,
}

/// Why a text is no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http:// or socks5:// with [user:password@]host:port and nothing behind it")]
pub struct ProxyError;

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Proxy, ProxyError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(ProxyError)?;
        let kind = match scheme {
            "http" => Kind::Http,
            "socks5" => Kind::Socks,
            _ => return Err(ProxyError),
        };
        let (login, address) = match rest.rsplit_once('@') {
            Some((login, address)) => {
                let (user, password) = login.split_once(':').ok_or(ProxyError)?;
                let short = |text: &str| !text.is_empty() && text.len() < 256;
                if !short(user) || !short(password) {
                    return Err(ProxyError);
                }
                (Some((user.to_owned(), password.to_owned())), address)
            }
            None => (None, rest),
        };
        // The connector below knows no other scheme; what is spoken is another matter.
        let at: Uri = format!("http://{address}").parse().map_err(|_| ProxyError)?;
        if at.port_u16().is_none()
            || at.host().is_none_or(str::is_empty)
            || at.path() != "/"
            || at.query().is_some()
        {
            return Err(ProxyError);
        }
        Ok(Proxy { kind, at, login })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {})", self.kind, self.at)
    }
}

#[async_trait]
impl Connect for Proxy {
    async fn connect(&self, host: &str, port: u16) -> std::io::Result<Box<dyn Duplex>> {
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let to: Uri = format!("https://{bracketed}:{port}/").parse().map_err(std::io::Error::other)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let stream = match self.kind {
            Kind::Http => {
                let mut tunnel = Tunnel::new(self.at.clone(), tcp);
                if let Some((user, password)) = &self.login {
                    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                    tunnel = tunnel.with_auth(HeaderValue::try_from(basic).map_err(std::io::Error::other)?);
                }
                tunnel.call(to).await.map_err(std::io::Error::other)?
            }
            Kind::Socks => {
                let mut socks = SocksV5::new(self.at.clone(), tcp);
                if let Some((user, password)) = self.login.clone() {
                    socks = socks.with_auth(user, password);
                }
                socks.call(to).await.map_err(std::io::Error::other)?
            }
        };
        Ok(Box::new(stream.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_proxy_has_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:3128", "socks5://user:p@ss@proxy.example:1080", "http://[::1]:8080/"] {
            good.parse::<Proxy>().expect(good);
        }
        for bad in [
            "",
            "proxy:3128",
            "https://proxy:443",
            "socks4://proxy:1080",
            "http://proxy",
            "http://:3128",
            "http://user@proxy:3128",
            "http://proxy:3128/path",
        ] {
            assert_eq!(bad.parse::<Proxy>(), Err(ProxyError), "{bad}");
        }
        let proxy: Proxy = "socks5://user:hunter2@proxy:1080".parse().expect("a proxy");
        assert_eq!(format!("{proxy:?}"), "Proxy(Socks http://proxy:1080/)");
    }

    /// Answers one client of a proxy that has to log in as `user` with `hunter2`, and echoes what comes through. Returns
    /// where the client wanted to.
    async fn serve(mut client: TcpStream, kind: Kind) -> String {
        let to = match kind {
            Kind::Http => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.expect("a head"));
                }
                let head = String::from_utf8(head).expect("a head is text");
                let basic = format!("Basic {}", STANDARD.encode("user:hunter2"));
                let answer = match head.contains(&basic) {
                    true => "HTTP/1.1 200 OK\r\n\r\n",
                    false => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                };
                client.write_all(answer.as_bytes()).await.expect("written");
                head.split_whitespace().nth(1).expect("a target").to_owned()
            }
            // RFC 1928 and RFC 1929.
            Kind::Socks => {
                let mut greeting = [0; 2];
                client.read_exact(&mut greeting).await.expect("a greeting");
                let mut methods = vec![0; usize::from(greeting[1])];
                client.read_exact(&mut methods).await.expect("methods");
                let asked = if methods.contains(&2) { 2 } else { 0xff };
                client.write_all(&[5, asked]).await.expect("written");
                if asked == 0xff {
                    return String::new();
                }
                let mut login = [0; 14];
                client.read_exact(&mut login).await.expect("a login");
                let right = login == *b"\x01\x04user\x07hunter2";
                client.write_all(&[1, u8::from(!right)]).await.expect("written");
                let mut head = [0; 5];
                if client.read_exact(&mut head).await.is_err() {
                    return String::new();
                }
                assert_eq!(head[..4], [5, 1, 0, 3], "a name, not an address");
                let mut name = vec![0; usize::from(head[4])];
                client.read_exact(&mut name).await.expect("a name");
                let port = client.read_u16().await.expect("a port");
                client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await.expect("written");
                format!("{}:{port}", String::from_utf8(name).expect("a name is text"))
            }
        };
        let mut through = [0; 4];
        if client.read_exact(&mut through).await.is_ok() {
            client.write_all(&through).await.expect("written");
        }
        to
    }

    async fn proxy(kind: Kind, login: &str) -> (Proxy, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let scheme = if kind == Kind::Http { "http" } else { "socks5" };
        let serving = tokio::spawn(async move {
            let (client, _) = listener.accept().await.expect("somebody connects");
            serve(client, kind).await
        });
        (format!("{scheme}://{login}{at}").parse().expect("a proxy"), serving)
    }

    #[tokio::test]
    async fn what_is_sent_goes_through_either_proxy_to_the_named_host() {
        for kind in [Kind::Http, Kind::Socks] {
            let (proxy, serving) = proxy(kind, "user:hunter2@").await;
            let mut stream = proxy.connect("web.whatsapp.com", 443).await.expect("it opens");
            stream.write_all(b"ping").await.expect("written");
            let mut back = [0; 4];
            stream.read_exact(&mut back).await.expect("it comes back");
            assert_eq!(&back, b"ping");
            assert_eq!(serving.await.expect("it ran"), "web.whatsapp.com:443");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_opens_nothing_and_its_password_is_not_told() {
        for kind in [Kind::Http, Kind::Socks] {
            let (proxy, serving) = proxy(kind, "user:hunter3@").await;
            let Err(error) = proxy.connect("web.whatsapp.com", 443).await else { panic!("{kind:?} opened") };
            assert!(!error.to_string().contains("hunter3"), "{error}");
            serving.await.expect("it ran");
        }
    }
}
