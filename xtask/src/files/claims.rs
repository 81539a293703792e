//! Claims that the tests look at briefly, at full length.

use crate::{failure::Failure, workspace::Workspace};

/// A test that can be told how long it runs.
pub struct Claim {
    says: &'static str,
    /// The arguments of `cargo test` that choose its binary, and its name in there.
    binary: &'static [&'static str],
    test: &'static str,
    /// The variable that says how often.
    often: &'static str,
}

/// No link that is put in the way of a folder being written is followed.
pub const RACES: Claim = Claim {
    says: "no link that is put in the way of a folder being written leads out of it",
    binary: &["-p", "client", "--lib"],
    test: "transfer::tests::folders::no_link_that_somebody_puts_in_the_way_is_followed",
    often: "NATTER_RACES",
};

/// Whoever is killed in the middle of a transfer, it goes on.
pub const KILLS: Claim = Claim {
    says: "whoever is killed, files arrive whole and once, and nothing is left",
    binary: &["-p", "server", "--test", "natter"],
    test: "system::kills::whoever_is_killed_files_arrive_whole_and_once_and_nothing_is_left",
    often: "NATTER_KILLS",
};

/// Runs the test of a claim so often.
///
/// # Errors
/// [`Failure::Unproven`] if it fails, or if there is no such test any more.
pub fn prove(workspace: &Workspace, claim: &Claim, often: u32) -> Result<(), Failure> {
    workspace.build_programs()?;
    let cargo = workspace.cargo().arg("test").args(claim.binary);
    let cargo = cargo.args(["--", "--exact", claim.test]).env(claim.often, often.to_string());
    let output = cargo.ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(unproven(claim, format!("the test failed:\n{said}")));
    }
    if !said.contains("test result: ok. 1 passed") {
        return Err(unproven(claim, format!("there is no test '{}'", claim.test)));
    }
    println!("{} {often} times: {}", claim.often.trim_start_matches("NATTER_").to_lowercase(), claim.says);
    Ok(())
}

fn unproven(claim: &Claim, why: String) -> Failure {
    Failure::Unproven { what: claim.says, why }
}
