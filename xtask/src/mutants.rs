//! `cargo xtask mutants`: the simulation is tested itself, by bugs that are planted in a copy of the product.
//!
//! Each patch in `crates/sim/mutants` is one bug. It is applied to a scratch copy, so that the product's code carries no
//! trace of it, and seeds are run until one of them breaks a rule. Those in `switched` stand behind a switch, which the
//! first of them brings along: they are applied together and built once, and the environment says which one is on.

use crate::{failure::Failure, workspace::Workspace};
use clap::Args;
use std::path::{Path, PathBuf};
use xshell::cmd;

/// Which bugs are planted, and how long they may stay unseen.
#[derive(Debug, Args)]
pub struct Options {
    /// Only those whose name contains one of these
    only: Vec<String>,
    /// Give up after so many seeds
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,
    /// Runs at the same time
    #[arg(long, value_name = "J", default_value_t = 2)]
    jobs: usize,
}

/// Where the patches are.
const FOLDER: &str = "crates/sim/mutants";

/// Where those are that stand behind a switch, and what turns one of them on.
const SWITCHED: &str = "crates/sim/mutants/switched";
const SWITCH: &str = "NATTER_PLANTED";

/// Where the table goes.
const TABLE: &str = "crates/sim/mutants/README.md";

/// The scratch copy and its builds, which all bugs share.
const COPY: &str = "target/mutants/tree";
const BUILDS: &str = "target/mutants/target";

/// Seeds that are run in two processes when no rule breaks: their digests must be equal.
const TWICE: [&str; 3] = ["0", "1", "4"];

/// Bugs, and what is said of each.
type Rows = Vec<(String, String)>;

/// Plants each bug and counts the seeds until it is seen.
///
/// # Errors
/// Fails if a bug stays unseen, or a patch does not apply.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let mut rows = Rows::new();
    let is_wanted = |patch: &PathBuf| {
        let name = name_of(patch);
        options.only.is_empty() || options.only.iter().any(|only| name.contains(only.as_str()))
    };
    copy(workspace)?;
    for patch in patches(workspace, FOLDER)?.into_iter().filter(is_wanted) {
        let builds = apply_and_build(workspace, std::slice::from_ref(&patch))?;
        note(&mut rows, name_of(&patch), seen(workspace, &builds, "0", options)?);
    }
    let switched = bugs_behind_the_switch(workspace)?;
    if switched.iter().any(is_wanted) {
        let builds = apply_and_build(workspace, &patches(workspace, SWITCHED)?)?;
        for patch in switched.into_iter().filter(is_wanted) {
            let name = name_of(&patch);
            let number = name.split('-').next().unwrap_or_default().to_owned();
            note(&mut rows, name, seen(workspace, &builds, &number, options)?);
        }
    }
    let unseen = rows.iter().filter(|(_, row)| row.starts_with("not ")).count();
    let before = workspace.shell.read_file(TABLE).unwrap_or_default();
    let all = patches(workspace, FOLDER)?.into_iter().chain(bugs_behind_the_switch(workspace)?);
    let mut names: Vec<_> = all.map(|patch| name_of(&patch)).collect();
    names.sort();
    workspace.shell.write_file(TABLE, table(&names, &rows_of(&before), &rows, options.seeds))?;
    if unseen > 0 { Err(Failure::Unseen { count: unseen }) } else { Ok(()) }
}

fn note(rows: &mut Rows, name: String, row: String) {
    eprintln!("{name}: {row}");
    rows.push((name, row));
}

/// Whether each patch still applies to the product as it is, and all behind the switch together.
///
/// # Errors
/// Fails with the first that does not.
pub fn check(workspace: &Workspace) -> Result<(), Failure> {
    for patch in patches(workspace, FOLDER)? {
        cmd!(workspace.shell, "git apply --check {patch}").quiet().run()?;
    }
    let switched = patches(workspace, SWITCHED)?;
    Ok(cmd!(workspace.shell, "git apply --check {switched...}").quiet().run()?)
}

/// Those that are bugs: the first one is the switch.
fn bugs_behind_the_switch(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    Ok(patches(workspace, SWITCHED)?.split_off(1))
}

fn patches(workspace: &Workspace, folder: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut patches = workspace.shell.read_dir(folder)?;
    patches.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    patches.sort();
    Ok(patches)
}

