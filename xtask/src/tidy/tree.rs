//! The checkout as the checks see it: the text of every file, and every Rust module, parsed once.

use std::{fs, path::Path};

use super::{finding::Finding, module::Module};
use crate::failure::Failure;

/// What holds no work of ours, at whatever depth: `fuzz` has a `target` of its own.
const NOT_OURS: [&str; 2] = [".git", "target"];

/// One file of the checkout.
pub struct File {
    /// From the top of the checkout, with `/` between the parts.
    pub path: String,
    /// Bytes that are not UTF-8 are replaced: the rules are about readable text.
    pub text: String,
}

/// All files, in the order of their paths.
pub struct Tree {
    /// Every file, Rust or not.
    pub files: Vec<File>,
    /// Every Rust file that could be parsed.
    pub modules: Vec<Module>,
    /// A finding for each Rust file that could not.
    pub unparsed: Vec<Finding>,
}

impl Tree {
    /// Reads every file below `root`. Ignored files are read too, since a snapshot that waits for review is one.
    ///
    /// # Errors
    /// Fails at the first file or folder that can't be read.
    pub fn read(root: &Path) -> Result<Tree, Failure> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
        Ok(Tree::new(files))
    }

    fn new(files: Vec<File>) -> Tree {
        let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
        let mut tree = Tree { modules: Vec::new(), unparsed: Vec::new(), files: Vec::new() };
        for parsed in rust.map(Module::parse) {
            match parsed {
                Ok(module) => tree.modules.push(module),
                Err(finding) => tree.unparsed.push(finding),
            }
        }
        mark_test_modules(&mut tree.modules);
        Tree { files, ..tree }
    }

    /// A made-up tree of paths and texts.
    #[cfg(test)]
    pub fn sample(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() });
        Tree::new(files.collect())
    }

    /// The modules that end up in a program or library.
    pub fn program(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|module| !module.is_test)
    }

    /// The modules that hold nothing but tests.
    pub fn tests(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|module| module.is_test)
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<(), Failure> {
    let cant_read = |source| Failure::Read { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(cant_read)? {
        let entry = entry.map_err(cant_read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(cant_read)?;
        // In a linked worktree `.git` is a file.
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if kind.is_file() {
            files.push(read_file(&entry.path(), path)?);
        } else if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files)?;
        }
    }
    Ok(())
}

fn read_file(at: &Path, path: String) -> Result<File, Failure> {
    let bytes = fs::read(at).map_err(|source| Failure::Read { path: at.to_path_buf(), source })?;
    Ok(File { path, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// A file declared by `#[cfg(test)] mod name;` is test code, and so is all that lies in its folder.
fn mark_test_modules(modules: &mut [Module]) {
    let declared: Vec<String> = modules.iter().flat_map(Module::declared_tests).collect();
    for module in modules {
        let stem = module.path.trim_end_matches(".rs");
        module.is_test |= declared.iter().any(|test| stem == test || stem.starts_with(&format!("{test}/")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_declared_for_tests_is_test_code_with_its_folder() {
        let tree = Tree::sample(&[
            ("a/src/lib.rs", "#[cfg(test)]\nmod proofs;\nmod work;\n"),
            ("a/src/proofs.rs", ""),
            ("a/src/proofs/deep.rs", ""),
            ("a/src/work.rs", "#[cfg(test)] mod cases;"),
            ("a/src/work/cases.rs", ""),
            ("tests/main.rs", ""),
        ]);
        let program: Vec<_> = tree.program().map(|module| module.path.as_str()).collect();
        assert_eq!(program, ["a/src/lib.rs", "a/src/work.rs"]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_a_finding_and_not_a_panic() {
        let tree = Tree::sample(&[("a.rs", "//! A.\nfn broken( {\n")]);
        assert_eq!((tree.modules.len(), tree.unparsed[0].path.as_str()), (0, "a.rs"));
    }
}
