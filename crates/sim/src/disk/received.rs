//! What a power loss makes of the files that a client is receiving. They lie in a real folder, so what of them was synced
//! is known by what the client noted: the blocks that its list calls synced, and every file that has its own name.

use rand::RngExt;
use rand::rngs::SmallRng;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Bytes of a block of a file.
const BLOCK: u64 = protocol::limits::BLOCK;

/// The power fails: a partial file loses bytes behind its synced blocks, and its list any part of its end. Whether
/// anything was lost.
pub(crate) fn lose_power(folder: &Path, rng: &mut SmallRng) -> io::Result<bool> {
    let mut lists: Vec<_> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    lists.retain(|path| path.extension().is_some_and(|extension| extension == "sums"));
    lists.sort();
    let mut lost = false;
    for list in lists {
        let lines = fs::read(&list)?;
        if lines.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"named ")) {
            // It was whole and on the disk before it got its name.
            continue;
        }
        let part = list.with_extension("part");
        if part.exists() {
            let file = OpenOptions::new().write(true).open(part)?;
            let (len, synced) = (file.metadata()?.len(), synced_blocks(&lines) * BLOCK);
            let kept = rng.random_range(synced.min(len)..=len);
            file.set_len(kept)?;
            if rng.random() {
                // Its length was on the disk, its bytes were not.
                file.set_len(len)?;
            }
            lost |= kept < len;
        }
        fs::write(&list, &lines[..rng.random_range(0..=lines.len())])?;
    }
    Ok(lost)
}

fn synced_blocks(lines: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(lines);
    let counts = text.lines().filter_map(|line| line.strip_prefix("synced ")?.parse().ok());
    counts.max().unwrap_or(0)
}
