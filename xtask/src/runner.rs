//! The test runner: nextest where it is installed, and always in CI.

use crate::{ci::Outcome, failure::Failure, workspace::Workspace};

/// Runs the workspace's tests with `args` handed on to the runner.
///
/// # Errors
/// Fails if a test fails, or if CI lacks nextest.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<Outcome, Failure> {
    let nextest = workspace.has_tool("nextest")?;
    if !nextest {
        eprintln!("NOTE: cargo-nextest is not installed: falling back to `cargo test`");
        eprintln!("hint: cargo install --locked cargo-nextest");
    }
    let command: &[&str] = if nextest {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--lib", "--bins", "--tests"]
    };
    let done = workspace.cargo().args(command).args(args).run();
    done.map(|()| Outcome::Passed).map_err(|_| Failure::Tests)
}
