//! Folders as content: one list for each folder, and none that could be written outside it or twice.

use super::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::bundle::{BundleError, HEAD, Index, Item, PartError, Shape};
use protocol::limits::{MAX_BUNDLE_DEPTH, MAX_BUNDLE_ENTRIES, MAX_BUNDLE_INDEX, MAX_NUMBER};
use std::collections::BTreeMap;

fn file(path: &str, size: u64) -> Item {
    Item { path: path.to_owned(), shape: Shape::File { size, executable: false } }
}

fn folder(path: &str) -> Item {
    Item { path: path.to_owned(), shape: Shape::Folder }
}

/// What stands behind the head.
fn list(items: &[Item]) -> Vec<u8> {
    let number = |n: u64| {
        let len = (1..9).find(|at| n >> (7 * at) == 0).unwrap_or(9);
        let more = |at| if at + 1 < len { 0x80 } else { 0 };
        let bytes = (0..len).map(|at| u8::try_from(n >> (7 * at) & 0x7f).expect("seven bits") | more(at));
        bytes.collect::<Vec<_>>()
    };
    let mut out = number(items.len() as u64);
    for Item { path, shape } in items {
        match shape {
            Shape::Folder => out.push(0),
            Shape::File { size, executable } => {
                out.push(1 + u8::from(*executable));
                out.extend(number(*size));
            }
        }
        out.extend(number(path.len() as u64));
        out.extend_from_slice(path.as_bytes());
    }
    out
}

/// Both who sends and who receives refuse it.
fn check_refused(items: &[Item], expected: &BundleError) {
    assert_eq!(Index::new(items.to_vec()).as_ref(), Err(expected), "{items:?}");
    assert_eq!(Index::decode(&list(items)).as_ref(), Err(expected), "{items:?}");
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let name = proptest::sample::select(vec![
        "a",
        "b",
        "A",
        "ａ",
        "a.b",
        "a b",
        "ab",
        ".a",
        "ß",
        "ss",
        "é",
        "e\u{301}",
        "a\u{fe0f}",
        "-",
        "~",
        "a.",
        "..",
        "",
        "a\u{200b}",
        "\\",
        "CON",
        "❤\u{fe0f}",
    ]);
    let path = vec(name, 1..4).prop_map(|names| names.join("/"));
    let shape = prop_oneof![
        Just(Shape::Folder),
        (prop_oneof![0..4_u64, any::<u64>().prop_map(|size| size >> 1)], any::<bool>())
            .prop_map(|(size, executable)| Shape::File { size, executable }),
    ];
    vec((path, shape).prop_map(|(path, shape)| Item { path, shape }), 0..6)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_folder_has_one_list_that_reads_back_as_it_was(items in items().prop_shuffle()) {
        let Ok(index) = Index::new(items.clone()) else { return Ok(()) };
        let encoded = index.encode();
        let (head, rest) = encoded.split_first_chunk::<HEAD>().expect("a head");
        prop_assert_eq!(Index::length(*head), Ok(rest.len()));
        prop_assert_eq!(rest, &list(index.items())[..]);
        let read = Index::decode(rest);
        prop_assert_eq!(read.as_ref(), Ok(&index));
        let mut reversed = items;
        reversed.reverse();
        prop_assert_eq!(Index::new(reversed).map(|index| index.encode()), Ok(encoded));
    }

    #[test]
    fn no_bytes_make_a_list_that_encodes_to_others(bytes in vec(any::<u8>(), 0..64)) {
        if let Ok(index) = Index::decode(&bytes) {
            prop_assert_eq!(&index.encode()[HEAD..], &bytes[..]);
        }
    }

    #[test]
    fn a_damaged_list_is_refused_or_is_another_good_one(items in items(), at in any::<usize>(), byte in any::<u8>()) {
        let Ok(index) = Index::new(items) else { return Ok(()) };
        let mut bytes = index.encode()[HEAD..].to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Index::decode(&bytes) {
            prop_assert_eq!(&read.encode()[HEAD..], &bytes[..]);
        }
        prop_assert!(Index::decode(&bytes[..at]).is_err());
    }

    /// A naive file system: everything can be made in it, nothing twice, and nothing in a file.
    #[test]
    fn what_is_listed_can_be_made_without_touching_anything_twice(items in items()) {
        let Ok(index) = Index::new(items) else { return Ok(()) };
        let mut made: BTreeMap<Vec<&str>, bool> = BTreeMap::new();
        for item in index.items() {
            let names: Vec<_> = item.path.split('/').collect();
            prop_assert!(names.iter().all(|name| !name.trim_end_matches(['.', ' ']).is_empty()));
            for depth in 1..=names.len() {
                let whole = depth == names.len();
                let before = made.insert(names[..depth].to_vec(), whole);
                prop_assert!(before.is_none_or(|was_whole| !was_whole && !whole), "{:?}", item.path);
            }
        }
    }

    #[test]
    fn each_byte_has_one_place(sizes in vec(0..5_u64, 0..6)) {
        let items = (0..).zip(&sizes).map(|(n, size)| file(&format!("{n}"), *size)).collect();
        let index = Index::new(items).expect("good names");
        let mut expected = (0..).zip(&sizes).flat_map(|(n, size)| (0..*size).map(move |at| (n, at, size - at)));
        for offset in 0..index.size() + 3 {
            let found = index.place(offset).map(|place| (place.item, place.offset, place.len));
            let wanted = if offset < index.front() { None } else { expected.next() };
            prop_assert_eq!(found, wanted, "at {}", offset);
        }
        prop_assert_eq!(index.bytes(), sizes.iter().sum::<u64>());
    }
}

