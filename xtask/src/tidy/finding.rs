//! What a check has to say about one line of one file.

use std::fmt;

/// One fault, with the way out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the top of the checkout.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the value that is.
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, what, hint } = self;
        write!(f, "{path}:{line}: {what}\n    hint: {hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_place_and_then_its_hint() {
        let finding = Finding { path: "a.rs".into(), line: 3, what: "too long".into(), hint: "split it" };
        assert_eq!(finding.to_string(), "a.rs:3: too long\n    hint: split it");
    }
}
