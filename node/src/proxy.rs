//! The way to WhatsApp through a proxy: HTTP `CONNECT`, or SOCKS5.
//!
//! What must hold: the proxy is told the name of the host, so that nothing is looked up here; TLS is spoken with WhatsApp
//! through it, never with it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use roost_actors::port::{ProxyKind, ProxyUri};
use tower_service::Service as _;

use crate::outside::{Connect, Duplex};

/// The way through a proxy.
#[derive(Debug, Clone)]
pub struct Proxy(pub ProxyUri);

#[async_trait]
impl Connect for Proxy {
    async fn connect(&self, host: &str, port: u16) -> std::io::Result<Box<dyn Duplex>> {
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let to: Uri = format!("https://{bracketed}:{port}/").parse().map_err(std::io::Error::other)?;
        let ProxyUri { kind, authority, login } = &self.0;
        // The connector below knows no other scheme; what is spoken is another matter.
        let at: Uri = format!("http://{authority}").parse().map_err(std::io::Error::other)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let stream = match kind {
            ProxyKind::Http => {
                let mut tunnel = Tunnel::new(at, tcp);
                if let Some((user, password)) = login {
                    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                    tunnel = tunnel.with_auth(HeaderValue::try_from(basic).map_err(std::io::Error::other)?);
                }
                tunnel.call(to).await.map_err(std::io::Error::other)?
            }
            ProxyKind::Socks => {
                let mut socks = SocksV5::new(at, tcp);
                if let Some((user, password)) = login.clone() {
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

    /// Answers one client of a proxy that has to log in as `user` with `hunter2`, and echoes what comes through. Returns
    /// where the client wanted to.
    async fn serve(mut client: TcpStream, kind: ProxyKind) -> String {
        let to = match kind {
            ProxyKind::Http => {
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
            ProxyKind::Socks => {
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

    async fn proxy(kind: ProxyKind, login: &str) -> (Proxy, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let scheme = if kind == ProxyKind::Http { "http" } else { "socks5" };
        let serving = tokio::spawn(async move {
            let (client, _) = listener.accept().await.expect("somebody connects");
            serve(client, kind).await
        });
        (Proxy(format!("{scheme}://{login}{at}").parse().expect("a proxy")), serving)
    }

    #[tokio::test]
    async fn what_is_sent_goes_through_either_proxy_to_the_named_host() {
        for kind in [ProxyKind::Http, ProxyKind::Socks] {
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
        for kind in [ProxyKind::Http, ProxyKind::Socks] {
            let (proxy, serving) = proxy(kind, "user:hunter3@").await;
            let Err(error) = proxy.connect("web.whatsapp.com", 443).await else { panic!("{kind:?} opened") };
            assert!(!error.to_string().contains("hunter3"), "{error}");
            serving.await.expect("it ran");
        }
    }
}
