//! What was seen to work between Roost and clients that we did not write, and among those, as tables.
//!
//! What must hold: a cell says yes only because a run has just seen it; no and a dash say why. A run
//! fails when its table differs from the file that is kept in `simulations/interop/matrix`; with
//! `ROOST_MATRIX=write` it writes the file and the README instead. The README shows the files one after another,
//! those of one table after those of the other, and the reasons below.
//!
//! A new row is one line: `matrix.row("capability").seen(Way::From(Library::Baileys))…`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, Library};

const BEGIN: &str = "<!-- capabilities: begin -->\n";
const END: &str = "<!-- capabilities: end -->";
/// Stands between what a cell says and why.
const BECAUSE: &str = ": ";

/// From whom to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This client to Roost.
    From(Library),
    /// Roost to this client.
    To(Library),
    /// One client to another, through the simulated WhatsApp.
    Between(Library, Library),
}

use Library::{Baileys, WhatsappRust, Whatsmeow};
use Way::{Between, From, To};

/// The clients of the tables, each with its name in a test.
pub const CLIENTS: [(Library, &str); 3] = [(Whatsmeow, "w"), (Baileys, "b"), (WhatsappRust, "r")];

const WITH_ROOST: [Way; 6] =
    [From(Whatsmeow), To(Whatsmeow), From(Baileys), To(Baileys), From(WhatsappRust), To(WhatsappRust)];
const AMONG_CLIENTS: [Way; 6] = [
    Between(Whatsmeow, Baileys),
    Between(Baileys, Whatsmeow),
    Between(Whatsmeow, WhatsappRust),
    Between(WhatsappRust, Whatsmeow),
    Between(Baileys, WhatsappRust),
    Between(WhatsappRust, Baileys),
];

/// Which table, and what it is kept in beside the files of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    WithRoost,
    AmongClients,
}

/// The rows of one test.
#[derive(Debug)]
pub struct Matrix {
    name: &'static str,
    table: Table,
    rows: Vec<Row>,
}

/// One capability.
#[derive(Debug)]
pub struct Row {
    capability: &'static str,
    columns: [Way; 6],
    cells: [Cell; 6],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    NotTried,
    Yes,
    No(String),
    NotApplicable(String),
}

impl Way {
    fn title(self) -> String {
        match self {
            From(client) => format!("{} → Roost", client.name()),
            To(client) => format!("Roost → {}", client.name()),
            Between(one, other) => format!("{} → {}", one.name(), other.name()),
        }
    }
}

impl Row {
    /// It was seen to work this way.
    pub fn seen(&mut self, way: Way) -> &mut Row {
        self.set(way, Cell::Yes)
    }

    /// It does not work this way, for this reason, though the client has it.
    pub fn no(&mut self, way: Way, reason: &str) -> &mut Row {
        self.set(way, Cell::No(reason.to_owned()))
    }

    /// It cannot be this way, for this reason: the client has no such thing.
    pub fn not_applicable(&mut self, way: Way, reason: &str) -> &mut Row {
        self.set(way, Cell::NotApplicable(reason.to_owned()))
    }

    fn set(&mut self, way: Way, cell: Cell) -> &mut Row {
        let column = self.columns.iter().position(|column| *column == way);
        self.cells[column.expect("a way of this table")] = cell;
        self
    }

    fn line(&self) -> String {
        let cells = self.cells.iter().map(|cell| match cell {
            Cell::NotTried => "not tried".to_owned(),
            Cell::Yes => "yes".to_owned(),
            Cell::No(reason) => format!("no{BECAUSE}{reason}"),
            Cell::NotApplicable(reason) => format!("–{BECAUSE}{reason}"),
        });
        line(std::iter::once(self.capability.to_owned()).chain(cells))
    }
}

impl Matrix {
    /// Rows of the table between Roost and the clients; `name` is that of their file.
    pub fn new(name: &'static str) -> Matrix {
        Matrix { name, table: Table::WithRoost, rows: Vec::new() }
    }

    /// Rows of the table among the clients.
    pub fn among_clients(name: &'static str) -> Matrix {
        Matrix { name, table: Table::AmongClients, rows: Vec::new() }
    }

    /// The row of a capability, made when it is new.
    pub fn row(&mut self, capability: &'static str) -> &mut Row {
        let found = self.rows.iter().position(|row| row.capability == capability);
        let at = found.unwrap_or_else(|| {
            let (columns, cells) = (self.table.columns(), [const { Cell::NotTried }; 6]);
            self.rows.push(Row { capability, columns, cells });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn text(&self) -> String {
        self.rows.iter().map(Row::line).collect()
    }

    /// Compares with the file, or writes it.
    ///
    /// # Errors
    /// The run saw something else than the file says.
    pub fn check(&self) -> Result<(), Failure> {
        let path = self.table.folder().join(format!("{}.md", self.name));
        if std::env::var("ROOST_MATRIX").is_ok_and(|mode| mode == "write") {
            fs::write(&path, self.text())?;
            let readme = fs::read_to_string(readme_path())?;
            fs::write(readme_path(), with_tables(&readme, &tables()?)?)?;
            return Ok(());
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if kept == self.text() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} says\n{kept}\nand the run saw\n{}\nROOST_MATRIX=write on this test writes it",
            path.display(),
            self.text()
        )))
    }
}

