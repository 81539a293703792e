//! The write-ahead log as a file: whether SQLite will drop commits from its end that were finished.
//!
//! SQLite reads frames until one does not fit the running checksum, and takes everything up to the last commit
//! before it. That is right for what a crash leaves, and silent about a flipped bit. What tells them apart:
//! each of our commits is synced before the next one is written, so a crash of the machine can tear only the very
//! last commit, in any order of its frames; and a crash of the program alone leaves frames in the order in which
//! they were written, so that nothing follows a torn one.
//!
//! Frames of the same generation have the same salts. A refused commit (disk full) leaves some that no commit mark
//! ends. See <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// What is behind the first frame that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tail {
    /// The header is neither a right one nor one that was never written.
    pub bad_header: bool,
    /// A commit mark from the bad frame on, and behind that another frame.
    pub frame_after_commit: bool,
    /// A commit mark behind the bad frame.
    pub commit_after_bad: bool,
    /// There is no log, or nothing was written to it.
    pub is_absent: bool,
}

impl Tail {
    /// Whether commits are lost that were synced, so that only damage explains it.
    ///
    /// `same_boot`: the machine has run on since it was written, so at most a program ended.
    pub fn is_damage(self, same_boot: bool) -> bool {
        self.bad_header || self.frame_after_commit || same_boot && self.commit_after_bad
    }
}

/// Bytes of a log with these many frames.
pub(super) fn bytes_of(frames: u64, page: u64) -> u64 {
    if frames == 0 { 0 } else { HEADER as u64 + frames * (FRAME_HEADER as u64 + page) }
}

/// The fields of a frame that matter here.
struct Frame {
    is_commit: bool,
    same_salts: bool,
    fits: bool,
}

/// The running checksum.
#[derive(Clone, Copy)]
struct Sums {
    big_endian: bool,
    values: [u32; 2],
}

impl Sums {
    fn add(&mut self, bytes: &[u8]) {
        let word = |chunk: &[u8]| {
            let bytes = chunk.try_into().expect("a chunk has four bytes");
            if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let [mut a, mut b] = self.values;
        for pair in bytes.chunks_exact(8) {
            a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
        }
        self.values = [a, b];
    }
}

/// Looks at a log; one that is not there has no tail.
pub(super) fn examine(path: &Path) -> io::Result<Tail> {
    match File::open(path) {
        Ok(file) if file.metadata()?.len() == 0 => Ok(Tail { is_absent: true, ..Tail::default() }),
        Ok(file) => examine_from(BufReader::with_capacity(1 << 18, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Tail { is_absent: true, ..Tail::default() })
        }
        Err(error) => Err(error),
    }
}

/// The bits of the first frame that does not fit of which one must be turned back so that the log can be read further.
///
/// There may be many: the sums are sums of words, so that the highest bit of one word counts as much as that of some
/// hundred others. Only what is in the pages tells which one it was.
pub(super) fn find_flips(path: &Path) -> io::Result<Vec<(u64, u8)>> {
    match File::open(path) {
        Ok(file) => find_flips_from(BufReader::with_capacity(1 << 18, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn find_flips_from(mut log: impl Read) -> io::Result<Vec<(u64, u8)>> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? || header == [0; HEADER] {
        return Ok(Vec::new());
    }
    let Some((page, mut sums)) = begin(&header) else {
        // A bit of the second salt and one of the checksum can make up for each other: the first frame has the salts.
        let mut frame = [0; FRAME_HEADER];
        let has_frame = fill(&mut log, &mut frame)?;
        let is_right =
            |header: &[u8]| begin(header).is_some() && (!has_frame || frame[8..16] == header[16..24]);
        return Ok(flips_that(&mut header, 0, is_right));
    };
    let salts = [field(&header, 16), field(&header, 20)];
    let mut buffer = vec![0; FRAME_HEADER + page];
    let mut offset = HEADER as u64;
    while fill(&mut log, &mut buffer)? {
        let before = sums;
        if !next_frame(&buffer, salts, &mut sums).fits {
            let mut next = vec![0; buffer.len()];
            let has_next = fill(&mut log, &mut next)?;
            let fits = |frame: &[u8]| next_frame(frame, salts, &mut before.clone()).fits;
            // A bit of the last word and one of the checksum can make up for each other: the next frame goes on from
            // the sums of the right bytes. It may be torn itself.
            let both_fit = |frame: &[u8]| {
                let mut sums = before;
                next_frame(frame, salts, &mut sums).fits && next_frame(&next, salts, &mut sums).fits
            };
            let found = if has_next { flips_that(&mut buffer, offset, both_fit) } else { Vec::new() };
            return Ok(if found.is_empty() { flips_that(&mut buffer, offset, fits) } else { found });
        }
        offset += buffer.len() as u64;
    }
    Ok(Vec::new())
}

/// The page size and the running checksum behind a right header.
fn begin(header: &[u8]) -> Option<(usize, Sums)> {
    let magic = field(header, 0);
    let mut sums = Sums { big_endian: magic & 1 == 1, values: [0; 2] };
    sums.add(&header[..24]);
    let page = usize::try_from(field(header, 8)).unwrap_or_default();
    let is_ours = magic & !1 == MAGIC && (512..=65_536).contains(&page) && page.is_power_of_two();
    (is_ours && sums.values == [field(header, 24), field(header, 28)]).then_some((page, sums))
}

/// The bits of these bytes, which begin at `offset`, of which one must be turned around so that they are right.
fn flips_that(bytes: &mut [u8], offset: u64, is_right: impl Fn(&[u8]) -> bool) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            found.extend(is_right(bytes).then_some((offset + at as u64, bit)));
            bytes[at] ^= 1 << bit;
        }
    }
    found
}

fn examine_from(mut log: impl Read) -> io::Result<Tail> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? || header == [0; HEADER] {
        return Ok(Tail::default());
    }
    let Some((page, mut sums)) = begin(&header) else {
        // A header is synced before the first frame: one alone may be torn.
        let mut frame = [0; FRAME_HEADER];
        return Ok(Tail { bad_header: fill(&mut log, &mut frame)?, ..Tail::default() });
    };
    let salts = [field(&header, 16), field(&header, 20)];
    let mut tail = Tail::default();
    let mut buffer = vec![0; FRAME_HEADER + page];
    let (mut bad, mut commit) = (false, false);
    while fill(&mut log, &mut buffer)? {
        let frame = next_frame(&buffer, salts, &mut sums);
        if frame.same_salts {
            tail.frame_after_commit |= commit;
            tail.commit_after_bad |= bad && frame.is_commit;
        }
        bad |= !frame.fits;
        commit |= bad && frame.same_salts && frame.is_commit;
    }
    Ok(tail)
}

