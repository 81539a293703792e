//! `protocol` decides and does nothing else: it names no runtime, clock, randomness, thread, file or socket.

use super::{
    finding::Finding,
    module::Module,
    tokens::{self, Token},
    tree::Tree,
};

const PURE: &str = "crates/protocol/src/";
const NAMES: [&str; 8] =
    ["tokio", "Instant", "SystemTime", "rand", "getrandom", "chrono", "HashMap", "HashSet"];
const OF_STD: [&str; 5] = ["thread", "fs", "net", "process", "env"];
/// Packages that would bring the world in by another name.
const PACKAGES: [&str; 6] = ["tokio", "mio", "socket2", "rand", "getrandom", "chrono"];
const HINT: &str = "hand the value in as a parameter, and leave the doing to the rim";

/// No module of `protocol` names any of it outside its tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.program().filter(|module| module.path.starts_with(PURE)).flat_map(check_module).collect()
}

fn check_module(module: &Module) -> Vec<Finding> {
    let names = module.tokens.iter().filter(|token| NAMES.contains(&token.text.as_str()));
    let names = names.map(|token| (token.line, token.text.clone()));
    let all = names.chain(parts_of_std(&module.tokens));
    all.filter(|(line, _)| !module.is_test_line(*line))
        .map(|(line, name)| impure(module, line, &name))
        .collect()
}

fn impure(module: &Module, line: usize, name: &str) -> Finding {
    Finding { path: module.path.clone(), line, what: format!("`{name}` in a pure crate"), hint: HINT }
}

/// Both `std::fs` and the `fs` of `std::{fs, io}`.
fn parts_of_std(tokens: &[Token]) -> Vec<(usize, String)> {
    let heads = tokens::find(tokens, "std : :").map(|found| &found[3..]);
    let parts = heads.flat_map(|rest| match rest {
        [open, inside @ ..] if open.text == "{" => direct_parts(inside),
        rest => rest.iter().take(1).collect(),
    });
    let impure = parts.filter(|token| OF_STD.contains(&token.text.as_str()));
    impure.map(|token| (token.line, format!("std::{}", token.text))).collect()
}

/// The first token of each part of a group, whose opening bracket stands before `tokens`.
fn direct_parts(tokens: &[Token]) -> Vec<&Token> {
    let (mut parts, mut depth, mut at_start) = (Vec::new(), 0, true);
    for token in tokens {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            _ if at_start && depth == 0 => parts.push(token),
            _ => {}
        }
        at_start = token.text == ",";
    }
    parts
}

/// None of the packages in the output of `cargo tree --prefix none` brings the world in.
pub fn dependencies(cargo_tree: &str) -> Vec<Finding> {
    let packages = cargo_tree.lines().filter_map(|line| line.split(' ').next());
    let found = packages.filter(|package| PACKAGES.contains(package));
    let found = found.map(|package| Finding {
        path: "crates/protocol/Cargo.toml".into(),
        line: 1,
        what: format!("`protocol` depends on `{package}`"),
        hint: "`cargo tree -p protocol -i` with the package's name says through which",
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::sample(&[(path, text)])).into_iter().map(|finding| finding.what).collect()
    }

    fn in_protocol(text: &str) -> Vec<String> {
        found("crates/protocol/src/a.rs", text)
    }

    #[test]
    fn the_world_is_found_by_each_way_of_naming_it() {
        assert_eq!(in_protocol("use tokio::io;"), ["`tokio` in a pure crate"]);
        assert_eq!(in_protocol("fn a() { std::fs::read(b) }"), ["`std::fs` in a pure crate"]);
        assert_eq!(
            in_protocol("use std::{fmt, io::{self, fs}, net::IpAddr};"),
            ["`std::net` in a pure crate"]
        );
        assert_eq!(in_protocol("use std::{time::{Duration, Instant}};"), ["`Instant` in a pure crate"]);
    }

    #[test]
    fn durations_comments_and_tests_are_pure_enough() {
        assert_eq!(in_protocol("//! Not tokio.\nuse std::time::Duration; // HashMap"), [""; 0]);
        assert_eq!(in_protocol("#[cfg(test)]\nmod tests { use std::fs; }"), [""; 0]);
    }

    #[test]
    fn other_crates_may_name_the_world() {
        assert_eq!(found("crates/server/src/a.rs", "use tokio::io;"), [""; 0]);
    }

    #[test]
    fn a_runtime_among_the_dependencies_is_found() {
        let tree = "protocol v0.1.0 (/somewhere)\nbytes v1.12.1\ntokio v1.54.0\ntokio-util v0.7.1\n";
        let found: Vec<_> = dependencies(tree).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, ["`protocol` depends on `tokio`"]);
    }
}