impl Table {
    fn columns(self) -> [Way; 6] {
        match self {
            Table::WithRoost => WITH_ROOST,
            Table::AmongClients => AMONG_CLIENTS,
        }
    }

    fn folder(self) -> PathBuf {
        super::tools::folder(match self {
            Table::WithRoost => "matrix",
            Table::AmongClients => "matrix/among-clients",
        })
    }

    /// The head, and all files in the order of their names.
    fn text(self) -> Result<String, Failure> {
        let titles = std::iter::once(String::new()).chain(self.columns().map(Way::title));
        let rule = line(std::iter::repeat_n("---".to_owned(), self.columns().len() + 1));
        let mut text = format!("{}{rule}", line(titles));
        let entries = fs::read_dir(self.folder())?.map(|entry| entry.map(|entry| entry.path()));
        let mut files: Vec<PathBuf> = entries.collect::<Result<_, _>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
        files.sort();
        for file in files {
            text.push_str(&fs::read_to_string(file)?);
        }
        Ok(text)
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Both tables as the README shows them, and the reasons below.
fn tables() -> Result<String, Failure> {
    let mut reasons = Vec::new();
    let with_roost = numbered(&Table::WithRoost.text()?, &mut reasons);
    let among = numbered(&Table::AmongClients.text()?, &mut reasons);
    let reasons = reasons.iter().enumerate().map(|(at, reason)| format!("{}. {reason}\n", at + 1));
    let reasons: String = reasons.collect();
    Ok(format!("{with_roost}\nAmong themselves, through the simulated WhatsApp:\n\n{among}\n{reasons}"))
}

/// The table with a number in place of each reason; the same reason has the same number.
fn numbered(table: &str, reasons: &mut Vec<String>) -> String {
    let mut number = |cell: &str| {
        let why = ["no", "–"].into_iter().find_map(|word| Some((word, cell.strip_prefix(word)?)));
        let why = why.and_then(|(word, rest)| Some((word, rest.strip_prefix(BECAUSE)?)));
        let Some((word, reason)) = why else { return cell.to_owned() };
        let known = reasons.iter().position(|known| known == reason).unwrap_or(reasons.len());
        if known == reasons.len() {
            reasons.push(reason.to_owned());
        }
        format!("{word} ({})", known + 1)
    };
    let cells = |row: &str| {
        row.trim_start_matches("| ").trim_end_matches(" |").split(" | ").map(&mut number).collect::<Vec<_>>()
    };
    table.lines().map(cells).map(|cells| line(cells.into_iter())).collect()
}

/// What the README shows and what it should show.
#[cfg(test)]
fn readme() -> Result<(String, String), Failure> {
    let readme = fs::read_to_string(readme_path())?;
    let wanted = with_tables(&readme, &tables()?)?;
    Ok((readme, wanted))
}

fn with_tables(readme: &str, tables: &str) -> Result<String, Failure> {
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| Failure::new("the README has no place for the capabilities"))?;
    Ok(format!("{before}{BEGIN}{tables}{END}{after}"))
}

fn readme_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_what_was_seen_and_why_the_rest_was_not() {
        let mut matrix = Matrix::new("test");
        matrix.row("poll").seen(From(Whatsmeow)).no(To(Baileys), "it is lost");
        matrix.row("poll").seen(To(Whatsmeow)).not_applicable(From(Baileys), "it has none");
        assert_eq!(
            matrix.text(),
            "| poll | yes | yes | –: it has none | no: it is lost | not tried | not tried |\n"
        );
    }

    #[test]
    fn the_readme_numbers_the_reasons_and_each_once() {
        let mut reasons = Vec::new();
        let table = "| a | yes | no: lost |\n| b | –: none | no: lost |\n";
        assert_eq!(numbered(table, &mut reasons), "| a | yes | no (1) |\n| b | – (2) | no (1) |\n");
        assert_eq!(reasons, ["lost", "none"]);
    }

    #[test]
    fn the_readme_shows_the_tables_of_the_runs() {
        let (shown, wanted) = readme().expect("the README has a place for it");
        assert_eq!(shown, wanted, "ROOST_MATRIX=write on a test of capabilities writes it");
    }
}
