//! Which database a URL names, and whether its schema is one that this program knows.
//!
//! What must hold: a schema newer than the program is refused before anything is read or written;
//! migrations only go forward, each in a transaction, and several processes may race to apply them
//! (the losers look again, for a time). No advisory lock is taken, so this works behind a transaction pooler.

use std::time::Duration;

use rand::RngExt;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use tokio::time::{Instant, timeout};

use super::options::{OpenError, StoreOptions, without_password};
use super::{postgres, sqlite};

/// The migrations of a dialect, oldest first: version, name, text.
pub(super) type Migrations = [(i64, &'static str, &'static str)];

/// The two kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

pub(super) fn dialect(url: &str) -> Result<Dialect, OpenError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
        Some("sqlite") => Ok(Dialect::Sqlite),
        _ => {
            let why = "it must begin with postgres:// or sqlite://".to_owned();
            Err(OpenError::BadUrl { why })
        }
    }
}

/// How long connecting for the check may take; a fresh server may still be starting.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a process that opens the database waits for others that do: they migrate, one after the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `attempt` again while all that it meets is another process that opens the same database.
pub(super) async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, OpenError>
where
    F: Future<Output = Result<T, OpenError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = attempt().await;
        if Instant::now() > deadline || !outcome.as_ref().is_err_and(others_were_first) {
            return outcome;
        }
        let pause = rand::rng().random_range(20..200);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Whether a process that opens the database has lost a race: for a migration, or for the lock of a SQLite file.
fn others_were_first(error: &OpenError) -> bool {
    match error {
        OpenError::Refused { source, .. } => sqlite::is_busy(source),
        OpenError::Migration(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) => true,
        _ => false,
    }
}

/// Compares the schema with the program's, and applies what is missing if the options say so.
pub(super) async fn check(options: &StoreOptions) -> Result<(), OpenError> {
    match dialect(&options.url)? {
        Dialect::Postgres => {
            let connect = postgres::connect_options(options, false)?;
            check_with(postgres::MIGRATIONS, connect, options).await
        }
        Dialect::Sqlite => {
            let connect = sqlite::connect_options(&options.url)?.busy_timeout(CONNECT);
            check_with(sqlite::MIGRATIONS, connect, options).await
        }
    }
}

async fn check_with<O>(migrations: &Migrations, connect: O, options: &StoreOptions) -> Result<(), OpenError>
where
    O: ConnectOptions,
    O::Connection: Migrate + Sized,
{
    let connected = timeout(CONNECT, connect.connect()).await;
    let connected = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let mut connection = connected.map_err(|error| unreachable(&options.url, error))?;
    let outcome = settle(migrations, &mut connection, options.migrate).await;
    // Closing is a courtesy; the connection has done its work.
    let _ = timeout(CONNECT, connection.close()).await;
    outcome
}

const TABLE: &str = "_sqlx_migrations";

async fn settle<C: Migrate>(
    migrations: &Migrations,
    connection: &mut C,
    migrate: bool,
) -> Result<(), OpenError> {
    let known = migrations.last().map_or(0, |(version, ..)| *version);
    connection.ensure_migrations_table(TABLE).await.map_err(OpenError::Migration)?;
    let applied = connection.list_applied_migrations(TABLE).await.map_err(OpenError::Migration)?;
    let found = applied.iter().map(|migration| migration.version).max().unwrap_or(0);
    if found > known {
        return Err(OpenError::SchemaNewer { found, known });
    }
    for &(version, name, text) in migrations {
        let migration =
            Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false);
        match applied.iter().find(|done| done.version == version) {
            Some(done) if done.checksum == migration.checksum => {}
            Some(_) => return Err(OpenError::Migration(MigrateError::VersionMismatch(version))),
            None if !migrate => return Err(OpenError::SchemaOlder { found, known }),
            None => {
                connection.apply(TABLE, &migration).await.map_err(OpenError::Migration)?;
            }
        }
    }
    Ok(())
}

/// Tells "nobody there" from "go away".
pub(super) fn unreachable(url: &str, source: sqlx::Error) -> OpenError {
    let address = without_password(url);
    match source {
        sqlx::Error::Database(_) => OpenError::Refused { address, source },
        _ => OpenError::Unreachable { address, source },
    }
}
