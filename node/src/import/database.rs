//! Databases of other libraries, SQLite or PostgreSQL, read in one transaction.
//!
//! What must hold: no row is changed; SQLite may bring its own files in order, as it does for whoever opens them (a
//! journal that a killed process has left, the write-ahead log at the end). A SQLite file is refused while another process of this machine has it
//! open, and is locked against all others while it is read; a PostgreSQL database is refused while any other
//! session is on it, which says more than that the library runs, and less when it connects a moment later.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{From, ImportError, address, running};

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

    /// A moment in Unix seconds; 0 for none.
    pub(super) fn seconds(&self) -> i64 {
        match self {
            Cell::Number(number) => *number,
            _ => 0,
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
        let mut connection = options.connect().await.map_err(of_schema)?;
        match sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await {
            Ok(_) => Ok(Database::Sqlite(connection)),
            Err(sqlx::Error::Database(error)) if error.message().contains("locked") => {
                Err(ImportError::InUse("another process has locked it".to_owned()))
            }
            Err(error) => Err(of_schema(error)),
        }
    }

    async fn postgres(from: &From) -> Result<Database, ImportError> {
        let options: PgConnectOptions = from.place.parse()?;
        let mut connection = options.application_name("roost import").connect().await?;
        if !from.stopped {
            // Of the sessions of other roles an ordinary one sees that they are there, and not of which type.
            let others = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL \
                 AND coalesce(backend_type, 'client backend') = 'client backend'";
            let others: i64 = sqlx::query_scalar(others).fetch_one(&mut connection).await?;
            if others > 0 {
                return Err(ImportError::InUse(format!("{others} other sessions are on the database")));
            }
        }
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
        Ok(Database::Postgres(connection))
    }

    /// Whether there is a table with this column: versions of a library differ in what they have.
    pub(super) async fn has(&mut self, table: &str, column: &str) -> Result<bool, ImportError> {
        let found: i64 = match self {
            Database::Sqlite(connection) => {
                let columns = "SELECT count(*) FROM pragma_table_info($1) WHERE name = $2";
                sqlx::query_scalar(columns).bind(table).bind(column).fetch_one(connection).await?
            }
            Database::Postgres(connection) => {
                let columns = "SELECT count(*) FROM pg_attribute \
                     WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped";
                sqlx::query_scalar(columns).bind(table).bind(column).fetch_one(connection).await?
            }
        };
        Ok(found > 0)
    }

    /// Refuses what has not all of these tables.
    pub(super) async fn must_have(
        &mut self,
        tables: &[(&'static str, &'static str)],
    ) -> Result<(), ImportError> {
        for (table, column) in tables {
            if !self.has(table, column).await? {
                return Err(ImportError::Unknown(format!(
                    "there is no table {table} with a column {column}"
                )));
            }
        }
        Ok(())
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
                for row in query.fetch_all($connection).await.map_err(of_schema)? {
                    let mut cells = Vec::new();
                    for (at, kind) in kinds.iter().enumerate() {
                        cells.push(match kind {
                            Kind::Bytes => {
                                row.try_get::<Option<Vec<u8>>, _>(at).map_err(of_schema)?.map(Cell::Bytes)
                            }
                            Kind::Text => {
                                row.try_get::<Option<String>, _>(at).map_err(of_schema)?.map(Cell::Text)
                            }
                            Kind::Number => {
                                row.try_get::<Option<i64>, _>(at).map_err(of_schema)?.map(Cell::Number)
                            }
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

    /// How many rows a statement with one parameter counts, which reads this table; none where it is not.
    pub(super) async fn count(
        &mut self,
        (table, column): (&str, &str),
        statement: &'static str,
        parameter: &str,
    ) -> Result<u64, ImportError> {
        if !self.has(table, column).await? {
            return Ok(0);
        }
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

/// What a statement fails with that a version of the library which is not known here has made wrong.
fn of_schema(error: sqlx::Error) -> ImportError {
    match &error {
        // PostgreSQL has codes for it: no such column, no such table, types that do not go together.
        sqlx::Error::Database(cause) => match cause.code().as_deref() {
            Some("42703" | "42P01" | "42804" | "42883") => ImportError::Unknown(cause.message().to_owned()),
            // Of SQLite: this is no database at all.
            Some("26") => ImportError::Unknown(cause.message().to_owned()),
            Some("1") if cause.message().starts_with("no such ") => {
                ImportError::Unknown(cause.message().to_owned())
            }
            _ => error.into(),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
            ImportError::Unknown(error.to_string())
        }
        _ => error.into(),
    }
}

/// The device to take among those that are paired: (JID, row).
pub(super) fn choose<T>(from: &From, mut devices: Vec<(String, T)>) -> Result<T, ImportError> {
    if let Some(phone) = &from.phone {
        devices.retain(|(jid, _)| address::is_meant(phone, jid));
    }
    match devices.len() {
        0 => Err(ImportError::NoDevice(from.phone.as_ref().map(|p| format!(" of {p}")).unwrap_or_default())),
        1 => Ok(devices.remove(0).1),
        _ => {
            let jids: Vec<String> = devices.into_iter().map(|(jid, _)| jid).collect();
            Err(ImportError::SeveralDevices(jids.join(", ")))
        }
    }
}
