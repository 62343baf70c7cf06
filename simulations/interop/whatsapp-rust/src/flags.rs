//! The flags that every driver has; each may come from the environment.

use anyhow::{Context, bail};

/// Where the simulated WhatsApp is, and where the device is kept.
#[derive(Debug)]
pub struct Flags {
    /// `wss://host:port` or `ws://host:port`.
    pub url: String,
    /// SQLite file of the device.
    pub db: String,
    /// Push name of the account.
    pub name: String,
    /// Least level of the library's log.
    pub log: String,
}

impl Flags {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    /// An unknown flag, a flag without a value, no `--url` or no `--db`.
    pub fn parse(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let from = |name: &str| std::env::var(name).unwrap_or_default();
        let mut flags = Self {
            url: from("WA_URL"),
            db: from("WA_DB"),
            name: "whatsapp-rust".to_owned(),
            log: from("WA_LOG"),
        };
        while let Some(flag) = words.next() {
            let value = words.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--url" => flags.url = value,
                "--db" => flags.db = value,
                "--name" => flags.name = value,
                "--log" => flags.log = value,
                // The library can be told neither an authority for TLS nor a root key: it checks neither here.
                "--ca" | "--root" => {}
                _ => bail!("unknown flag {flag}"),
            }
        }
        if flags.url.is_empty() || flags.db.is_empty() {
            bail!("--url and --db are needed");
        }
        Ok(flags)
    }
}
