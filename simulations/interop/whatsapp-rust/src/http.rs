//! The library's own HTTP client, led to the simulated WhatsApp whatever host it is to ask.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};
use whatsapp_rust::http::UreqHttpClient;

/// The longest that a request and its answer take.
const LIMIT: Duration = Duration::from_secs(60);

/// A client whose requests all go to the host and port of this URL, by TLS. It checks certificates as little as the rest.
///
/// # Errors
/// The URL names no address.
pub fn client(url: &str) -> anyhow::Result<UreqHttpClient> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().with_context(|| format!("{url:?} names no host"))?;
    let address = authority.as_str().to_socket_addrs()?.next();
    let address = address.with_context(|| format!("{authority} has no address"))?;
    let tls = TlsConfig::builder().disable_verification(true).build();
    let config = Config::builder().tls_config(tls).timeout_global(Some(LIMIT)).build();
    let agent = Agent::with_parts(config, DefaultConnector::new(), Simulator(address));
    Ok(UreqHttpClient::with_agent(agent))
}

/// Knows one address.
#[derive(Debug)]
struct Simulator(SocketAddr);

impl Resolver for Simulator {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}