fn next_frame(buffer: &[u8], salts: [u32; 2], sums: &mut Sums) -> Frame {
    sums.add(&buffer[..8]);
    sums.add(&buffer[FRAME_HEADER..]);
    let same_salts = [field(buffer, 8), field(buffer, 12)] == salts;
    let fits = same_salts && sums.values == [field(buffer, 16), field(buffer, 20)];
    Frame { is_commit: field(buffer, 4) != 0, same_salts, fits }
}

fn field(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Fills the buffer; false if the file ends before that.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    const FRAME: usize = FRAME_HEADER + 4096;

    /// A log with five commits of one frame each, behind those that made the table.
    fn log() -> (Vec<u8>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("db")).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (a)").unwrap();
        let wal = folder.path().join("db-wal");
        let begin = std::fs::metadata(&wal).unwrap().len();
        for a in 0..5 {
            db.execute("INSERT INTO t VALUES (?)", [a]).unwrap();
        }
        let bytes = std::fs::read(wal).unwrap();
        assert_eq!(bytes.len(), usize::try_from(begin).unwrap() + 5 * FRAME);
        let begin = bytes.len() - 5 * FRAME;
        (bytes, begin)
    }

    fn check(bytes: &[u8], same_boot: bool, other_boot: bool) {
        let tail = examine_from(bytes).unwrap();
        assert_eq!((tail.is_damage(true), tail.is_damage(false)), (same_boot, other_boot), "{tail:?}");
    }

    #[test]
    fn what_a_crash_leaves_is_no_damage() {
        let (bytes, begin) = log();
        check(&[], false, false);
        check(&[0; HEADER + FRAME], false, false);
        for end in [bytes.len(), bytes.len() - 1, bytes.len() - 4096, begin + FRAME, HEADER, HEADER - 1] {
            check(&bytes[..end], false, false);
        }
        // The last commit's page did not reach the disk.
        let mut torn = bytes;
        let end = torn.len();
        torn[end - 4096..].fill(0);
        check(&torn, false, false);
    }

    #[test]
    fn a_flipped_bit_before_the_last_commit_is_damage() {
        let (bytes, begin) = log();
        for at in 0..4 {
            for place in [0, 4, 8, 12, 16, 20, 24, 2000] {
                let mut flipped = bytes.clone();
                flipped[begin + at * FRAME + place] ^= 1;
                // Of the last but one commit, whether it was a commit can't be told when it lost its salts.
                let tail = examine_from(&flipped[..]).unwrap();
                assert!(tail.is_damage(true), "frame {at}, byte {place}: {tail:?}");
            }
        }
        for at in 0..3 {
            let mut flipped = bytes.clone();
            flipped[begin + at * FRAME + 100] ^= 1;
            check(&flipped, true, true);
        }
    }

    #[test]
    fn a_flipped_bit_in_the_header_is_damage() {
        let (bytes, _) = log();
        for at in 0..HEADER {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            check(&flipped, true, true);
        }
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let (bytes, begin) = log();
        assert_eq!(find_flips_from(&bytes[..]).unwrap(), []);
        let places = (0..HEADER).chain([0, 5, 9, 17, 23, 24, 2_000, 4_119].map(|at| begin + FRAME + at));
        for at in places {
            let mut flipped = bytes.clone();
            flipped[at] ^= 16;
            assert_eq!(find_flips_from(&flipped[..]).unwrap()[..], [(at as u64, 4)], "byte {at}");
        }
        // The highest bit of a word.
        let at = begin + FRAME + 2_003;
        let mut flipped = bytes.clone();
        flipped[at] ^= 128;
        let found = find_flips_from(&flipped[..]).unwrap();
        assert!(found.len() > 100 && found.contains(&(at as u64, 7)), "{found:?}");
        let mut torn = bytes;
        let end = torn.len();
        torn[end - 4096..].fill(0);
        assert_eq!(find_flips_from(&torn[..]).unwrap(), []);
    }
}
