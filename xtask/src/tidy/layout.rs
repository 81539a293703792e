//! What may stand at the top of the checkout: a newcomer sees these few names first.

use std::collections::BTreeMap;

use super::{finding::Finding, tree::Tree};

const TOP: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "crates", "xtask", "tests", "proptest-regressions"];

/// Only these names, and dotfiles.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let names = tree.files.iter().map(|file| (top_name(&file.path), &file.path));
    let strange = names.rev().filter(|(name, _)| !name.starts_with('.') && !TOP.contains(name));
    let one_each: BTreeMap<_, _> = strange.collect();
    one_each.into_iter().map(|(name, path)| finding(name, path)).collect()
}

fn top_name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(name, _)| name)
}

fn finding(name: &str, path: &str) -> Finding {
    Finding {
        path: path.into(),
        line: 1,
        what: format!("`{name}` stands at the top of the checkout"),
        hint: "move it into a crate, or make it a dotfile",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_name_is_found_once_with_its_first_file() {
        let files = ["Cargo.toml", "crates/a", ".cargo/deny.toml", "docs/a.md", "docs/b.md", "notes"];
        let tree = Tree::sample(&files.map(|path| (path, "")));
        let found: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["docs/a.md", "notes"]);
    }
}
