//! How a store is opened, and why it may not open.
//!
//! What must hold: no error and no log line ever carries a password; each refusal tells an operator
//! what to change.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roost_proto::id::Life;

use super::seal::{KeyError, KeySource};

/// How to open a [`super::Store`].
#[derive(Clone)]
pub struct StoreOptions {
    /// `postgres://user:password@host/database` or `sqlite:///path/file.db`.
    pub url: String,
    /// Where the key-encryption key comes from.
    pub kek: Arc<dyn KeySource>,
    /// The life whose connections these are. Its death ends them (PostgreSQL).
    pub application: Option<Life>,
    /// Connections of the pool; on SQLite, of its readers. Default 16.
    pub max_connections: u32,
    /// How long a call waits for a free connection. Default 1 s.
    pub acquire_timeout: Duration,
    /// How long one statement may take, a transaction may idle, and a SQLite writer may wait for its
    /// turn. Keep it below the lease. Default 1 s.
    pub statement_timeout: Duration,
    /// How long the committer waits for company after the first entry of a group, when the group before
    /// had some. Default 1 ms.
    pub linger: Duration,
    /// Most entries of one group. Default 256.
    pub group_size: usize,
    /// Whether opening applies missing migrations. Default yes.
    pub migrate: bool,
}

impl StoreOptions {
    /// The defaults for a URL and a key.
    pub fn new(url: impl Into<String>, kek: Arc<dyn KeySource>) -> StoreOptions {
        StoreOptions {
            url: url.into(),
            kek,
            application: None,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(1),
            linger: Duration::from_millis(1),
            group_size: 256,
            migrate: true,
        }
    }

    /// A bound for any one call: a connection, a few statements, and some slack.
    pub(super) fn call_timeout(&self) -> Duration {
        self.acquire_timeout + self.statement_timeout * 2
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("url", &without_password(&self.url))
            .field("application", &self.application)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// The URL as it may be shown: `user:password@` becomes `user@`, and query parameters go.
pub(super) fn without_password(url: &str) -> String {
    let shown = url.split_once('?').map_or(url, |(address, _)| address);
    let Some((scheme, rest)) = shown.split_once("://") else { return shown.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return shown.to_owned() };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of the two forms.
    #[error("the database URL is not usable: {why}")]
    BadUrl {
        /// What is wrong with it; never the URL itself.
        why: String,
    },
    /// Nobody answers there.
    #[error("the database at {address} cannot be reached")]
    Unreachable {
        /// Where, without a password.
        address: String,
        /// Why.
        source: sqlx::Error,
    },
    /// It answers and refuses us: user, password, database, rights.
    #[error("the database at {address} refuses the connection")]
    Refused {
        /// Where, without a password.
        address: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A newer version of Roost has changed the schema.
    #[error("the schema is at version {found}, this program knows only up to {known}; use a newer one")]
    SchemaNewer {
        /// Version in the database.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// Migrations are missing and [`StoreOptions::migrate`] is off.
    #[error("the schema is at version {found}, this program needs {known}; run the migrations")]
    SchemaOlder {
        /// Version in the database, 0 when there is no schema.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// A migration failed.
    #[error("the schema could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// No key-encryption key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not the one that this database was made with.
    #[error("the key-encryption key is not the one that this database is sealed with")]
    WrongKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_shows_a_password() {
        let cases = [
            ("postgres://roost:s3cret@db.local:5432/roost", "postgres://roost@db.local:5432/roost"),
            ("postgres://roost:p@ss@db/roost", "postgres://roost@db/roost"),
            ("postgres://db/roost?user=a&password=b", "postgres://db/roost"),
            ("sqlite:///var/lib/roost.db", "sqlite:///var/lib/roost.db"),
            ("nonsense", "nonsense"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_password(url), shown);
        }
    }
}
