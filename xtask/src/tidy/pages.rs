//! Pages for people: the map of the code stays short enough to be read, and so to be kept true.

use super::{finding::Finding, tree::Tree};

const MAP: &str = "crates/ARCHITECTURE.md";
/// Two screens.
const MAP_LINES: usize = 120;

/// The architecture page is at most two screens.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let map = tree.files.iter().find(|file| file.path == MAP);
    let lines = map.map_or(0, |file| file.text.lines().count());
    let too_long = (lines > MAP_LINES).then(|| Finding {
        path: MAP.into(),
        line: MAP_LINES + 1,
        what: format!("the map has {lines} lines of {MAP_LINES}"),
        hint: "keep what is true of the whole; the rest belongs in the modules' own docs",
    });
    too_long.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_at_most_two_screens() {
        let faults = |lines| check(&Tree::sample(&[(MAP, &"x\n".repeat(lines))])).len();
        assert_eq!((faults(120), faults(121)), (0, 1));
    }
}
