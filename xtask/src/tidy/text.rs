//! What no file may say, code or not: unfinished business, the paths of somebody's machine, the hosts of registries.
//!
//! The needles are written in two halves, so that this file doesn't find itself.

use super::{
    finding::Finding,
    tree::{File, Tree},
};

struct Rule {
    needles: &'static [&'static str],
    what: &'static str,
    hint: &'static str,
}

const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINE: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/fa", "rm/")];
const REGISTRIES: &[&str] = &[
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("pypi.", "org"),
    concat!("registry.", "npmjs.org"),
    concat!("deb.", "debian.org"),
];

const RULES: [Rule; 3] = [
    Rule { needles: UNFINISHED, what: "unfinished business", hint: "do it now, or leave it out" },
    Rule {
        needles: MACHINE,
        what: "a path of somebody's machine",
        hint: "start from the checkout or a temporary folder",
    },
    Rule {
        needles: REGISTRIES,
        what: "the host of a registry",
        hint: "the package manager knows its registry",
    },
];

/// No file says any of it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let lines = (1..).zip(file.text.lines());
    lines
        .flat_map(|(number, line)| RULES.iter().flat_map(move |rule| check_line(rule, file, number, line)))
        .collect()
}

fn check_line(rule: &Rule, file: &File, number: usize, line: &str) -> Vec<Finding> {
    let needles = rule.needles.iter().filter(|needle| says(line, needle));
    let found = needles.map(|needle| Finding {
        path: file.path.clone(),
        line: number,
        what: format!("{}: `{needle}`", rule.what),
        hint: rule.hint,
    });
    found.collect()
}

/// Whether `needle` begins a word in `line`: `example.org/home/` is no path, and a method is not its tail.
fn says(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let findings = check(&Tree::sample(&[("README.md", text)]));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn every_needle_is_found_with_its_line() {
        for needle in [UNFINISHED, MACHINE, REGISTRIES].concat() {
            let text = format!("fine\nsee {needle}x, https://{needle}\n");
            let lines: Vec<_> = found(&text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [2], "{needle}");
        }
    }

    #[test]
    fn a_needle_inside_a_longer_word_is_another_word() {
        let text = format!("example.org{}x AU{}\n", MACHINE[2], UNFINISHED[0]);
        assert_eq!(found(&text), []);
    }

    #[test]
    fn the_registry_of_the_lock_file_is_no_host_of_ours() {
        assert_eq!(found("source = \"registry+https://github.com/rust-lang/crates.io-index\"\n"), []);
    }
}
