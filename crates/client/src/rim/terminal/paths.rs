//! Paths that Tab offers.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Where the last part of the path begins, in bytes, and what could stand in its place.
pub(super) fn complete(line: &str, at: usize) -> (usize, Vec<String>) {
    let before = &line[..at];
    let begin = before.find(char::is_whitespace).map_or(before.len(), |space| {
        let rest = &before[space..];
        space + (rest.len() - rest.trim_start().len())
    });
    let path = &before[begin..];
    let (folder, stem) =
        path.rsplit_once('/').map_or(("", path), |(_, stem)| (&path[..path.len() - stem.len()], stem));
    let start = at - stem.len();
    let mut found: Vec<_> = fs::read_dir(expand(folder))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let wanted = name.starts_with(stem)
                && (stem.starts_with('.') || !name.starts_with('.'))
                && !name.contains(char::is_control);
            let folder = if entry.path().is_dir() { "/" } else { "" };
            wanted.then(|| format!("{name}{folder}"))
        })
        .collect();
    found.sort();
    (start, found)
}

/// The folder that is meant: `~/` is the home folder, nothing is this one.
fn expand(folder: &str) -> PathBuf {
    match (folder, folder.strip_prefix("~/"), env::home_dir()) {
        ("", ..) => ".".into(),
        (_, Some(rest), Some(home)) => home.join(rest),
        _ => folder.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_completed_part_by_part() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        for name in ["my cat.png", "my dog.png", ".hidden"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        fs::create_dir(folder.path().join("more")).expect("a folder");
        let found = |typed: &str| {
            let line = format!("/send {path}/{typed}");
            let (start, found) = complete(&line, line.len());
            assert_eq!(&line[start..], typed);
            found
        };
        assert_eq!(found("m"), ["more/", "my cat.png", "my dog.png"]);
        assert_eq!(found("my c"), ["my cat.png"]);
        assert_eq!(found(".h"), [".hidden"]);
        assert_eq!(found("x"), Vec::<String>::new());
    }
}
