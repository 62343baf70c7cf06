//! What was seen to work between Roost and clients that we did not write, as a table.
//!
//! What must hold: a cell says yes only because a run has just seen it. A run fails when its table differs
//! from the file that is kept in `simulations/interop/matrix`; with `ROOST_MATRIX=write` it writes the file and
//! the README instead. The README shows the files one after another.
//!
//! A new row is one line: `matrix.row("capability").seen(Way::FromBaileys)…`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, Library};

const BEGIN: &str = "<!-- capabilities: begin -->\n";
const END: &str = "<!-- capabilities: end -->";
const HEAD: &str = "| | whatsmeow → Roost | Roost → whatsmeow | Baileys → Roost | Roost → Baileys |\n\
                    | --- | --- | --- | --- | --- |\n";

/// From whom to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// whatsmeow to Roost.
    FromWhatsmeow,
    /// Roost to whatsmeow.
    ToWhatsmeow,
    /// Baileys to Roost.
    FromBaileys,
    /// Roost to Baileys.
    ToBaileys,
}

/// The clients of the table: each with its name in a test, and its columns to Roost and from it.
pub const CLIENTS: [(Library, &str, Way, Way); 2] = [
    (Library::Whatsmeow, "w", Way::FromWhatsmeow, Way::ToWhatsmeow),
    (Library::Baileys, "b", Way::FromBaileys, Way::ToBaileys),
];

/// The rows of one test.
#[derive(Debug)]
pub struct Matrix {
    name: &'static str,
    rows: Vec<Row>,
}

/// One capability.
#[derive(Debug)]
pub struct Row {
    capability: &'static str,
    cells: [String; 4],
}

impl Row {
    /// It was seen to work this way.
    pub fn seen(&mut self, way: Way) -> &mut Row {
        self.cells[way as usize] = "yes".to_owned();
        self
    }

    /// It cannot work this way, for this reason.
    pub fn no(&mut self, way: Way, reason: &str) -> &mut Row {
        self.cells[way as usize] = format!("no: {reason}");
        self
    }
}

impl Matrix {
    /// The table of a test; `name` is that of its file.
    pub fn new(name: &'static str) -> Matrix {
        Matrix { name, rows: Vec::new() }
    }

    /// The row of a capability, made when it is new. Cells that nobody fills show a dash.
    pub fn row(&mut self, capability: &'static str) -> &mut Row {
        let found = self.rows.iter().position(|row| row.capability == capability);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Row { capability, cells: [const { String::new() }; 4].map(|_| "–".to_owned()) });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn text(&self) -> String {
        let line = |row: &Row| format!("| {} | {} |\n", row.capability, row.cells.join(" | "));
        self.rows.iter().map(line).collect()
    }

    /// Compares with the file, or writes it.
    ///
    /// # Errors
    /// The run saw something else than the file says.
    pub fn check(&self) -> Result<(), Failure> {
        let path = folder().join(format!("{}.md", self.name));
        if std::env::var("ROOST_MATRIX").is_ok_and(|mode| mode == "write") {
            fs::write(&path, self.text())?;
            let readme = fs::read_to_string(readme_path())?;
            fs::write(readme_path(), with_table(&readme, &table()?)?)?;
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

/// What the README shows and what it should show.
#[cfg(test)]
fn readme() -> Result<(String, String), Failure> {
    let readme = fs::read_to_string(readme_path())?;
    let wanted = with_table(&readme, &table()?)?;
    Ok((readme, wanted))
}

/// All files in the order of their names.
fn table() -> Result<String, Failure> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder())?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut text = HEAD.to_owned();
    for file in files {
        text.push_str(&fs::read_to_string(file)?);
    }
    Ok(text)
}

fn with_table(readme: &str, table: &str) -> Result<String, Failure> {
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| Failure::new("the README has no place for the capabilities"))?;
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn folder() -> PathBuf {
    super::tools::folder("matrix")
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
        matrix.row("poll").seen(Way::FromWhatsmeow).no(Way::ToBaileys, "it has none");
        matrix.row("poll").seen(Way::ToWhatsmeow);
        assert_eq!(matrix.text(), "| poll | yes | yes | – | no: it has none |\n");
    }

    #[test]
    fn the_readme_shows_the_tables_of_the_runs() {
        let (shown, wanted) = readme().expect("the README has a place for it");
        assert_eq!(shown, wanted, "ROOST_MATRIX=write on a test of capabilities writes it");
    }
}
