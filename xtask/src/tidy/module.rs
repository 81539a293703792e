//! One Rust file, parsed: its tokens, its functions, and which of its lines are tests.

use std::ops::RangeInclusive;

use proc_macro2::{Span, TokenStream};
use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn,
    visit::{self, Visit},
};

use super::{
    finding::Finding,
    tokens::{self, Token},
    tree::{File, Tree},
};

/// A function with a body.
pub struct Function {
    /// Its name, without a path.
    pub name: String,
    /// The line of its `fn`.
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

/// A Rust file. `is_test` is set for all that lies in a `tests` folder, or that a `#[cfg(test)]` declares.
pub struct Module {
    /// From the top of the checkout.
    pub path: String,
    /// Whether the whole file is tests.
    pub is_test: bool,
    /// Lines in all.
    pub lines: usize,
    /// Every function outside the tests.
    pub functions: Vec<Function>,
    /// All code of the file, tests included.
    pub tokens: Vec<Token>,
    /// Whether the first line is a `//!`.
    opens_with_doc: bool,
    test_lines: Vec<RangeInclusive<usize>>,
    test_files: Vec<String>,
}

impl Module {
    /// Parses a file.
    ///
    /// # Errors
    /// The finding says where the file stops being Rust.
    pub fn parse(file: &File) -> Result<Module, Finding> {
        let syntax = syn::parse_file(&file.text).map_err(|error| unparsed(file, &error))?;
        let stream: TokenStream =
            file.text.parse().map_err(|error| unparsed(file, &syn::Error::from(error)))?;
        let mut outline = Outline::default();
        outline.visit_file(&syntax);
        Ok(Module {
            path: file.path.clone(),
            is_test: file.path.split('/').any(|part| part == "tests"),
            lines: file.text.lines().count(),
            functions: outline.functions,
            tokens: tokens::flatten(stream),
            opens_with_doc: file.text.starts_with("//!"),
            test_lines: outline.test_lines,
            test_files: outline.test_files,
        })
    }

    /// Whether the line belongs to a test.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Lines that are not the tests at the end of a program's module.
    pub fn lines_without_tests(&self) -> usize {
        let tests: usize = self.test_lines.iter().map(|lines| lines.end() + 1 - lines.start()).sum();
        self.lines.saturating_sub(tests)
    }

    /// The files declared by `#[cfg(test)] mod name;`, without `.rs`.
    pub fn declared_tests(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let owns_its_folder = matches!(name, "lib" | "main" | "mod");
        let base = if owns_its_folder { folder } else { stem };
        self.test_files.iter().map(|name| format!("{base}/{name}")).collect()
    }
}

/// Every Rust file parses, and says in its first line what lives there.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let undocumented = tree.modules.iter().filter(|module| !module.opens_with_doc);
    let undocumented = undocumented.map(|module| Finding {
        path: module.path.clone(),
        line: 1,
        what: "the module does not begin with `//!`".into(),
        hint: "say in one sentence what lives here",
    });
    tree.unparsed.iter().cloned().chain(undocumented).collect()
}

fn unparsed(file: &File, error: &syn::Error) -> Finding {
    Finding {
        path: file.path.clone(),
        line: error.span().start().line,
        what: format!("not Rust: {error}"),
        hint: "cargo check says more",
    }
}

/// Gathers functions and the extent of tests; it does not look for functions inside tests.
#[derive(Default)]
struct Outline {
    functions: Vec<Function>,
    test_lines: Vec<RangeInclusive<usize>>,
    test_files: Vec<String>,
}

impl Outline {
    /// Returns whether there is anything but tests below the item.
    fn enter_function(&mut self, attrs: &[Attribute], signature: &Signature, block: &Block) -> bool {
        let start = signature.fn_token.span.start().line;
        let end = last_line(block.brace_token.span.close());
        if attrs.iter().any(is_for_tests) {
            self.test_lines.push(first_line(attrs, start)..=end);
            return false;
        }
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line: start,
            lines: end + 1 - start,
        });
        true
    }
}

impl<'ast> Visit<'ast> for Outline {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !item.attrs.iter().any(is_for_tests) {
            return visit::visit_item_mod(self, item);
        }
        match &item.content {
            None => self.test_files.push(item.ident.to_string()),
            Some((brace, _)) => {
                let start = first_line(&item.attrs, item.mod_token.span.start().line);
                self.test_lines.push(start..=last_line(brace.span.close()));
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if self.enter_function(&item.attrs, &item.sig, &item.block) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if self.enter_function(&item.attrs, &item.sig, &item.block) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        let Some(block) = &item.default else { return };
        if self.enter_function(&item.attrs, &item.sig, block) {
            visit::visit_trait_item_fn(self, item);
        }
    }
}

/// `#[test]`, `#[tokio::test]`, and any `cfg` that asks for `test` and negates nothing.
fn is_for_tests(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if !path.is_ident("cfg") {
        return path.segments.last().is_some_and(|last| last.ident == "test");
    }
    let Ok(list) = attribute.meta.require_list() else {
        return false;
    };
    let words = tokens::flatten(list.tokens.clone());
    let says = |word: &str| words.iter().any(|token| token.text == word);
    says("test") && !says("not")
}

fn first_line(attrs: &[Attribute], item: usize) -> usize {
    attrs.iter().map(|attribute| attribute.pound_token.span.start().line).min().unwrap_or(item)
}

fn last_line(span: Span) -> usize {
    span.end().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, text: &str) -> Module {
        let file = File { path: path.into(), text: text.into() };
        Module::parse(&file).expect("the sample is Rust")
    }

    #[test]
    fn a_function_is_counted_from_its_fn_to_its_closing_brace() {
        let module = parse("a.rs", "/// Doc.\n#[inline]\npub fn one(\n    a: u8,\n) {\n    a;\n}\n");
        let [function] = &module.functions[..] else { panic!("one function in the sample") };
        assert_eq!((function.name.as_str(), function.line, function.lines), ("one", 3, 5));
    }

    #[test]
    fn methods_and_nested_functions_are_counted_and_signatures_are_not() {
        let module = parse("a.rs", "trait T { fn no(); fn yes() {} }\nimpl A { fn b() { fn c() {} } }");
        let names: Vec<_> = module.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["yes", "b", "c"]);
    }

    #[test]
    fn tests_count_neither_as_lines_nor_as_functions() {
        let text = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n";
        let module = parse("a.rs", text);
        assert_eq!((module.lines, module.lines_without_tests(), module.functions.len()), (8, 3, 1));
        assert!(module.is_test_line(7) && !module.is_test_line(2));
    }

    #[test]
    fn a_cfg_that_negates_test_is_program_code() {
        let module =
            parse("a.rs", "#[cfg(not(test))]\nmod real { fn a() {} }\n#[cfg(all(test, unix))]\nmod t {}\n");
        assert_eq!(
            (module.functions.len(), module.is_test_line(2), module.is_test_line(4)),
            (1, false, true)
        );
    }

    #[test]
    fn a_module_without_its_sentence_is_found() {
        let tree = Tree::sample(&[("a.rs", "// A.\n"), ("b.rs", "//! B.\n")]);
        let paths: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["a.rs"]);
    }
}
