//! Folders: read as one content, written out of it, and never anywhere else.

use crate::transfer::unpack::Unpacking;
use crate::transfer::{Failure, Shape, Source};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use protocol::bundle::{HEAD, Index};
use protocol::id::TransferId;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A folder to send: files, an empty one, a program, an empty folder, a link, and a pipe.
fn sent() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    let at = |path: &str| root.path().join(path);
    fs::create_dir_all(at("a/b/c")).expect("a folder");
    fs::create_dir_all(at("empty")).expect("a folder");
    fs::write(at("a/b/c/deep"), "deep").expect("a file");
    fs::write(at("a/nothing"), "").expect("a file");
    fs::write(at("run.sh"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o755)).expect("a program");
    symlink("/etc/passwd", at("link")).expect("a link");
    symlink(at("a"), at("a/loop")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).expect("a pipe");
    root
}

fn content(source: &mut Source) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(source.size()).expect("small")];
    source.read_at(0, &mut bytes).expect("readable");
    bytes
}

/// Writes the content as a file, and that out as a folder of this name.
fn unpack(root: &Path, name: &str, bytes: &[u8], executables: bool) -> Result<(), Failure> {
    fs::write(root.join("content"), bytes).expect("writable");
    let file = File::open(root.join("content")).expect("there");
    let dir = Dir::open_ambient_dir(root, ambient_authority()).expect("a folder");
    let mut unpacking = Unpacking::begin(&file, &dir, name, executables)?;
    while unpacking.step()?.is_some() {}
    Ok(())
}

/// A content with one file of this path, however bad that is.
fn crafted(path: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut list = vec![1, 1, u8::try_from(bytes.len()).expect("short")];
    let len = path.len();
    if len > 127 {
        list.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
        list.push(u8::try_from(len >> 7).expect("short"));
    } else {
        list.push(u8::try_from(len).expect("short"));
    }
    list.extend_from_slice(path);
    let mut content = u32::try_from(list.len()).expect("short").to_be_bytes().to_vec();
    content.extend(list);
    content.extend_from_slice(bytes);
    content
}

#[test]
fn a_folder_arrives_as_it_was_without_its_links_and_pipes() {
    let from = sent();
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    assert_eq!((source.shape(), source.left_out()), (Shape::Folder, 3));
    let bytes = content(&mut source);
    source.check_whole().expect("unchanged");
    let to = tempfile::tempdir().expect("a temporary folder");
    for (name, executables) in [("plain", false), ("run", true)] {
        unpack(to.path(), name, &bytes, executables).expect("written");
        let at = |path: &str| to.path().join(name).join(path);
        assert_eq!(fs::read_to_string(at("a/b/c/deep")).expect("there"), "deep");
        assert_eq!(fs::read_to_string(at("a/nothing")).expect("there"), "");
        assert!(at("empty").is_dir());
        let mode = fs::metadata(at("run.sh")).expect("there").permissions().mode();
        assert_eq!(mode & 0o111 != 0, executables);
        assert_eq!(fs::read_dir(at("")).expect("a folder").count(), 3, "no link, no pipe");
        assert_eq!(fs::read_dir(at("a")).expect("a folder").count(), 2, "no link");
    }
}

#[test]
fn a_link_to_a_folder_goes_by_its_own_name_and_a_dot_by_that_of_its_folder() {
    let from = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(from.path().join("version-7")).expect("a folder");
    std::os::unix::fs::symlink("version-7", from.path().join("current")).expect("a link");
    for (path, name) in [("current", "current"), ("version-7/.", "version-7"), ("current/..", "")] {
        let source = Source::open_any(&[from.path().join(path)]).expect("a folder");
        let above = || from.path().file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(source.name(), if name.is_empty() { above() } else { name.to_owned() }, "{path}");
    }
}

#[test]
fn a_folder_is_read_the_same_in_any_pieces() {
    let from = sent();
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    let whole = content(&mut source);
    for size in [1, 2, 3, 7, 64] {
        let mut read = Vec::new();
        for (at, piece) in (0..).step_by(size).zip(whole.chunks(size)) {
            let mut buffer = vec![0; piece.len()];
            source.read_at(at, &mut buffer).expect("readable");
            read.extend(buffer);
        }
        assert_eq!(read, whole, "in pieces of {size}");
    }
    let mut beyond = [0; 1];
    assert_eq!(source.read_at(source.size(), &mut beyond), Err(Failure::Changed));
}

#[test]
fn two_looks_at_a_folder_see_the_same_and_a_change_is_noticed() {
    let from = sent();
    let stamp = || Source::open_any(&[from.path()]).expect("a folder").opened(TransferId([0; 16])).stamp;
    let before = stamp();
    assert_eq!(stamp(), before);
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    fs::remove_file(from.path().join("a/b/c/deep")).expect("removed");
    symlink("/etc/passwd", from.path().join("a/b/c/deep")).expect("a link");
    assert_eq!(source.check_whole(), Err(Failure::Changed));
    let mut all = vec![0; usize::try_from(source.size()).expect("small")];
    assert_eq!(source.read_at(0, &mut all), Err(Failure::Changed), "no link is read");
    assert_ne!(stamp(), before);
}

