//! How long files are: a reader should see the whole of one.

use super::{
    figures::{Figures, Limits, Measured},
    finding::Finding,
    module::Module,
    tree::Tree,
};

const MODULES: Limits = Limits { median: Some(200), ninety: Some(400), longest: 600 };
/// Tests are read one at a time, so only the extreme is a fault.
const TESTS: Limits = Limits { median: None, ninety: None, longest: 800 };

/// Modules of programs and libraries, without the tests at their end.
pub fn modules(tree: &Tree) -> Figures {
    let sizes = tree.program().map(|module| measure(module, module.lines_without_tests()));
    Figures::new("modules", sizes, MODULES)
}

/// Files of nothing but tests.
pub fn tests(tree: &Tree) -> Figures {
    Figures::new("test files", tree.tests().map(|module| measure(module, module.lines)), TESTS)
}

/// No file is longer than it may be, nor are files on the whole.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let hint = "split it by noun: one type with its impl in a file";
    [modules(tree).check(hint), tests(tree).check(hint)].concat()
}

fn measure(module: &Module, lines: usize) -> Measured {
    Measured { path: module.path.clone(), line: 1, name: "the file".into(), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let small = ("small.rs", "//! Small.\n");
        let others = std::iter::repeat_n(small, 20);
        let files: Vec<_> = others.chain([(path, text)]).collect();
        check(&Tree::sample(&files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn tests_at_the_end_do_not_make_a_module_too_long() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(900));
        assert_eq!(faults("a.rs", &("\n".repeat(600) + &tests)), [""; 0]);
        assert_eq!(faults("a.rs", &("\n".repeat(601) + &tests)), ["the file has 601 lines of 600"]);
    }

    #[test]
    fn test_files_have_their_own_limit() {
        assert_eq!(faults("tests/a.rs", &"\n".repeat(800)), [""; 0]);
        assert_eq!(faults("tests/a.rs", &"\n".repeat(801)), ["the file has 801 lines of 800"]);
    }
}
