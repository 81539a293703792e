//! BLAKE3 as its paper has it, for whole contents and for blocks of them: slow, short, and nobody else's code.

const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const ORDER: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const CHUNK: usize = 1_024;
const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 2;
const PARENT: u32 = 4;
const ROOT: u32 = 8;

type Value = [u32; 8];

fn mix(v: &mut [u32; 16], at: [usize; 4], x: u32, y: u32) {
    let [a, b, c, d] = at;
    for (word, left, right) in [(x, 16, 12), (y, 8, 7)] {
        v[a] = v[a].wrapping_add(v[b]).wrapping_add(word);
        v[d] = (v[d] ^ v[a]).rotate_right(left);
        v[c] = v[c].wrapping_add(v[d]);
        v[b] = (v[b] ^ v[c]).rotate_right(right);
    }
}

fn compress(value: &Value, words: [u32; 16], counter: u64, len: usize, flags: u32) -> Value {
    let mut v = [0; 16];
    v[..8].copy_from_slice(value);
    v[8..12].copy_from_slice(&IV[..4]);
    let [counter, len] = [counter, len as u64].map(|n| u32::try_from(n).expect("small contents"));
    v[12..].copy_from_slice(&[counter, 0, len, flags]);
    let mut words = words;
    for _ in 0..7 {
        for n in 0..4 {
            mix(&mut v, [n, 4 + n, 8 + n, 12 + n], words[2 * n], words[2 * n + 1]);
        }
        for n in 0..4 {
            let at = [n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4];
            mix(&mut v, at, words[8 + 2 * n], words[9 + 2 * n]);
        }
        words = ORDER.map(|from| words[from]);
    }
    std::array::from_fn(|n| v[n] ^ v[n + 8])
}

fn chunk(bytes: &[u8], counter: u64, flags: u32) -> Value {
    let blocks: Vec<_> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(64).collect() };
    let mut value = IV;
    for (n, block) in blocks.iter().enumerate() {
        let mut padded = [0; 64];
        padded[..block.len()].copy_from_slice(block);
        let words = std::array::from_fn(|n| {
            u32::from_le_bytes(padded[4 * n..4 * n + 4].try_into().expect("four bytes"))
        });
        let mut flags = if n + 1 == blocks.len() { CHUNK_END | flags } else { 0 };
        if n == 0 {
            flags |= CHUNK_START;
        }
        value = compress(&value, words, counter, block.len(), flags);
    }
    value
}

/// The node above these bytes, the first of which belongs to the chunk `counter`.
fn node(bytes: &[u8], counter: u64, flags: u32) -> Value {
    if bytes.len() <= CHUNK {
        return chunk(bytes, counter, flags);
    }
    // The left side takes the largest power of two of chunks that leaves a byte for the right one.
    let chunks = (bytes.len() - 1) / CHUNK;
    let left = 1 << chunks.ilog2();
    let (front, back) = bytes.split_at(left * CHUNK);
    let mut words = [0; 16];
    words[..8].copy_from_slice(&node(front, counter, 0));
    words[8..].copy_from_slice(&node(back, counter + left as u64, 0));
    compress(&IV, words, 0, 64, PARENT | flags)
}

fn bytes_of(value: Value) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_mut(4).zip(value) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The hash of a content.
pub fn hash(content: &[u8]) -> [u8; 32] {
    bytes_of(node(content, 0, ROOT))
}

/// The value of the block `index`, which more bytes follow.
pub fn value(index: u64, block: &[u8]) -> [u8; 32] {
    bytes_of(node(block, index * 1_024, 0))
}
