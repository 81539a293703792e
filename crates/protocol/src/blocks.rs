//! A file's content in blocks that are each verified as they arrive, and its hash made of them.
//!
//! BLAKE3 hashes a tree. A block is a subtree of it, so the values of blocks are made on the way to the hash of the
//! whole: each byte is hashed once, and what goes on at a border of blocks needs only the values before it.
//! Source: the BLAKE3 paper, section 2.1 (binary tree structure), and `blake3::hazmat`.

use crate::id::{BlockValue, ContentHash};
use crate::limits::BLOCK;
use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// The number of values that a content of this size has: one for each whole block that more bytes follow.
pub const fn values_of(size: u64) -> u64 {
    if size == 0 { 0 } else { (size - 1) / BLOCK }
}

/// The hash of the first block of a content, whose bytes these are: what tells whether it may be known already.
pub fn hash_of_first(block: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(block).as_bytes())
}

/// The blocks so far, all of which more bytes follow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// How many blocks.
    blocks: u64,
    /// The values of complete subtrees, the largest first. Invariant: one for each bit that is set in `blocks`.
    subtrees: Vec<[u8; 32]>,
}

impl Tree {
    /// Adds the value of the next block, which more bytes follow.
    pub fn push(&mut self, value: BlockValue) {
        let mut value = value.0;
        // As many subtrees end here as the number of blocks before ends in ones. None is the whole: more follows.
        for _ in 0..self.blocks.trailing_ones() {
            let left =
                self.subtrees.pop().expect("a subtree for each bit that is set in the number of blocks");
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        self.subtrees.push(value);
        self.blocks += 1;
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The hash of the whole, whose last block went through `last`.
    fn finish(&self, last: &Hasher) -> ContentHash {
        let Some((first, rest)) = self.subtrees.split_first() else {
            return ContentHash(*last.finalize().as_bytes());
        };
        let merge = |right, left: &[u8; 32]| merge_subtrees_non_root(left, &right, Mode::Hash);
        let right = rest.iter().rev().fold(last.finalize_non_root(), merge);
        ContentHash(*merge_subtrees_root(first, &right, Mode::Hash).as_bytes())
    }
}

impl FromIterator<BlockValue> for Tree {
    fn from_iter<I: IntoIterator<Item = BlockValue>>(values: I) -> Self {
        values.into_iter().fold(Self::default(), |mut tree, value| {
            tree.push(value);
            tree
        })
    }
}

/// Hashes a content from its beginning, or from a border of blocks on.
#[derive(Clone, Debug)]
pub struct BlockHasher {
    tree: Tree,
    /// What came of the block under way.
    hasher: Hasher,
    /// Bytes of it. Invariant: filled <= BLOCK.
    filled: u64,
}

impl Default for BlockHasher {
    fn default() -> Self {
        Self::after(Tree::default())
    }
}

impl BlockHasher {
    /// Goes on after these blocks.
    pub fn after(tree: Tree) -> Self {
        let hasher = begun_at(tree.blocks);
        Self { tree, hasher, filled: 0 }
    }

    /// Bytes that came, those of the blocks before included.
    pub fn len(&self) -> u64 {
        self.tree.blocks * BLOCK + self.filled
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the block under way begins, in bytes.
    pub fn border(&self) -> u64 {
        self.tree.blocks * BLOCK
    }

    /// Adds bytes; `settled` is told the index and value of each block as soon as more bytes follow it.
    pub fn update(&mut self, mut bytes: &[u8], mut settled: impl FnMut(u64, BlockValue)) {
        while !bytes.is_empty() {
            if let Some(value) = self.value() {
                settled(self.tree.blocks, value);
                self.next_block(value);
            }
            let room = usize::try_from(BLOCK - self.filled).unwrap_or(usize::MAX);
            let (front, rest) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(front);
            self.filled += front.len() as u64;
            bytes = rest;
        }
    }

    /// The value of the block under way, if it is whole. It counts only if more bytes follow.
    pub fn value(&self) -> Option<BlockValue> {
        (self.filled == BLOCK).then(|| BlockValue(self.hasher.finalize_non_root()))
    }

    /// Its index.
    pub fn index(&self) -> u64 {
        self.tree.blocks
    }

    /// Ends the block under way, if it is whole: more bytes follow it.
    pub fn settle(&mut self) -> Option<BlockValue> {
        let value = self.value()?;
        self.next_block(value);
        Some(value)
    }

    fn next_block(&mut self, value: BlockValue) {
        self.tree.push(value);
        (self.hasher, self.filled) = (begun_at(self.tree.blocks), 0);
    }

    /// Forgets the block under way: it is hashed anew from its beginning.
    pub fn restart_block(&mut self) {
        (self.hasher, self.filled) = (begun_at(self.tree.blocks), 0);
    }

    /// The hash of the whole, if this is all of it.
    ///
    /// `None` if nothing came of the last block: it has at least one byte, unless the whole has none.
    pub fn hash(&self) -> Option<ContentHash> {
        (self.filled > 0 || self.tree.blocks == 0).then(|| self.tree.finish(&self.hasher))
    }
}

/// The value of one block, whole and followed by more bytes, whose bytes these are.
pub fn value_of(index: u64, block: &[u8]) -> BlockValue {
    let mut hasher = begun_at(index);
    hasher.update(block);
    BlockValue(hasher.finalize_non_root())
}

fn begun_at(block: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(block.saturating_mul(BLOCK));
    hasher
}
