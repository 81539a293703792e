//! Blocks of files: their values make the hash of the whole, however the bytes come and wherever they go on.

use proptest::prelude::*;
use proptest::test_runner::Config;
use protocol::blocks::{BlockHasher, Tree, hash_of_first, value_of, values_of};
use protocol::id::{BlockValue, ContentHash};
use protocol::limits::BLOCK;

/// Bytes without a pattern that a block could share with another.
fn content(size: u64) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(size).expect("small")];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut content);
    content
}

fn plain_hash(content: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(content).as_bytes())
}

/// The values of a content, and its hash, when it comes in pieces of this size.
fn hashed(content: &[u8], piece: usize) -> (Vec<BlockValue>, Option<ContentHash>) {
    let (mut hasher, mut values) = (BlockHasher::default(), Vec::new());
    for piece in content.chunks(piece) {
        hasher.update(piece, |index, value| {
            assert_eq!(index, values.len() as u64, "blocks come in order");
            values.push(value);
        });
    }
    assert_eq!(hasher.len(), content.len() as u64);
    (values, hasher.hash())
}

#[test]
fn the_hash_is_the_plain_one_on_every_side_of_every_border() {
    for blocks in 0..=9 {
        for size in [(blocks * BLOCK).saturating_sub(1), blocks * BLOCK, blocks * BLOCK + 1] {
            let content = content(size);
            let (values, hash) = hashed(&content, 300_000);
            assert_eq!(hash, Some(plain_hash(&content)), "of {size} bytes");
            assert_eq!(values.len() as u64, values_of(size), "of {size} bytes");
        }
    }
}

/// The same rows are held against code of their own by the tests of the document.
#[test]
fn the_values_in_the_document_are_those_of_the_code() {
    let content: Vec<u8> = (0..2 * BLOCK).map(|n| (n % 251) as u8).collect();
    let (first, second) = content.split_at(1 << 20);
    let document = include_str!("../../crates/protocol/WIRE.md");
    for (what, bytes) in [
        ("`first`, the hash of block 0 alone", hash_of_first(first).0),
        ("the value of block 0", value_of(0, first).0),
        ("the value of block 1, if more followed", value_of(1, second).0),
        ("the hash of the whole, the parent of both with the flag ROOT", plain_hash(&content).0),
    ] {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let row = format!("| {what} | `{hex}` |");
        assert!(document.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn what_goes_on_at_any_border_ends_the_same() {
    let content = content(7 * BLOCK + 5);
    let (values, hash) = hashed(&content, 1 << 20);
    for border in 0..=7_usize {
        let tree: Tree = values[..border].iter().copied().collect();
        let mut hasher = BlockHasher::after(tree);
        let mut rest = values[border..].iter().copied();
        let from = border << 20;
        assert_eq!(hasher.border(), from as u64);
        hasher.update(&content[from..], |_, value| assert_eq!(Some(value), rest.next()));
        assert_eq!((hasher.hash(), rest.next()), (hash, None), "from block {border} on");
    }
}

#[test]
fn a_hasher_that_waits_for_its_last_block_has_no_hash() {
    let content = content(2 * BLOCK);
    let (values, _) = hashed(&content, 1 << 20);
    let hasher = BlockHasher::after(values.into_iter().collect());
    assert_eq!((hasher.hash(), hasher.len()), (None, BLOCK));
}

#[test]
fn a_block_that_is_begun_anew_leaves_no_trace() {
    let content = content(3 * BLOCK);
    let mut hasher = BlockHasher::default();
    hasher.update(&content[..(1 << 20) + 7], |_, _| {});
    hasher.update(b"damaged", |_, _| {});
    hasher.restart_block();
    assert_eq!(hasher.len(), BLOCK);
    hasher.update(&content[1 << 20..], |_, _| {});
    assert_eq!(hasher.hash(), Some(plain_hash(&content)));
}

#[test]
fn a_whole_block_has_its_value_before_more_bytes_come() {
    let content = content(2 * BLOCK);
    let (values, _) = hashed(&content, 1 << 20);
    let mut hasher = BlockHasher::default();
    hasher.update(&content[..(1 << 20) - 1], |_, _| panic!("no block is settled"));
    assert_eq!(hasher.value(), None);
    hasher.update(&content[(1 << 20) - 1..1 << 20], |_, _| panic!("nothing follows"));
    assert_eq!((hasher.value(), hasher.index()), (Some(values[0]), 0));
}

proptest! {
    // Each case hashes megabytes.
    #![proptest_config(Config { cases: 50, ..Config::default() })]

    #[test]
    fn pieces_of_any_size_make_the_same(size in 0..5 * BLOCK, piece in 1_000..3_000_000_usize) {
        let content = content(size);
        prop_assert_eq!(hashed(&content, piece), hashed(&content, 1 << 20));
        prop_assert_eq!(hashed(&content, piece).1, Some(plain_hash(&content)));
    }
}
