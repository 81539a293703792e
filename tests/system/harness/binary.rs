//! Finds the programs beside the test binary, and refuses stale ones.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The path of `natterd` or `natter` in the target folder of this test binary.
///
/// # Panics
/// If it is missing, or older than one of the sources that it was built from.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test binary has a path");
    let folder = test.ancestors().nth(2).expect("the test binary lies in target/PROFILE/deps");
    let program = folder.join(name);
    let built = modified(&program)
        .unwrap_or_else(|| panic!("{} is missing\nhint: run cargo xtask build", program.display()));
    if let Some(newer) = sources(&folder.join(format!("{name}.d")))
        .into_iter()
        .find(|source| modified(source).is_none_or(|time| time > built))
    {
        panic!("{name} is older than {}\nhint: run cargo xtask build", newer.display());
    }
    program
}

/// The sources that cargo notes beside a program: `program: source source …`, with `\ ` for a space.
fn sources(notes: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let (_, list) = text.split_once(": ").unwrap_or_default();
    list.replace("\\ ", "\0").split_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}
