//! Words of code that the house style forbids, told from comments and strings by their tokens.

use super::{finding::Finding, module::Module, tokens, tree::Tree};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Program,
    Tests,
}

struct Rule {
    /// Tokens, with spaces between them.
    pattern: &'static str,
    scope: Scope,
    what: &'static str,
    hint: &'static str,
}

const RULES: [Rule; 7] = [
    Rule {
        pattern: ". unwrap ( )",
        scope: Scope::Program,
        what: "`unwrap` outside tests",
        hint: "return an error, or `expect` with the proof that it can't fail",
    },
    Rule { pattern: "todo !", scope: Scope::Everywhere, what: "`todo!`", hint: "write it, or leave it out" },
    Rule {
        pattern: "unimplemented !",
        scope: Scope::Everywhere,
        what: "`unimplemented!`",
        hint: "write it, or leave it out",
    },
    Rule {
        pattern: "# [ ignore",
        scope: Scope::Everywhere,
        what: "an ignored test",
        hint: "mend the test, or take it out",
    },
    Rule {
        pattern: "# [ allow (",
        scope: Scope::Everywhere,
        what: "a bare `allow`",
        hint: "use #[expect(lint, reason = \"…\")]",
    },
    Rule {
        pattern: "# ! [ allow (",
        scope: Scope::Everywhere,
        what: "a bare `allow`",
        hint: "use #[expect(lint, reason = \"…\")]",
    },
    Rule {
        pattern: "thread : : sleep",
        scope: Scope::Tests,
        what: "a test that sleeps",
        hint: "wait for the event, or drive the time with tokio's paused clock",
    },
];

/// No module says a word where it is forbidden.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.modules.iter().flat_map(|module| RULES.iter().flat_map(|rule| apply(rule, module))).collect()
}

fn apply<'a>(rule: &'a Rule, module: &'a Module) -> impl Iterator<Item = Finding> + 'a {
    let lines = tokens::find(&module.tokens, rule.pattern).map(|found| found[0].line);
    lines.filter(|line| rule.scope.covers(module, *line)).map(|line| Finding {
        path: module.path.clone(),
        line,
        what: rule.what.into(),
        hint: rule.hint,
    })
}

impl Scope {
    fn covers(self, module: &Module, line: usize) -> bool {
        match self {
            Scope::Everywhere => true,
            Scope::Program => !module.is_test_line(line),
            Scope::Tests => module.is_test_line(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<(usize, String)> {
        let found = check(&Tree::sample(&[(path, text)]));
        found.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn unwrap_is_for_tests_only() {
        let text = "fn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests { fn t() { b().unwrap(); } }\n";
        assert_eq!(faults("a.rs", text), [(1, "`unwrap` outside tests".into())]);
        assert_eq!(faults("tests/a.rs", text), []);
    }

    #[test]
    fn unfinished_code_is_found_even_in_tests() {
        assert_eq!(faults("tests/a.rs", "fn a() { todo!() }"), [(1, "`todo!`".into())]);
        assert_eq!(faults("a.rs", "fn a() {\n unimplemented!() }"), [(2, "`unimplemented!`".into())]);
    }

    #[test]
    fn an_ignored_test_is_found_with_and_without_its_reason() {
        let found = |text| faults("tests/a.rs", text) == [(1, "an ignored test".into())];
        assert!(found("#[ignore] fn a() {}") && found("#[ignore = \"slow\"] fn a() {}"));
    }

    #[test]
    fn a_bare_allow_is_found_on_items_and_modules() {
        let found = |text| faults("a.rs", text) == [(1, "a bare `allow`".into())];
        assert!(found("#[allow(dead_code)] fn a() {}") && found("#![allow(dead_code)]"));
        assert_eq!(faults("a.rs", "#[expect(dead_code, reason = \"b\")] fn a() {}"), []);
    }

    #[test]
    fn a_test_may_drive_the_time_but_not_sleep() {
        assert_eq!(
            faults("tests/a.rs", "fn a() { std::thread::sleep(b) }"),
            [(1, "a test that sleeps".into())]
        );
        assert_eq!(faults("tests/a.rs", "async fn a() { tokio::time::sleep(b).await }"), []);
    }
}
