//! The inputs that the fuzzers have found worth keeping, fed to what they were found for.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
mod fuzz;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[test]
fn what_the_fuzzers_keep_does_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut harmful = Vec::new();
    for (name, take) in fuzz::TARGETS {
        let folder = fs::read_dir(corpus.join(name)).expect("each has inputs");
        let inputs: Vec<_> = folder.map(|file| file.expect("a file can be listed").path()).collect();
        assert!(inputs.len() > 10, "{name} has {} inputs", inputs.len());
        for path in inputs {
            let input = fs::read(&path).expect("an input can be read");
            if catch_unwind(|| take(&input)).is_err() {
                harmful.push(path);
            }
        }
    }
    assert_eq!(harmful, Vec::<PathBuf>::new());
}
