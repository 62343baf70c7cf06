//! Single fields of the configuration: text in, typed value or a refusal that names the field out.
//!
//! What must hold: no error repeats a value that may hold a secret. What the fields mean together is
//! judged in `config.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use roost_actors::port::ProxyUri;
use roost_proto::id::NodeId;

use super::layers::{Layers, Origin};
use super::{ConfigError, parse_duration};

/// Typed access with errors that name the field.
pub(super) struct Reader<'a>(pub(super) &'a Layers);

impl Reader<'_> {
    pub(super) fn invalid(&self, section: &str, key: &str, why: &str) -> ConfigError {
        let origin = self.0.origin(section, key).clone();
        ConfigError::Invalid { field: format!("{section}.{key}"), why: why.to_owned(), origin }
    }

    pub(super) fn optional(&self, section: &str, key: &str) -> Option<String> {
        Some(self.0.text(section, key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn duration(&self, section: &str, key: &str) -> Result<Duration, ConfigError> {
        let why = "must be a duration with a unit, as 250ms, 2s, 10m, 168h or 7d";
        parse_duration(self.0.text(section, key)).ok_or_else(|| self.invalid(section, key, why))
    }

    pub(super) fn count(&self, section: &str, key: &str, least: u32, most: u32) -> Result<u32, ConfigError> {
        let why = format!("must be {least} to {most}");
        let number = u32::try_from(self.0.integer(section, key)).ok();
        number.filter(|n| (least..=most).contains(n)).ok_or_else(|| self.invalid(section, key, &why))
    }

    pub(super) fn weight(&self) -> Result<u32, ConfigError> {
        let weight = self.0.float("node", "weight");
        if (0.01..=100.0).contains(&weight) {
            return Ok((weight * 100.0).round() as u32);
        }
        Err(self.invalid("node", "weight", "must be 0.01 to 100"))
    }

    pub(super) fn node_id(&self) -> Result<NodeId, ConfigError> {
        let id = self.0.text("node", "id");
        if id != "auto" {
            return id.parse().map_err(|e| self.invalid("node", "id", &format!("is not valid: {e}")));
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        slot_of_host(&host)
            .ok_or_else(|| self.invalid("node", "id", "is \"auto\", and the host name makes no node id"))
    }

    pub(super) fn address(&self, key: &str, insecure: bool) -> Result<SocketAddr, ConfigError> {
        let Ok(address) = self.0.text("listen", key).parse::<SocketAddr>() else {
            return Err(self.invalid("listen", key, "must have the form ip:port"));
        };
        if !address.ip().is_loopback() && !insecure {
            let why = "is not a loopback address. There is no TLS and no authentication yet: whoever reaches this \
                       address controls every device. Set listen.insecure = true if something in front protects it";
            return Err(self.invalid("listen", key, why));
        }
        Ok(address)
    }

    pub(super) fn store_url(&self) -> Result<String, ConfigError> {
        let (url, key) = match self.optional("store", "url_file") {
            Some(path) => {
                if *self.0.origin("store", "url") != Origin::Default {
                    return Err(self.invalid("store", "url_file", "and store.url exclude each other"));
                }
                let path = PathBuf::from(path);
                let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::NamedFile {
                    field: "store.url_file".into(),
                    path,
                    source,
                })?;
                (text.trim().to_owned(), "url_file")
            }
            None => (self.0.text("store", "url").to_owned(), "url"),
        };
        if !["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(self.invalid("store", key, "must be a URL that begins with sqlite: or postgres://"));
        }
        Ok(url)
    }

    pub(super) fn websocket_url(&self) -> Result<String, ConfigError> {
        let url = self.0.text("whatsapp", "url");
        let parsed = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
        match parsed.as_ref().and_then(|uri| uri.scheme_str()) {
            Some("wss" | "ws") => Ok(url.to_owned()),
            _ => Err(self.invalid("whatsapp", "url", "must be a URL that begins with wss:// or ws://")),
        }
    }

    pub(super) fn sticker_url(&self) -> Result<String, ConfigError> {
        let url = self.0.text("whatsapp", "sticker_url");
        let parsed =
            url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some() && uri.query().is_none());
        match parsed.as_ref().and_then(|uri| uri.scheme_str()) {
            Some("https" | "http") => Ok(url.to_owned()),
            _ => Err(self.invalid(
                "whatsapp",
                "sticker_url",
                "must be a URL that begins with https:// or http:// and has no query",
            )),
        }
    }

    pub(super) fn proxy(&self) -> Result<Option<ProxyUri>, ConfigError> {
        let (text, key) = match self.optional("whatsapp", "proxy_file") {
            Some(_) if self.optional("whatsapp", "proxy").is_some() => {
                return Err(self.invalid("whatsapp", "proxy_file", "and whatsapp.proxy exclude each other"));
            }
            Some(path) => {
                let path = PathBuf::from(path);
                let read = std::fs::read_to_string(&path);
                let field = "whatsapp.proxy_file".into();
                (Some(read.map_err(|source| ConfigError::NamedFile { field, path, source })?), "proxy_file")
            }
            None => (self.optional("whatsapp", "proxy"), "proxy"),
        };
        let proxy = text.map(|text| text.parse::<ProxyUri>()).transpose();
        proxy.map_err(|error| self.invalid("whatsapp", key, &error.to_string()))
    }

    pub(super) fn root_key(&self) -> Result<Option<[u8; 32]>, ConfigError> {
        let Some(text) = self.optional("whatsapp", "root_key") else { return Ok(None) };
        let mut key = [0; 32];
        match hex::decode_to_slice(text.trim(), &mut key) {
            Ok(()) => Ok(Some(key)),
            Err(_) => Err(self.invalid("whatsapp", "root_key", "must be 64 hexadecimal digits")),
        }
    }
}

/// The first label of a host name as a node id: lower case, other characters become `-`.
pub(super) fn slot_of_host(host: &str) -> Option<NodeId> {
    let label = host.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let clean: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    clean.trim_matches('-').parse().ok()
}
