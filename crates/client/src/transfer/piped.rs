//! What a program writes, to be sent as a file: it has no size, and does not come again.
//!
//! Nothing of it is read before the server takes it. What was sent last is kept, so that a broken connection, or a
//! server that lost what it had not put on its disk, costs nothing.

use super::Failure;
use bytes::Bytes;
use protocol::blocks::BlockHasher;
use protocol::id::{BlockValue, ContentHash};
use protocol::limits::MAX_RESEND;
use protocol::system_words::plain_words;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use tokio::sync::mpsc::Receiver;

/// Bytes of a piece that is kept: a program may write a few at a time.
const PIECE: usize = 64 * 1024;

/// Pieces of what a program writes, until it has written all.
pub type Pieces = Receiver<io::Result<Bytes>>;

/// What begins to read: at most so many bytes.
type Open = Box<dyn FnOnce(u64) -> Pieces + Send>;

/// What a program writes.
pub struct Piped {
    /// The name of the file that it is sent as.
    pub name: String,
    /// Begins to read it, when it is known how much of it is taken.
    pub open: Open,
    /// Where it is written for a server that must know its size: a file that is not there; `None` if there is no place.
    pub spool: Option<PathBuf>,
}

impl fmt::Debug for Piped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piped").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was read of it.
pub(super) struct Tail {
    pieces: Pieces,
    ended: bool,
    /// What was read last, without a gap, in pieces that are worth one.
    kept: VecDeque<Vec<u8>>,
    /// Where that begins. Invariant: begin + the lengths of `kept` == read.
    begin: u64,
    read: u64,
    hasher: BlockHasher,
    /// One for each block that is followed by more.
    values: Vec<BlockValue>,
}

impl Tail {
    pub(super) fn new(pieces: Pieces) -> Self {
        let (kept, values) = (VecDeque::new(), Vec::new());
        Self { pieces, ended: false, kept, begin: 0, read: 0, hasher: BlockHasher::default(), values }
    }

    /// Bytes that were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Whether all was read.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Reads on; cancelling this loses nothing.
    pub(super) async fn read_on(&mut self) -> Result<(), Failure> {
        match self.pieces.recv().await {
            None => self.ended = true,
            Some(Err(error)) => return Err(Failure::Unreadable(plain_words(&error))),
            Some(Ok(piece)) => {
                let values = &mut self.values;
                self.hasher.update(&piece, |_, value| values.push(value));
                self.read += piece.len() as u64;
                match self.kept.back_mut().filter(|last| last.len() + piece.len() <= PIECE) {
                    Some(last) => last.extend_from_slice(&piece),
                    None => self.kept.push_back(piece.to_vec()),
                }
                self.trim();
            }
        }
        Ok(())
    }

    fn trim(&mut self) {
        while let Some(front) = self.kept.front()
            && self.read - self.begin > (MAX_RESEND + front.len()) as u64
        {
            self.begin += front.len() as u64;
            self.kept.pop_front();
        }
    }

    /// At most so many bytes from there on; `None` if they are not kept any more.
    pub(super) fn at(&self, offset: u64, most: usize) -> Option<&[u8]> {
        let mut begin = self.begin;
        if offset < begin {
            return None;
        }
        for piece in &self.kept {
            let end = begin + piece.len() as u64;
            if offset < end {
                let from = usize::try_from(offset - begin).ok()?;
                return Some(&piece[from..piece.len().min(from.saturating_add(most))]);
            }
            begin = end;
        }
        Some(&[])
    }

    /// The value of this block, once more bytes than it were read.
    pub(super) fn value(&self, index: u64) -> Option<BlockValue> {
        if index == self.hasher.index() {
            return self.hasher.value();
        }
        usize::try_from(index).ok().and_then(|at| self.values.get(at)).copied()
    }

    /// The hash of all that was read.
    pub(super) fn hash(&self) -> Option<ContentHash> {
        self.hasher.hash()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::channel;

    #[tokio::test]
    async fn what_was_read_last_is_kept_and_what_came_before_is_not() {
        let (pieces_in, pieces) = channel(1);
        let mut tail = Tail::new(pieces);
        let mib = 1 << 20;
        let count = MAX_RESEND / mib + 3;
        for n in 0..count {
            let piece = Bytes::from(vec![u8::try_from(n).expect("few"); mib]);
            pieces_in.send(Ok(piece)).await.expect("open");
            tail.read_on().await.expect("readable");
        }
        drop(pieces_in);
        tail.read_on().await.expect("readable");
        assert!(tail.is_ended());
        assert_eq!(tail.read(), (count * mib) as u64);
        let oldest = tail.read() - MAX_RESEND as u64;
        assert_eq!(tail.at(0, 10), None);
        assert_eq!(tail.at(oldest, 3), Some(&[u8::try_from(count - MAX_RESEND / mib).expect("few"); 3][..]));
        assert_eq!(tail.at(tail.read() - 1, 10).map(<[u8]>::len), Some(1));
        assert_eq!(tail.at(tail.read(), 10).map(<[u8]>::len), Some(0));
    }
}
