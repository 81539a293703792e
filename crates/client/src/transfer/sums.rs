//! What is kept beside a file that has come in part: what it is, and the values of the blocks that were verified.
//!
//! Lines of text, each added when what it says is true. A last line without an end was cut by a crash.

use super::{Download, JobId, Origin};
use crate::hex::{hex, unhex};
use protocol::id::{BlockValue, ContentHash, TransferId};

/// What was read of the lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sums {
    /// The values of the blocks that were verified when they came.
    pub(super) values: Vec<BlockValue>,
    /// So many of these blocks are on the disk, whatever happens. Invariant: synced <= values.len().
    pub(super) synced: usize,
    /// It was whole, and was to get this name as this job.
    pub(super) named: Option<(JobId, String)>,
}

impl Sums {
    /// Reads the lines, if they are about this download.
    pub(super) fn read(content: &[u8], download: &Download) -> Option<Self> {
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = std::str::from_utf8(&content[..whole]).ok()?.lines();
        if !same(lines.next()?, download) {
            return None;
        }
        let mut sums = Self::default();
        for line in lines {
            if sums.read_line(line).is_none() {
                break;
            }
        }
        Some(sums)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        if let Some(count) = line.strip_prefix("synced ") {
            self.synced = count.parse().ok().filter(|count| *count <= self.values.len())?;
        } else if let Some(name) = line.strip_prefix("named ") {
            let (id, name) = name.split_once(' ')?;
            self.named = Some((JobId(id.parse().ok()?), name.to_owned()));
        } else {
            self.values.push(BlockValue(unhex(line)?));
        }
        Some(())
    }

    /// The lines, to begin with.
    pub(super) fn lines(&self, download: &Download) -> String {
        let mut lines = head(download);
        for (at, value) in self.values.iter().enumerate() {
            lines.push_str(&value_line(*value));
            if at + 1 == self.synced {
                lines.push_str(&synced_line(self.synced));
            }
        }
        lines
    }
}

fn head(download: &Download) -> String {
    let Origin { transfer, hash } = download.origin;
    let transfer = transfer.map_or_else(|| "-".to_owned(), |transfer| hex(&transfer.0));
    let hash = hash.map_or_else(|| "-".to_owned(), |hash| hex(&hash.0));
    format!("natter 1 {} {transfer} {hash}\n", download.size)
}

/// Whether a first line is about this download: the same size, and the same transfer or the same content.
fn same(head: &str, download: &Download) -> bool {
    let mut fields = head.split(' ');
    let mut next = || fields.next().unwrap_or_default();
    if (next(), next(), next().parse()) != ("natter", "1", Ok(download.size)) {
        return false;
    }
    let transfer = unhex(next()).map(TransferId);
    let hash = unhex(next()).map(ContentHash);
    let Origin { transfer: wanted, hash: wanted_hash } = download.origin;
    (transfer.is_some() && transfer == wanted) || (hash.is_some() && hash == wanted_hash)
}

/// A block was verified.
pub(super) fn value_line(value: BlockValue) -> String {
    let mut line = hex(&value.0);
    line.push('\n');
    line
}

/// So many blocks are on the disk.
pub(super) fn synced_line(blocks: usize) -> String {
    format!("synced {blocks}\n")
}

/// The whole is on the disk, and gets this name.
pub(super) fn named_line(id: JobId, name: &str) -> String {
    format!("named {} {name}\n", id.0)
}