#[test]
fn the_example_of_the_document_is_what_is_sent() {
    let run = Item { path: "run.sh".into(), shape: Shape::File { size: 3, executable: true } };
    let index = Index::new(vec![run, folder("old")]).expect("good names");
    let expected = b"\x00\x00\x00\x0f\x02\x00\x03old\x02\x03\x06run.sh";
    assert_eq!(&index.encode()[..], expected);
    assert_eq!((index.front(), index.size(), index.files()), (19, 22, 1));
}

#[test]
fn an_empty_folder_is_a_folder() {
    let index = Index::new(Vec::new()).expect("nothing bad in it");
    assert_eq!(&index.encode()[..], b"\x00\x00\x00\x01\x00");
    assert_eq!(Index::decode(b"\x00"), Ok(index));
}

#[test]
fn no_path_leads_out_of_the_folder() {
    for path in ["", ".", "..", "../x", "a/../x", "a/..", "/x", "a//x", "x/", "a/. ./x", "... ", "/"] {
        let error = PartError::Nothing;
        check_refused(&[file(path, 1)], &BundleError::Part { path: path.into(), error });
    }
    for (path, bad) in [
        ("a\0b", '\0'),
        ("a\n/b", '\n'),
        ("a/b\u{1b}[2J", '\u{1b}'),
        ("photo\u{202e}gpj.exe", '\u{202e}'),
        ("a\u{200b}", '\u{200b}'),
        ("a\u{2028}b", '\u{2028}'),
        ("\u{7f}", '\u{7f}'),
    ] {
        let error = PartError::Character(bad);
        check_refused(&[file(path, 1)], &BundleError::Part { path: path.into(), error });
    }
    let long = "x".repeat(256);
    check_refused(&[file(&long, 1)], &BundleError::Part { path: long.clone(), error: PartError::TooLong });
}

#[test]
fn names_that_some_system_takes_for_one_stand_side_by_side() {
    for (a, b) in [
        ("A", "a"),
        ("a", "ａ"),
        ("STRASSE", "straße"),
        ("a", "a. ."),
        ("a", "a\u{200d}"),
        ("e\u{301}", "é"),
        ("d/A", "d/a"),
        ("D/a", "d/b"),
        ("A", "a/b"),
        ("..\\x", "C:\\x"),
    ] {
        let index = Index::new(vec![file(b, 1), file(a, 1)]).expect("two names");
        let paths: Vec<_> = index.items().iter().map(|item| &item.path[..]).collect();
        assert_eq!(paths, [a, b]);
        assert_eq!(Index::decode(&index.encode()[HEAD..]), Ok(index));
    }
}

#[test]
fn nothing_is_there_twice_or_lies_in_a_file() {
    check_refused(&[file("a", 1), file("a", 1)], &BundleError::Order("a".into()));
    check_refused(&[file("a", 1), file("a/b", 1)], &BundleError::InFile("a/b".into()));
    check_refused(&[folder("a"), file("a/b", 1)], &BundleError::InFile("a/b".into()));
    check_refused(&[file("a/b", 1), file("a/b/c/d", 1)], &BundleError::InFile("a/b/c/d".into()));
}

#[test]
fn what_is_out_of_order_is_refused_and_put_in_order_by_who_sends() {
    let items = [file("b", 1), file("a", 1)];
    assert_eq!(Index::decode(&list(&items)), Err(BundleError::Order("a".into())));
    // What is in one folder stands together, though '-' comes before '/'.
    let index = Index::new(vec![file("a-b", 1), file("a/c", 1), file("a/b", 1)]).expect("good names");
    let paths: Vec<_> = index.items().iter().map(|item| &item.path[..]).collect();
    assert_eq!(paths, ["a/b", "a/c", "a-b"]);
}

#[test]
fn all_limits_hold_on_both_sides() {
    let deep = |depth: usize| vec!["d"; depth].join("/");
    assert!(Index::new(vec![file(&deep(MAX_BUNDLE_DEPTH), 1)]).is_ok());
    let path = deep(MAX_BUNDLE_DEPTH + 1);
    check_refused(&[file(&path, 1)], &BundleError::TooDeep(path.clone()));
    let many = |count: usize| (0..count).map(|n| file(&format!("{n:05}"), 1)).collect::<Vec<_>>();
    assert!(Index::new(many(MAX_BUNDLE_ENTRIES)).is_ok());
    check_refused(&many(MAX_BUNDLE_ENTRIES + 1), &BundleError::TooMany);
    let long: Vec<_> = (0..17_000).map(|n| file(&format!("{n:0250}"), 1)).collect();
    check_refused(&long, &BundleError::TooLong);
    let head = u32::try_from(MAX_BUNDLE_INDEX).expect("4 MiB");
    assert_eq!(Index::length(head.to_be_bytes()), Ok(MAX_BUNDLE_INDEX));
    assert_eq!(Index::length((head + 1).to_be_bytes()), Err(BundleError::TooLong));
    check_refused(&[file("a", MAX_NUMBER), file("b", 1)], &BundleError::TooLarge);
}

#[test]
fn a_list_ends_where_it_says() {
    let mut bytes = list(&[file("a", 1)]);
    bytes.push(0);
    assert_eq!(Index::decode(&bytes), Err(BundleError::Trailing));
    assert!(Index::decode(b"\x02\x00\x01a").is_err());
    assert!(Index::decode(b"\x01\x03\x01a").is_err(), "no such thing");
}
