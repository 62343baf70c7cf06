//! Who the server is: the Noise root and static key, and a certificate authority of its own for TLS.
//!
//! What must hold: everything can be kept and read back, so that clients that trust a server still trust it
//! after a restart. Nothing here is ever trusted by a production node unless somebody configures it.

use std::sync::Arc;

use rand::CryptoRng;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair as TlsKey, KeyUsagePurpose};
use roost_proto::cert;
use roost_proto::id::UnixMillis;
use roost_proto::noise::Responder;
use roost_proto::signal::KeyPair;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// The names that the TLS certificate is good for: loopback, and the real hosts that unmodified clients dial.
const NAMES: [&str; 7] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "web.whatsapp.com",
    "g.whatsapp.net",
    "mmg.whatsapp.net",
    "static.whatsapp.net",
];

/// The keys of one simulated server.
pub(super) struct Authority {
    root: KeyPair,
    server: KeyPair,
    tls_key: TlsKey,
    ca_pem: String,
}

/// An [`Authority`] as it is written to a state file. Secret, though only of a simulation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptAuthority {
    root: String,
    server: String,
    tls_key: String,
    ca_pem: String,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate could not be made, or a kept key could not be read.
    #[error("the TLS certificate cannot be made")]
    Tls(#[from] rcgen::Error),
    /// The TLS configuration was refused.
    #[error("the TLS configuration cannot be made")]
    Config(#[from] rustls::Error),
    /// A kept Noise key is not 32 bytes in hexadecimal.
    #[error("a kept Noise key cannot be read")]
    NoiseKey,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// [`AuthorityError::Tls`].
    pub(super) fn new<R: CryptoRng>(rng: &mut R) -> Result<Self, AuthorityError> {
        let tls_key = TlsKey::generate()?;
        let ca_pem = ca_params()?.self_signed(&tls_key)?.pem();
        Ok(Self { root: KeyPair::generate(rng), server: KeyPair::generate(rng), tls_key, ca_pem })
    }

    /// The one that was kept.
    ///
    /// # Errors
    /// [`AuthorityError`] when it cannot be read.
    pub(super) fn from_kept(kept: &KeptAuthority) -> Result<Self, AuthorityError> {
        let pair = |text: &str| {
            let bytes = hex::decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes.map(KeyPair::from_private).ok_or(AuthorityError::NoiseKey)
        };
        Ok(Self {
            root: pair(&kept.root)?,
            server: pair(&kept.server)?,
            tls_key: TlsKey::from_pem(&kept.tls_key)?,
            ca_pem: kept.ca_pem.clone(),
        })
    }

    /// What must be kept.
    pub(super) fn keep(&self) -> KeptAuthority {
        KeptAuthority {
            root: hex::encode(self.root.private()),
            server: hex::encode(self.server.private()),
            tls_key: self.tls_key.serialize_pem(),
            ca_pem: self.ca_pem.clone(),
        }
    }

    /// The root key that clients must trust, 32 bytes.
    pub(super) fn root(&self) -> &[u8; 32] {
        self.root.public()
    }

    /// The TLS authority that clients must trust.
    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Answers handshakes, with a certificate chain that is fresh at `now`.
    pub(super) fn responder<R: CryptoRng>(&self, now: UnixMillis, rng: &mut R) -> Responder {
        let chain = cert::issue(&self.root, self.server.public(), now, rng);
        Responder::new(self.server.clone(), chain, true)
    }

    /// The TLS side of the listener.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(super) fn tls(&self) -> Result<Arc<ServerConfig>, AuthorityError> {
        let issuer = Issuer::new(ca_params()?, &self.tls_key);
        let key = TlsKey::generate()?;
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "simulated WhatsApp");
        let leaf: CertificateDer<'static> = params.signed_by(&key, &issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf], key)?;
        Ok(Arc::new(config))
    }
}

fn ca_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "authority of a simulated WhatsApp");
    Ok(params)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_kept_authority_is_the_same_to_its_clients() {
        let authority = Authority::new(&mut StdRng::seed_from_u64(1)).expect("made");
        let again = Authority::from_kept(&authority.keep()).expect("kept");
        assert_eq!((again.root(), again.ca_pem()), (authority.root(), authority.ca_pem()));
        again.tls().expect("a certificate of the same authority");
    }
}
