//! Builds the drivers and finds the interpreters, once for a source tree.
//!
//! What must hold: several test processes may ask at the same time (a file lock orders them); nothing is
//! fetched again while the pinned versions stand; nothing is installed outside `simulations/interop`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::InteropError;

/// Fetching and compiling all of whatsmeow on a slow machine with nothing cached.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);
const GO: (&str, &str, u32, u32) = ("Go", "1.26 or newer", 1, 26);
const NODE: (&str, &str, u32, u32) = ("Node.js", "20 or newer", 20, 0);
const PYTHON: (&str, &str, u32, u32) = ("Python", "3.10 or newer", 3, 10);

/// Builds the whatsmeow driver when its sources are newer than the program. Returns the program.
///
/// # Errors
/// `MissingTool` without Go, `Build` when compiling or fetching fails, `Os` for the file system.
pub async fn whatsmeow_driver() -> Result<PathBuf, InteropError> {
    let (built, _lock) = workshop("whatsmeow").await?;
    let sources = folder("whatsmeow");
    let program = built.join("whatsmeow-driver");
    if is_newer(&program, &files_of(&sources)?) {
        return Ok(program);
    }
    let mut version = Command::new("go");
    // In another folder, or go.mod would make an old Go look for a newer one instead of answering.
    require(GO, version.args(["env", "GOVERSION"]).current_dir(&built)).await?;
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(&sources);
    run("building the whatsmeow driver", &mut build).await?;
    Ok(program)
}

/// Fetches Baileys when it is not there. Returns the driver script, for `node`.
///
/// # Errors
/// `MissingTool` without Node.js or npm, `Build` when fetching fails, `Os` for the file system.
pub async fn baileys_driver() -> Result<PathBuf, InteropError> {
    let (_, _lock) = workshop("baileys").await?;
    let sources = folder("baileys");
    require(NODE, Command::new("node").arg("--version")).await?;
    let installed = sources.join("node_modules/.package-lock.json");
    if !is_newer(&installed, &[sources.join("package-lock.json")]) {
        require(("npm", "of any version", 1, 0), Command::new("npm").arg("--version")).await?;
        let mut install = Command::new("npm");
        install.args(["ci", "--no-fund", "--no-audit", "--ignore-scripts"]).current_dir(&sources);
        run("fetching Baileys", &mut install).await?;
    }
    Ok(sources.join("driver.mjs"))
}

/// Builds the whatsapp-rust driver when its sources are newer than the program. Returns the program.
///
/// It is built into the workspace's target folder, where what both lock files share is compiled already, by a
/// cargo of its own: the features that skip the library's checks must not reach the product.
///
/// # Errors
/// `Build` when compiling or fetching fails, `Os` for the file system or a missing cargo.
pub async fn whatsapp_rust_driver() -> Result<PathBuf, InteropError> {
    let (_, _lock) = workshop("whatsapp-rust").await?;
    let sources = folder("whatsapp-rust");
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => folder("../..").join(target),
        None => folder("../../target"),
    };
    let program = target.join("debug/whatsapp-rust-driver");
    if is_newer(&program, &[files_of(&sources)?, files_of(&sources.join("src"))?].concat()) {
        return Ok(program);
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--locked", "--target-dir"]).arg(&target).current_dir(&sources);
    // What the outer cargo told this process about another package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_")
            || told.starts_with("CARGO_MANIFEST_")
            || told.starts_with("CARGO_BIN_")
        {
            build.env_remove(&name);
        }
    }
    run("building the whatsapp-rust driver", &mut build).await?;
    // The lock files were newer than a program that did not have to change.
    File::options()
        .append(true)
        .open(&program)
        .and_then(|file| file.set_modified(std::time::SystemTime::now()))
        .map_err(os(&program))?;
    Ok(program)
}