fn name_of(patch: &Path) -> String {
    patch.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A copy of the commit that is checked out. Its files are new, so that nothing of an earlier bug is taken for built.
fn copy(workspace: &Workspace) -> Result<(), Failure> {
    let shell = &workspace.shell;
    shell.remove_path(COPY)?;
    shell.create_dir(COPY)?;
    cmd!(shell, "git archive --output target/mutants/tree.tar HEAD").quiet().run()?;
    Ok(cmd!(shell, "tar --extract --touch --file target/mutants/tree.tar --directory {COPY}")
        .quiet()
        .run()?)
}

/// Builds the simulation with these patches, and takes them back: the program.
fn apply_and_build(workspace: &Workspace, patches: &[PathBuf]) -> Result<PathBuf, Failure> {
    let shell = &workspace.shell;
    let patches: Vec<_> = patches.iter().map(|patch| workspace.root.join(patch)).collect();
    let builds = workspace.root.join(BUILDS);
    let copy = shell.push_dir(COPY);
    for patch in &patches {
        cmd!(shell, "patch --strip 1 --silent --input {patch}").quiet().run()?;
    }
    let built =
        workspace.cargo().args(["build", "--quiet", "--package", "sim", "--target-dir"]).arg(&builds).run();
    for patch in patches.iter().rev() {
        cmd!(shell, "patch --strip 1 --silent --reverse --input {patch}").quiet().run()?;
    }
    drop(copy);
    built?;
    Ok(builds.join("debug/natter-sim"))
}

/// After how many seeds the bug is seen, and what it breaks.
fn seen(workspace: &Workspace, program: &Path, number: &str, options: &Options) -> Result<String, Failure> {
    let shell = &workspace.shell;
    let (seeds, jobs) = (options.seeds.to_string(), options.jobs.to_string());
    let run = cmd!(shell, "{program} run --first --seeds {seeds} --jobs {jobs}").env(SWITCH, number);
    let run = run.quiet().ignore_status().output()?;
    let (told, panics) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if let Some((seed, rule)) = told.lines().filter_map(broken).chain(panics.lines().filter_map(fatal)).min()
    {
        return Ok(format!("{} | {rule}", seed + 1));
    }
    let digests = || cmd!(shell, "{program} digest {TWICE...}").env(SWITCH, number).quiet().read();
    let (one, other) = (digests()?, digests()?);
    let differing = one.lines().zip(other.lines()).position(|(one, other)| one != other);
    Ok(match differing {
        Some(at) => format!("{} | the digests of two processes", at + 1),
        None => format!("not within {} | ", options.seeds),
    })
}

/// The seed and the rule's number of a line of the summary.
fn broken(line: &str) -> Option<(u64, String)> {
    let (seed, rest) = line.strip_prefix("seed ")?.split_once(" breaks ")?;
    Some((seed.parse().ok()?, rest.split(':').next()?.to_owned()))
}

/// The seed of a panic, which may have ended the whole process before there was a summary.
fn fatal(line: &str) -> Option<(u64, String)> {
    let (seed, _) = line.strip_prefix("in the run of seed ")?.split_once(": panicked")?;
    Some((seed.parse().ok()?, "I12".to_owned()))
}

/// The rows of a table that was written before.
fn rows_of(table: &str) -> Rows {
    let row = |line: &str| {
        let (name, row) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((name.to_owned(), row.to_owned()))
    };
    table.lines().skip_while(|line| !line.starts_with("|---")).filter_map(row).collect()
}

/// All bugs that there are, each as it was found now, or else before.
fn table(names: &[String], before: &Rows, now: &Rows, seeds: u64) -> String {
    let mut table = format!(
        "# Planted bugs\n\nEach patch is a bug that the simulation must see within {seeds} seeds. This table is what \
         `cargo xtask mutants`\nfound last: how many seeds it took, counted from seed 0, and what broke.\n\n\
         | bug | seeds | seen as |\n|---|---|---|\n"
    );
    for name in names {
        let row = now.iter().chain(before).find(|(known, _)| known == name);
        let row = row.map_or("not planted yet | ", |(_, row)| row.as_str());
        table.push_str(&format!("| {name} | {row} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_seed_is_read_from_the_summary() {
        let line = "seed 17 breaks I2: all views are … — at 3.000 s c1 was shown";
        assert_eq!(broken(line), Some((17, "I2".to_owned())));
        assert_eq!(broken("200 seeds, 1 broke something"), None);
        assert_eq!(fatal("in the run of seed 13: panicked at outlet.rs"), Some((13, "I12".to_owned())));
    }
    #[test]
    fn a_table_keeps_what_was_not_planted_again() {
        let names = ["01-a", "02-b", "03-c"].map(str::to_owned);
        let row = |name: &str, row: &str| (name.to_owned(), row.to_owned());
        let before = table(&names, &Rows::new(), &vec![row("01-a", "4 | I2"), row("02-b", "9 | I6")], 200);
        let now = vec![row("02-b", "3 | L1")];
        let after = rows_of(&table(&names, &rows_of(&before), &now, 200));
        assert_eq!(after, [row("01-a", "4 | I2"), row("02-b", "3 | L1"), row("03-c", "not planted yet | ")]);
    }
}
