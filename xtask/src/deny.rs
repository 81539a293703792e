//! The dependencies: whose code, under which licence, from where, and whether a fault in it is known.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{ci::Outcome, failure::Failure, workspace::Workspace};

/// Checks the dependencies against `.cargo/deny.toml`.
///
/// # Errors
/// Fails if a dependency breaks a rule, or if CI lacks cargo-deny.
pub fn run(workspace: &Workspace) -> Result<Outcome, Failure> {
    if !workspace.has_tool("deny")? {
        return Ok(Outcome::Skipped("cargo-deny is not installed (hint: cargo install --locked cargo-deny)"));
    }
    workspace.cargo().args(["deny", "check", "bans", "licenses", "sources"]).run()?;
    if !advisory_database().is_some_and(|folder| holds_database(&folder)) {
        return Ok(Outcome::Partly(
            "advisories NOT CHECKED, for want of their database (hint: cargo deny fetch db)",
        ));
    }
    workspace.cargo().args(["deny", "--offline", "check", "advisories"]).run()?;
    Ok(Outcome::Passed)
}

/// Where cargo-deny keeps its databases by default.
fn advisory_database() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    home.map(|home| home.join("advisory-dbs"))
}

/// A failed fetch leaves the folder and a lock file behind: only a checkout with a `crates` folder is a database.
fn holds_database(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| entry.path().join("crates").is_dir())
}
