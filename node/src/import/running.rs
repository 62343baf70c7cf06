//! Whether something uses a file: another process of this machine has it open.
//!
//! It is known as far as this process may look into the others (all of its own user, all for root), and not for
//! other machines that share the file. Everywhere but on Linux it is not known at all.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Process numbers of those that have one of these files open, apart from this one.
pub(super) fn users(files: &[&Path]) -> Vec<u32> {
    let identity = |data: fs::Metadata| (data.dev(), data.ino());
    let files: Vec<(u64, u64)> =
        files.iter().filter_map(|path| fs::metadata(path).ok()).map(identity).collect();
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let opens = |process: &u32| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        // Follows the link, also to a file that has another name by now.
        open.filter_map(|entry| fs::metadata(entry.path()).ok()).any(|data| files.contains(&identity(data)))
    };
    numbers.filter(|process| *process != own).filter(opens).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_has_a_file_open_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("device.db");
        let file = fs::File::create(&path).expect("a file");
        assert_eq!(users(&[&path]), Vec::<u32>::new(), "only this process has it open");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(file).spawn().expect("cat runs");
        assert_eq!(users(&[&path]), [child.id()]);
        drop(child.stdin.take());
        child.wait().expect("cat ends");
        assert_eq!(users(&[&path]), Vec::<u32>::new());
    }
}
