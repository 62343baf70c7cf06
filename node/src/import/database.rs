//! Databases of other libraries, SQLite or PostgreSQL, read in one transaction.
//!
//! What must hold: nothing is written. A SQLite file is refused while another process of this machine has it
//! open, and is locked against all others while it is read; a PostgreSQL database is refused while any other
//! session is on it, which says more than that the library runs, and less when it connects a moment later.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{From, ImportError, running};

/// One connection, in a transaction.
pub(super) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A value of a row; integers are cast to 64 bits in the statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Bytes(Vec<u8>),
    Text(String),
    Number(i64),
    Null,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Text,
    Number,
}

impl Cell {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Cell::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    /// A number of 32 bits without a sign; some libraries store its bits with one.
    pub(super) fn number(&self) -> u32 {
        match self {
            Cell::Number(number) => u32::try_from(*number)
                .or_else(|_| i32::try_from(*number).map(i32::cast_unsigned))
                .unwrap_or(0),
            _ => 0,
        }
    }
}

impl Database {
    /// Opens what `from` names.
    pub(super) async fn open(from: &From) -> Result<Database, ImportError> {
        if from.place.starts_with("postgres://") || from.place.starts_with("postgresql://") {
            return Self::postgres(from).await;
        }
        let path = Path::new(&from.place);
        std::fs::File::open(path).map_err(|source| ImportError::File { path: path.to_owned(), source })?;
        if !from.stopped {
            let journal = |end: &str| Path::new(&format!("{}{end}", from.place)).to_owned();
            let users = running::users(&[path, &journal("-wal"), &journal("-journal")]);
            if let Some(process) = users.first() {
                return Err(ImportError::InUse(format!("process {process} has it open")));
            }
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(Duration::ZERO)
            .locking_mode(SqliteLockingMode::Exclusive);
        let mut connection = options.connect().await?;
        match sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await {
            Ok(_) => Ok(Database::Sqlite(connection)),
            Err(sqlx::Error::Database(error)) if error.message().contains("locked") => {
                Err(ImportError::InUse("another process has locked it".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn postgres(from: &From) -> Result<Database, ImportError> {
        let options: PgConnectOptions = from.place.parse()?;
        let mut connection = options.application_name("roost import").connect().await?;
        if !from.stopped {
            let others = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
            let others: i64 = sqlx::query_scalar(others).fetch_one(&mut connection).await?;
            if others > 0 {
                return Err(ImportError::InUse(format!("{others} other sessions are on the database")));
            }
        }
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
        Ok(Database::Postgres(connection))
    }

    /// Rows of a statement with one parameter at most, `$1`.
    pub(super) async fn rows(
        &mut self,
        statement: &'static str,
        parameter: Option<&str>,
        kinds: &[Kind],
    ) -> Result<Vec<Vec<Cell>>, ImportError> {
        macro_rules! cells {
            ($connection:expr) => {{
                let mut query = sqlx::query(statement);
                if let Some(parameter) = parameter {
                    query = query.bind(parameter);
                }
                let mut rows = Vec::new();
                for row in query.fetch_all($connection).await? {
                    let mut cells = Vec::new();
                    for (at, kind) in kinds.iter().enumerate() {
                        cells.push(match kind {
                            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map(Cell::Bytes),
                            Kind::Text => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
                            Kind::Number => row.try_get::<Option<i64>, _>(at)?.map(Cell::Number),
                        });
                    }
                    rows.push(cells.into_iter().map(|cell| cell.unwrap_or(Cell::Null)).collect());
                }
                rows
            }};
        }
        Ok(match self {
            Database::Sqlite(connection) => cells!(connection),
            Database::Postgres(connection) => cells!(connection),
        })
    }

    /// How many rows a statement with one parameter counts.
    pub(super) async fn count(
        &mut self,
        statement: &'static str,
        parameter: &str,
    ) -> Result<u64, ImportError> {
        let counted = self.rows(statement, Some(parameter), &[Kind::Number]).await?;
        Ok(counted.first().map_or(0, |row| u64::from(row[0].number())))
    }

    /// Ends the transaction and closes.
    pub(super) async fn close(self) -> Result<(), ImportError> {
        match self {
            Database::Sqlite(mut connection) => {
                sqlx::query("ROLLBACK").execute(&mut connection).await?;
                connection.close().await?;
            }
            Database::Postgres(mut connection) => {
                sqlx::query("ROLLBACK").execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

/// The device to take among those that are paired: (phone number, row).
pub(super) fn choose<T>(from: &From, mut devices: Vec<(String, T)>) -> Result<T, ImportError> {
    if let Some(phone) = &from.phone {
        let phone = phone.trim_start_matches('+');
        devices.retain(|(number, _)| number == phone);
    }
    match devices.len() {
        0 => Err(ImportError::NoDevice(from.phone.as_ref().map(|p| format!(" of {p}")).unwrap_or_default())),
        1 => Ok(devices.remove(0).1),
        _ => {
            let numbers: Vec<String> = devices.into_iter().map(|(number, _)| number).collect();
            Err(ImportError::SeveralDevices(numbers.join(", ")))
        }
    }
}