/// Makes the virtual environment of `grpc_client.py` when it is not there. Returns its interpreter.
///
/// # Errors
/// `MissingTool` without Python, `Build` when fetching fails, `Os` for the file system.
pub async fn python() -> Result<PathBuf, InteropError> {
    let (built, _lock) = workshop("python").await?;
    let venv = built.join("venv");
    let interpreter = venv.join("bin/python");
    let wanted = folder("requirements.txt");
    let done = venv.join("requirements.installed");
    if is_newer(&done, std::slice::from_ref(&wanted)) {
        return Ok(interpreter);
    }
    require(PYTHON, Command::new("python3").arg("--version")).await?;
    run("making a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&venv)).await?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted);
    run("fetching the Python gRPC client", &mut install).await?;
    File::create(&done).map_err(os(&done))?;
    Ok(interpreter)
}

/// A file or folder of `simulations/interop`.
pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

/// The folder for what is built, and the lock on it, which ends with the returned file.
async fn workshop(name: &str) -> Result<(PathBuf, File), InteropError> {
    let path = folder(".build").join(name);
    fs::create_dir_all(&path).map_err(os(&path))?;
    let lock = path.join("lock");
    let file = File::create(&lock).map_err(os(&lock))?;
    let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .expect("taking a file lock does not panic")
        .map_err(os(&lock))?;
    Ok((path, file))
}

fn os(path: &Path) -> impl FnOnce(io::Error) -> InteropError + use<> {
    let what = path.display().to_string();
    move |source| InteropError::Os { what, source }
}

/// The files right in a folder.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, InteropError> {
    let paths = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let paths: Vec<PathBuf> = paths.map_err(os(folder))?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

fn is_newer(product: &Path, sources: &[PathBuf]) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Some(made) = time(product) else { return false };
    sources.iter().all(|source| time(source).is_some_and(|changed| changed <= made))
}

async fn require(
    (tool, need, major, minor): (&'static str, &'static str, u32, u32),
    version: &mut Command,
) -> Result<(), InteropError> {
    let missing = |found: String| InteropError::MissingTool { tool, need, found };
    let output = match version.output().await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing("none is on the PATH".into()));
        }
        Err(error) => return Err(missing(format!("it does not start ({error})"))),
        Ok(output) => output,
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_version(&text) {
        Some(found) if found >= (major, minor) => Ok(()),
        _ => Err(missing(format!("found {text:?}"))),
    }
}

/// The first two numbers of `go1.26.8`, `v20.20.2`, `Python 3.11.7` or `11.19.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let major = numbers.next()??;
    Some((major, numbers.next().flatten().unwrap_or(0)))
}

async fn run(what: &'static str, command: &mut Command) -> Result<(), InteropError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(BUILD_LIMIT, command.output()).await {
        Err(_) => return Err(InteropError::Build { what, output: format!("no end within {BUILD_LIMIT:?}") }),
        Ok(Err(source)) => return Err(InteropError::Os { what: what.to_owned(), source }),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let end = said.len().saturating_sub(4000);
    Err(InteropError::Build { what, output: String::from_utf8_lossy(&said[end..]).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_tools_print_them() {
        assert_eq!(parse_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_version("v20.20.2"), Some((20, 20)));
        assert_eq!(parse_version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(parse_version("go2"), Some((2, 0)));
        assert_eq!(parse_version("none"), None);
    }

    #[tokio::test]
    async fn a_tool_that_is_not_there_is_named_with_the_version_that_is_needed() {
        let error =
            require(GO, &mut Command::new("/nonexistent/go")).await.expect_err("there is no such file");
        let text = error.to_string();
        assert!(text.contains("Go 1.26 or newer is needed, none is on the PATH"), "{text}");
    }

    #[tokio::test]
    async fn a_tool_that_is_too_old_is_named_with_what_was_found() {
        let mut old = Command::new("echo");
        let error = require(GO, old.arg("go1.19.8")).await.expect_err("too old");
        assert!(error.to_string().contains("found \"go1.19.8\""), "{error}");
    }
}
