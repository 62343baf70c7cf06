//! `roost sim-scan`: the hand with the phone. It asks a node to pair a device and shows the QR code to a
//! simulated phone.
//!
//! It does what a person would do with a real phone, through the public API on one side and the public
//! conventions of the simulated WhatsApp on the other (`POST /admin/mock-phone/scan-qr`).

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::Uri;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use roost_node::client::{Client, retrying};
use roost_proto::api::{StartPairingRequest, pairing_event};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Options of `roost sim-scan`.
#[derive(Debug, Clone, Args)]
pub struct SimScanArgs {
    /// The device to pair: `tenants/{business_id}/devices/{device_id}`.
    pub device: String,
    /// Whose phone scans; the simulated WhatsApp makes the account when it is new.
    #[arg(long)]
    pub account: String,
    /// Where the simulated WhatsApp listens.
    #[arg(long, default_value = "https://127.0.0.1:18443")]
    pub whatsapp: Uri,
    /// PEM file of its certificate authority.
    #[arg(long)]
    pub ca: PathBuf,
}

/// The longest that a pairing may take.
const LIMIT: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Pairs the device through the node at `endpoint` and prints who it is now.
pub async fn run(args: SimScanArgs, endpoint: String) -> ExitCode {
    match tokio::time::timeout(LIMIT, pair(&args, &endpoint)).await {
        Ok(Ok(account)) => {
            println!("{} is paired as {account}", args.device);
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            eprintln!("{}: {error}", args.device);
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("{}: not paired within {LIMIT:?}", args.device);
            ExitCode::FAILURE
        }
    }
}

async fn pair(args: &SimScanArgs, endpoint: &str) -> Result<String, Failed> {
    let client = Client::connect(endpoint).await?;
    let start = || {
        let (mut pairing, device) = (client.pairing(), args.device.clone());
        async move { pairing.start_pairing(StartPairingRequest { device, ..Default::default() }).await }
    };
    // A device that was made a moment ago may not have an owner yet.
    let mut events = retrying(Instant::now() + LIMIT, start).await?;
    let mut scanned = false;
    while let Some(event) = events.message().await? {
        match event.event {
            Some(pairing_event::Event::Qr(code)) if !scanned => {
                show(args, code.payload).await?;
                scanned = true;
            }
            Some(pairing_event::Event::Paired(paired)) => {
                return Ok(paired.account.map(|account| account.phone_number).unwrap_or_default());
            }
            Some(pairing_event::Event::Failed(failed)) => {
                return Err(format!("{}: {}", failed.reason, failed.message).into());
            }
            _ => {}
        }
    }
    Err("the pairing stream ended without a word".into())
}

/// Posts the text of the QR code to the phone.
async fn show(args: &SimScanArgs, qr: String) -> Result<(), Failed> {
    let host = args.whatsapp.host().ok_or("the address of the simulated WhatsApp has no host")?;
    let port = args.whatsapp.port_u16().unwrap_or(443);
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&args.ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect((host, port)).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
    let driver = tokio::spawn(connection);
    let path = format!("/admin/mock-phone/scan-qr?name={}", args.account);
    let request = http::Request::post(path).header(http::header::HOST, host).body(qr)?;
    let answer = sender.send_request(request).await?;
    driver.abort();
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("the phone refused the code: {}", answer.status()).into())
    }
}
