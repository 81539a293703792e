//! The folder of received files: nothing is written outside it, nothing in it is replaced, nothing partial shows.

use crate::transfer::{Failure, Received};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::TempDir;

/// Names that somebody with bad intentions would send.
const HOSTILE: [&str; 28] = [
    "../x",
    "../../x",
    "../canary",
    "/etc/passwd",
    "/tmp/natter-canary",
    ".bashrc",
    "a\0b",
    "a\u{1b}]0;b\u{7}",
    "CON",
    "nul.txt",
    "COM1",
    "..",
    ".",
    "",
    "~/.ssh",
    "~/.ssh/authorized_keys",
    "-rf",
    "a/b/c",
    "C:\\x",
    "\\\\server\\share",
    "x. . .",
    "photo\u{202e}gpj.exe",
    "taken",
    "link",
    "dangling",
    "folder",
    ".natter-0000000000000001.part",
    "received/../../canary",
];

/// A folder with other things around it and in it.
struct World {
    root: TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("received/folder")).expect("a folder");
        for name in ["canary", "x", ".bashrc", "received/taken", "received/folder/c"] {
            fs::write(at(name), name).expect("a file");
        }
        std::os::unix::fs::symlink(at("canary"), at("received/link")).expect("a link");
        std::os::unix::fs::symlink(at("nothing"), at("received/dangling")).expect("a link");
        let before = tree(root.path());
        Self { root, before }
    }

    fn folder(&self) -> Received {
        Received::new(self.root.path().join("received"))
    }

    /// What is new; everything else must be as it was.
    fn new_files(&self) -> BTreeMap<PathBuf, String> {
        let mut now = tree(self.root.path());
        for (path, content) in &self.before {
            assert_eq!(now.remove(path).as_ref(), Some(content), "{path:?} was touched");
        }
        now
    }
}

/// All files and links below a folder, and what is in them.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            found.insert(path, format!("-> {}", target.display()));
        } else if path.is_dir() {
            found.extend(tree(&path));
        } else {
            let content = fs::read_to_string(&path).expect("a text");
            found.insert(path, content);
        }
    }
    found
}

fn receive(folder: &Received, random: u64, name: &str, content: &str) -> Result<String, Failure> {
    let mut partial = folder.begin(random)?;
    partial.write(content.as_bytes())?;
    partial.keep(name)
}

#[test]
fn no_name_leads_out_of_the_folder_or_replaces_anything() {
    let world = World::new();
    let mut kept = BTreeMap::new();
    for (n, name) in (0..).zip(HOSTILE.iter().copied().chain([&*"x".repeat(300), &*"x".repeat(300)])) {
        let content = format!("content {n}");
        let path = receive(&world.folder(), n, name, &content).expect("every name has a safe version");
        assert_eq!(Path::new(&path).parent(), Some(&*world.root.path().join("received")), "{name:?}");
        kept.insert(PathBuf::from(path), content);
    }
    assert_eq!(kept.len(), HOSTILE.len() + 2);
    assert_eq!(world.new_files(), kept);
}

#[test]
fn a_taken_name_gets_a_number_in_front_of_its_extension() {
    let world = World::new();
    let names: Vec<_> =
        (0..3).map(|n| receive(&world.folder(), n, "cat.tar.gz", "x").expect("kept")).collect();
    let named: Vec<_> = names.iter().map(|path| Path::new(path).file_name().expect("a name")).collect();
    assert_eq!(named, ["cat.tar.gz", "cat.tar (1).gz", "cat.tar (2).gz"]);
    let link = receive(&world.folder(), 9, "dangling", "x").expect("kept");
    assert!(link.ends_with("/dangling (1)"), "{link}");
}

#[test]
fn what_is_not_whole_has_no_name_and_goes_when_it_is_given_up() {
    let world = World::new();
    let mut partial = world.folder().begin(7).expect("a partial");
    partial.write(b"half").expect("written");
    let shown = world.new_files();
    assert_eq!(shown.len(), 1);
    let hidden = shown.keys().next().and_then(|path| path.file_name()).expect("a name");
    assert_eq!(hidden, ".natter-0000000000000007.part");
    drop(partial);
    assert_eq!(world.new_files(), BTreeMap::new());
}

#[test]
fn what_a_kill_left_is_removed_at_the_next_start_and_nothing_else() {
    let world = World::new();
    let left = world.root.path().join("received/.natter-00000000000000aa.part");
    fs::write(&left, "half").expect("a file");
    fs::write(world.root.path().join("received/.natter-note"), "mine").expect("a file");
    std::os::unix::fs::symlink("../canary", world.root.path().join("received/.natter-b.part"))
        .expect("a link");
    let mut other = world.folder().begin(1).expect("another program's");
    world.folder().clean(SystemTime::UNIX_EPOCH).expect("cleaned");
    assert!(!left.exists());
    assert_eq!(world.new_files().len(), 3, "{:?}", world.new_files());
    other.write(b"whole").expect("still there");
    other.keep("whole").expect("kept");
}

#[test]
fn a_folder_that_is_not_there_is_clean_and_is_made_when_something_comes() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = Received::new(root.path().join("a/b"));
    folder.clean(SystemTime::UNIX_EPOCH).expect("nothing to do");
    assert!(!root.path().join("a").exists());
    receive(&folder, 1, "x", "y").expect("kept");
    assert_eq!(fs::read_to_string(root.path().join("a/b/x")).expect("there"), "y");
}

#[test]
fn a_folder_that_can_not_be_made_is_a_failure_with_the_systems_words() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("file"), "").expect("a file");
    let failure = Received::new(root.path().join("file/a")).begin(1).map(drop).expect_err("no folder");
    assert_eq!(failure, Failure::Unwritable("not a directory".into()));
}