#[test]
fn a_file_that_grows_in_a_folder_is_read_as_it_was() {
    let from = sent();
    let path = from.path().join("a/b/c/deep");
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    let before = content(&mut source);
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    assert_eq!(source.check_whole(), Ok(false));
    let mut log = fs::File::options().append(true).open(&path).expect("there");
    std::io::Write::write_all(&mut log, b"one more line").expect("written");
    assert_eq!(content(&mut source), before);
    assert_eq!(source.check_whole(), Ok(true));
}

#[test]
fn files_of_a_folder_that_do_not_tell_their_size_are_read_once_and_sent_with_all_that_they_have() {
    for (folder, named) in [
        ("/proc/sys/kernel/random", &["boot_id", "poolsize"][..]),
        ("/sys/kernel/mm/transparent_hugepage", &["enabled", "defrag"][..]),
    ] {
        let path = std::path::Path::new(folder);
        if !named.iter().all(|name| path.join(name).exists()) {
            continue;
        }
        let mut source = Source::open_any(&[path]).expect("a folder");
        let bytes = content(&mut source);
        assert_eq!(content(&mut source), bytes, "{folder}: what is new each time is read once");
        assert_eq!(source.check_whole(), Ok(false), "{folder}");
        let to = tempfile::tempdir().expect("a temporary folder");
        unpack(to.path(), "x", &bytes, false).expect("written");
        for name in named {
            let expected = fs::read(path.join(name)).expect("it can be read");
            assert_ne!(expected.len() as u64, fs::metadata(path.join(name)).expect("there").len());
            assert_eq!(fs::read(to.path().join("x").join(name)).expect("there"), expected, "{folder}/{name}");
        }
    }
}

#[test]
fn an_empty_file_that_is_empty_still_has_not_changed() {
    let from = sent();
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    let before = content(&mut source);
    fs::remove_file(from.path().join("a/nothing")).expect("removed");
    fs::write(from.path().join("a/nothing"), "").expect("made anew");
    assert_eq!((source.check_whole(), content(&mut source)), (Ok(false), before));
}

#[test]
fn what_can_not_be_sent_says_what_it_is() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("a\u{202e}b"), "").expect("a file");
    let failure = Source::open_any(&[root.path()]).map(drop).expect_err("it turns direction");
    assert!(matches!(&failure, Failure::BadFolder(words) if words.contains("U+202E")), "{failure:?}");
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xff");
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join(name), "").expect("a file");
    let failure = Source::open_any(&[root.path()]).map(drop).expect_err("no text");
    assert!(matches!(&failure, Failure::BadFolder(words) if words.contains("UTF-8")), "{failure:?}");
}

/// Names that lead out, hide, or mean something else to some system.
fn hostile() -> Vec<Vec<u8>> {
    let bad = [
        "..",
        ".",
        "",
        " ",
        ". .",
        "...",
        "/",
        "//",
        "\0",
        "a\0",
        "\n",
        "a\nb",
        "\r",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "x\u{202e}gpj.exe",
        "\u{200b}",
        "a\u{feff}",
        "\u{2066}",
        "\u{2028}",
        "\u{ad}",
        "\u{3164}",
        "\u{e0041}",
    ];
    let around = ["", "a/", "../", "/", "./", "a/../", "../../", "/etc/"];
    let both =
        around.iter().flat_map(|front| bad.iter().map(move |name| format!("{front}{name}").into_bytes()));
    let behind = bad.iter().map(|name| format!("{name}/x").into_bytes());
    let long = [vec![b'x'; 256], vec![b'x'; 5_000], ["d/"; 32].concat().into_bytes(), b"\xff".to_vec()];
    both.chain(behind).chain(long).collect()
}

#[test]
fn no_hostile_path_is_ever_written() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let inside = root.path().join("a/b");
    fs::create_dir_all(&inside).expect("a folder");
    fs::write(root.path().join("canary"), "canary").expect("a file");
    let names = hostile();
    assert!(names.len() >= 200, "{}", names.len());
    for path in &names {
        let failure = unpack(&inside, "new", &crafted(path, b"x"), false).expect_err("hostile");
        assert!(matches!(failure, Failure::BadFolder(_)), "{path:?}: {failure:?}");
    }
    // The content itself, and nothing else.
    assert_eq!(fs::read_dir(&inside).expect("a folder").count(), 1);
    assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 2);
    assert_eq!(fs::read_to_string(root.path().join("canary")).expect("there"), "canary");
}

#[test]
fn names_that_other_systems_can_not_hold_arrive_as_they_are() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let names = ["README", "readme", "caf\u{e9}", "cafe\u{301}", "a\\b", "..\\x", "C:\\x", "a:b?"];
    for name in names {
        fs::write(from.path().join(name), name).expect("a file");
        fs::create_dir(from.path().join(format!("{name}.d"))).expect("a folder");
        fs::write(from.path().join(format!("{name}.d")).join("x"), name).expect("a file");
    }
    let mut source = Source::open_any(&[from.path()]).expect("a folder");
    unpack(to.path(), "new", &content(&mut source), false).expect("written");
    for name in names {
        let read = |path: &str| fs::read_to_string(to.path().join("new").join(path)).expect("it is there");
        assert_eq!((read(name), read(&format!("{name}.d/x"))), (name.to_owned(), name.to_owned()));
    }
    assert_eq!(fs::read_dir(to.path()).expect("a folder").count(), 2, "nothing lies beside it");
}

