//! How long functions are: one does one thing, and fits on the screen.

use super::{
    figures::{Figures, Limits, Measured},
    finding::Finding,
    tree::Tree,
};

const LIMITS: Limits = Limits { median: Some(10), ninety: Some(40), longest: 80 };

/// Every function outside the tests.
pub fn functions(tree: &Tree) -> Figures {
    let sizes = tree.program().flat_map(|module| {
        module.functions.iter().map(|function| Measured {
            path: module.path.clone(),
            line: function.line,
            name: format!("`{}`", function.name),
            lines: function.lines,
        })
    });
    Figures::new("functions", sizes, LIMITS)
}

/// The `count` longest functions, one a line, for a reviewer to read.
pub fn longest(tree: &Tree, count: usize) -> String {
    let functions = functions(tree);
    let rows = functions.longest_first().take(count);
    let rows = rows.map(|it| format!("{:>4}  {}:{} {}", it.lines, it.path, it.line, it.name));
    rows.collect::<Vec<_>>().join("\n")
}

/// No function is longer than it may be, nor are functions on the whole.
pub fn check(tree: &Tree) -> Vec<Finding> {
    functions(tree).check("give a part of it a name of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_81_lines_is_found_where_it_begins() {
        let long = format!("//! A.\n\nfn long() {{\n{}}}\n", "\n".repeat(79));
        let short = "fn short() {}\n".repeat(20);
        let found = check(&Tree::sample(&[("a.rs", &(long + &short))]));
        let [finding] = &found[..] else { panic!("one finding, not {found:?}") };
        assert_eq!((finding.line, finding.what.as_str()), (3, "`long` has 81 lines of 80"));
    }

    #[test]
    fn the_longest_come_first() {
        let tree = Tree::sample(&[("a.rs", "fn a() {}\nfn b() {\n}\nfn c() {\n\n}\n")]);
        assert_eq!(longest(&tree, 2), "   3  a.rs:4 `c`\n   2  a.rs:2 `b`");
    }
}
