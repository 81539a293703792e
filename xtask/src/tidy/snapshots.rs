//! Snapshots: none waits for review, and none has outlived the file of its test.

use super::{
    finding::Finding,
    tree::{File, Tree},
};

/// No snapshot is pending, and each one's `source:` exists.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().filter_map(|file| pending(file).or_else(|| orphan(file, tree))).collect()
}

fn pending(file: &File) -> Option<Finding> {
    let waits = file.path.ends_with(".snap.new") || file.path.ends_with(".pending-snap");
    waits.then(|| Finding {
        path: file.path.clone(),
        line: 1,
        what: "a snapshot waits for review".into(),
        hint: "compare it, then accept it with `cargo insta review`, or delete it",
    })
}

fn orphan(file: &File, tree: &Tree) -> Option<Finding> {
    let header =
        file.path.ends_with(".snap").then(|| file.text.lines().take_while(|line| !line.is_empty()))?;
    let (line, source) =
        (1..).zip(header).find_map(|(at, line)| Some((at, line.strip_prefix("source: ")?)))?;
    let source = normal(source.trim_matches('"'));
    let lives = tree.files.iter().any(|other| other.path == source);
    (!lives).then(|| Finding {
        path: file.path.clone(),
        line,
        what: format!("the snapshot's test file `{source}` is gone"),
        hint: "delete the snapshot with its test",
    })
}

/// Resolves the `..` that insta writes for the root test binary: `crates/server/../../tests/a.rs`.
fn normal(path: &str) -> String {
    let parts = path.split('/').fold(Vec::new(), |mut parts, part| {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
        parts
    });
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::sample(files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_snapshot_that_waits_is_found() {
        assert_eq!(found(&[("tests/snapshots/a.snap.new", "")]), ["a snapshot waits for review"]);
        assert_eq!(found(&[("tests/.a.rs.pending-snap", "")]), ["a snapshot waits for review"]);
    }

    #[test]
    fn a_snapshot_lives_as_long_as_the_file_of_its_test() {
        let snapshot = ("tests/snapshots/a.snap", "---\nsource: crates/server/../../tests/a.rs\n---\nx\n");
        assert_eq!(found(&[snapshot]), ["the snapshot's test file `tests/a.rs` is gone"]);
        assert_eq!(found(&[snapshot, ("tests/a.rs", "")]), [""; 0]);
    }
}