/// A file system that takes two names for one says that the second is there already.
#[test]
fn what_this_file_system_takes_for_one_gets_a_number_and_that_is_told() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = |path: &str| protocol::bundle::Item {
        path: path.to_owned(),
        shape: protocol::bundle::Shape::File { size: 1, executable: false },
    };
    let index = Index::new(vec![file("README"), file("readme"), file("sub/x"), file("sub/y")]);
    let mut bytes = index.expect("good names").encode().to_vec();
    bytes.extend(b"1234");
    fs::write(root.path().join("content"), &bytes).expect("written");
    let whole = fs::File::open(root.path().join("content")).expect("there");
    let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).expect("a folder");
    let mut unpacking = Unpacking::begin(&whole, &dir, "new", false).expect("a folder");
    let new = root.path().join("new");
    fs::write(new.join("readme"), "other").expect("written");
    fs::create_dir(new.join("sub")).expect("made");
    while unpacking.step().expect("written").is_some() {}
    let renamed = unpacking.into_renamed();
    let told = |path: &str, here: &str| (path.to_owned(), here.to_owned());
    assert_eq!(renamed, [told("readme", "readme (1)"), told("sub", "sub (1)")]);
    for (path, content) in
        [("README", "1"), ("readme", "other"), ("readme (1)", "2"), ("sub (1)/x", "3"), ("sub (1)/y", "4")]
    {
        assert_eq!(fs::read_to_string(new.join(path)).expect("there"), content, "{path}");
    }
}

#[test]
fn nothing_is_written_over_and_a_content_of_another_size_is_refused() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(root.path().join("taken")).expect("a folder");
    assert!(matches!(unpack(root.path(), "taken", &crafted(b"x", b"y"), false), Err(Failure::Unwritable(_))));
    symlink(root.path().join("taken"), root.path().join("link")).expect("a link");
    assert!(matches!(unpack(root.path(), "link", &crafted(b"x", b"y"), false), Err(Failure::Unwritable(_))));
    assert_eq!(fs::read_dir(root.path().join("taken")).expect("a folder").count(), 0);
    let mut short = crafted(b"x", b"y");
    short.pop();
    assert_eq!(unpack(root.path(), "new", &short, false), Err(Failure::WrongContent));
    assert_eq!(unpack(root.path(), "new", &short[..HEAD - 1], false), Err(Failure::WrongContent));
}

/// How often a race is run: `NATTER_RACES` if it is set, and otherwise often enough for CI.
fn races() -> u32 {
    std::env::var("NATTER_RACES").ok().and_then(|races| races.parse().ok()).unwrap_or(300)
}

/// Somebody swaps the folders that are being written for links to elsewhere, all the time.
#[test]
fn no_link_that_somebody_puts_in_the_way_is_followed() {
    // A race needs many turns, and a disk of memory syncs at once.
    let memory = Path::new("/dev/shm");
    let root = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let (inside, elsewhere) = (root.path().join("received"), root.path().join("elsewhere"));
    fs::create_dir(&inside).expect("a folder");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::write(elsewhere.join("canary"), "canary").expect("a file");
    let index = Index::new(
        (0..4)
            .map(|n| protocol::bundle::Item {
                path: format!("d{n}/e/canary"),
                shape: protocol::bundle::Shape::File { size: 1, executable: false },
            })
            .collect(),
    );
    let mut bytes = index.expect("good names").encode().to_vec();
    bytes.extend(b"evil");
    let stop = AtomicBool::new(false);
    let hindered = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for path in ["new", "new/d0", "new/d1", "new/d1/e", "new/d2", "new/d2/e", "new/d3"] {
                    let (at, aside) = (inside.join(path), inside.join("aside"));
                    // One that is still written into could not be removed at once, and would stand in every later way.
                    let _ = fs::remove_dir_all(&aside);
                    if fs::rename(&at, &aside).is_ok() {
                        let _ = symlink(&elsewhere, &at);
                        let _ = fs::remove_dir_all(&aside);
                    }
                    if at.is_symlink() {
                        let _ = fs::remove_file(&at);
                    }
                }
            }
        });
        let (mut written, mut tried) = (0, 0);
        // A busy machine may let the other thread begin late: then it is tried until that was in the way once.
        while tried < races() || (written == tried && tried < races() * 200) {
            tried += 1;
            written += u32::from(unpack(&inside, "new", &bytes, false).is_ok());
            let _ = fs::remove_file(inside.join("new"));
            let _ = fs::remove_dir_all(inside.join("new"));
        }
        stop.store(true, Ordering::Relaxed);
        tried - written
    });
    assert_eq!(fs::read_to_string(elsewhere.join("canary")).expect("there"), "canary");
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 1, "something was written outside");
    assert!(hindered > 0 || races() == 0, "nobody was in the way: the race was none");
}
