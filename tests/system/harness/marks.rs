//! Lines that can be told apart in whatever a program prints around them.

use std::collections::BTreeMap;

/// The text of line `n` of this speaker.
pub fn mark(speaker: &str, n: usize) -> String {
    format!("mark-{speaker}-{n}-")
}

/// The marks in these lines, in order.
pub fn marks<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    lines.into_iter().filter_map(|line| find(line)).collect()
}

fn find(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("mark-") && word.ends_with('-'))
}

/// How often each of these marks is there, for those that are not there exactly once.
pub fn not_once<'a>(seen: &[&'a str], wanted: &'a [String]) -> BTreeMap<&'a str, usize> {
    let mut counts: BTreeMap<&str, usize> = wanted.iter().map(|mark| (mark.as_str(), 0)).collect();
    for mark in seen {
        *counts.entry(mark).or_default() += 1;
    }
    counts.retain(|_, count| *count != 1);
    counts
}
