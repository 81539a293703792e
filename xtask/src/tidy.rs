//! `cargo xtask tidy`: the part of the house style that a program can count.
//!
//! Each check looks at a [`Tree`] in memory and gives back its [`Finding`]s, so that it can be tried on a made-up
//! tree. Only [`Tree::read`] and the question to `cargo tree` touch the world.

use crate::{failure::Failure, workspace::Workspace};
use finding::Finding;
use tree::Tree;

mod figures;
mod finding;
mod functions;
mod layout;
mod module;
mod pages;
mod purity;
mod sizes;
mod snapshots;
mod text;
mod tokens;
mod tree;
mod words;

/// Prints the figures to stdout and the findings to stderr.
///
/// # Errors
/// Fails if there is a finding, or if the checkout can't be read.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let tree = Tree::read(&workspace.root)?;
    println!(
        "{}",
        figures::table(&[sizes::modules(&tree), sizes::tests(&tree), functions::functions(&tree)])
    );
    println!("the longest functions:\n{}", functions::longest(&tree, 5));
    let mut findings = check(&tree);
    findings.extend(purity::dependencies(&dependencies_of_protocol(workspace)?));
    report(&findings)
}

/// Every check that needs nothing but the tree.
fn check(tree: &Tree) -> Vec<Finding> {
    let checks = [
        sizes::check,
        functions::check,
        module::check,
        purity::check,
        words::check,
        text::check,
        layout::check,
        snapshots::check,
        pages::check,
    ];
    checks.iter().flat_map(|check| check(tree)).collect()
}

fn dependencies_of_protocol(workspace: &Workspace) -> Result<String, Failure> {
    let cargo = workspace.cargo().args(["tree", "-p", "protocol", "-e", "normal,build", "--prefix", "none"]);
    Ok(cargo.quiet().read()?)
}

fn report(findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::Untidy { count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_tree_has_no_finding() {
        let tree = Tree::sample(&[
            ("crates/protocol/src/lib.rs", "//! Pure.\n\nfn one() {}\n"),
            ("README.md", "Hi.\n"),
        ]);
        assert_eq!(check(&tree), []);
    }
}
