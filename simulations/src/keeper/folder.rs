//! The temporary folder of everything that runs below one keeper.
//!
//! What must hold: it is locked as long as its keeper lives, whatever kills that; so a folder that nobody has locked is
//! what a dead one left behind, and goes with the processes that live in it, its mounts and its files.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, geteuid};
use tempfile::TempDir;

use crate::processes::end;

/// First letters of its name.
const PREFIX: &str = "roost-run-";

/// The file that is locked.
const LOCK: &str = "lock";

/// How long the processes of a dead keeper may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// It goes with the value.
pub(super) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    pub(super) fn make(parent: &Path) -> io::Result<Folder> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // The user of a database goes through it to the database's own.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        // It has its name only when it is locked: nobody finds it before.
        let new = folder.path().join("new-lock");
        let lock = File::create_new(&new)?;
        lock.lock()?;
        fs::rename(&new, folder.path().join(LOCK))?;
        Ok(Folder { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(self.folder.path());
    }
}

/// Removes it with everything that is in it, mounted or written.
pub(super) fn remove(folder: &Path) {
    for mount in mounts_below(folder, &fs::read_to_string("/proc/self/mounts").unwrap_or_default()) {
        let _ = Command::new("umount").arg("-l").arg(mount).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(folder);
}

/// Removes what keepers left behind that were killed.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
        if named && is_left_behind(&entry) {
            end(&processes_in(&entry.path()), ENDING);
            remove(&entry.path());
        }
    }
}

fn is_left_behind(entry: &fs::DirEntry) -> bool {
    // What others have made is theirs to remove.
    let own = entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw());
    own && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Processes that work in a folder or were told of it at their start.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let lives_there = |entry: fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let works = fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(&real));
        let told = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let told =
            told.split(|byte| *byte == 0).any(|word| Path::new(OsStr::from_bytes(word)).starts_with(folder));
        (works || told).then_some(pid)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(lives_there).collect()
}

/// Places below a folder where something is mounted, by the text of `/proc/self/mounts`, the innermost first.
fn mounts_below(folder: &Path, mounts: &str) -> Vec<PathBuf> {
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<_> = places.filter(|place| place.starts_with(folder)).collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_the_process_in_it_when_nobody_has_locked_it_and_not_before() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Folder::make(parent.path()).expect("a folder");
        let path = folder.path().to_owned();
        let mut cat = Command::new("cat")
            .current_dir(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat can be started");
        sweep(parent.path());
        assert!(path.exists() && matches!(cat.try_wait(), Ok(None)));

        // As when the keeper is killed: the lock is gone, and nothing else.
        folder._lock.unlock().expect("it was locked");
        sweep(parent.path());
        assert!(!path.exists());
        assert!(!cat.wait().expect("it has ended").success());
    }

    #[test]
    fn what_is_mounted_below_a_folder_is_found_the_innermost_first() {
        let mounts = "proc /proc proc rw 0 0\nroost /tmp/a/b tmpfs rw 0 0\nx /tmp/a/b/c tmpfs rw 0 0\ny /tmp/ab tmpfs rw 0 0\n";
        let found = mounts_below(Path::new("/tmp/a"), mounts);
        assert_eq!(found, [Path::new("/tmp/a/b/c"), Path::new("/tmp/a/b")]);
    }
}
