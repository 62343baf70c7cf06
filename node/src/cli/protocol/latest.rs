//! `roost protocol latest`: which version WhatsApp Web has at the moment, asked from where the command runs.
//!
//! What must hold: one request, bounded in time and in size, without redirects; it chooses nothing. The headers are the
//! least that Baileys and whatsapp-rust found to be answered.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use roost_actors::port::ProxyUri;
use roost_proto::version::ProtocolVersion;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tonic::Code;

use crate::client::Problem;
use crate::link::tls_config;
use crate::media::HttpClient;
use crate::outside::Network;
use crate::proxy::Proxy;

/// Longest answer that is read. The script has about half of a megabyte.
const LONGEST: usize = 8 << 20;

const HEADERS: [(&str, &str); 2] = [
    ("sec-fetch-site", "none"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    ),
];

/// Where to ask.
#[derive(Debug, Clone, Args)]
pub struct LatestArgs {
    /// A page or a script of WhatsApp Web.
    #[arg(long, default_value = "https://web.whatsapp.com/sw.js")]
    url: String,
    /// The proxy to ask through: http:// or socks5:// with [user:password@]host:port.
    #[arg(long, value_name = "URL")]
    proxy: Option<ProxyUri>,
    /// A PEM file of authorities to trust instead of the public ones.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// The version that is there, found before the deadline.
pub(super) async fn ask(args: &LatestArgs, deadline: Instant) -> Result<ProtocolVersion, Problem> {
    let problem = |code, why: String| Problem {
        code,
        reason: None,
        message: format!("{}: {why}", args.url),
        fields: Vec::new(),
        retry: None,
    };
    let tls =
        tls_config(args.ca.clone()).map_err(|error| problem(Code::InvalidArgument, error.to_string()))?;
    let network = match args.proxy.clone() {
        Some(proxy) => Network::Other(Arc::new(Proxy(proxy))),
        None => Network::System,
    };
    let http = HttpClient::new(Some(TlsConnector::from(tls)), network);
    let asked = timeout_at(deadline, http.get(&args.url, &HEADERS, LONGEST)).await;
    let asked = asked.map_err(|_| problem(Code::DeadlineExceeded, "no answer in time".to_owned()))?;
    let (status, body) = asked.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        problem(Code::Unavailable, format!("{error}{}", cause.unwrap_or_default()))
    })?;
    if !status.is_success() {
        return Err(problem(Code::Unavailable, format!("it answers {status}")));
    }
    ProtocolVersion::in_page(&String::from_utf8_lossy(&body))
        .ok_or_else(|| problem(Code::NotFound, "it says no version".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What is found at a server that answers once with these bytes, and keeps silent without any.
    async fn found(answer: Vec<u8>, patience: Duration) -> Result<ProtocolVersion, Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("somebody asks");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("a head"));
            }
            // A client that has read enough is gone.
            _ = client.write_all(&answer).await;
            if answer.is_empty() {
                _ = client.read_u8().await;
            }
            String::from_utf8(head).expect("a head is text")
        });
        let args = LatestArgs { url: format!("http://{at}/sw.js"), proxy: None, ca: None };
        let found = ask(&args, Instant::now() + patience).await;
        let head = server.await.expect("it ran").to_lowercase();
        assert!(head.starts_with("get /sw.js http/1.1") && head.contains("sec-fetch-site: none"), "{head}");
        found
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_version_that_a_script_says_is_found() {
        let body = r#"importScripts("x");self.v="{\"client_revision\":1045649368}""#;
        let latest = found(answer("200 OK", body), LONG).await.expect("it says one");
        assert_eq!(latest.to_string(), "2.3000.1045649368");
    }

    #[tokio::test]
    async fn every_other_answer_is_a_problem_that_names_the_url() {
        let long = "x".repeat(LONGEST + 1);
        for (given, code, words) in [
            (answer("404 Not Found", "client_revision: 7"), Code::Unavailable, "404"),
            (answer("302 Found", "client_revision: 7"), Code::Unavailable, "302"),
            (answer("200 OK", "no version here"), Code::NotFound, "no version"),
            (answer("200 OK", &long), Code::Unavailable, "more than"),
            (b"no HTTP\r\n\r\n".to_vec(), Code::Unavailable, "broke"),
        ] {
            let problem = found(given, LONG).await.expect_err("no version");
            assert_eq!(problem.code, code, "{problem:?}");
            let message = &problem.message;
            assert!(message.contains(words) && message.contains("/sw.js"), "{message}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_at_the_deadline() {
        let problem = found(Vec::new(), Duration::from_millis(200)).await.expect_err("no answer");
        assert_eq!(problem.code, Code::DeadlineExceeded, "{problem:?}");
    }
}
