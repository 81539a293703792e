//! A FILE frame that comes: `name::filename::bytes`, its bytes straight to the disk.

use super::session::ClassicSession;
use crate::clock::Now;
use crate::transfer::{Failure, Partial};
use protocol::classic::SEPARATOR;

/// Bytes that both names may have together.
const MAX_HEAD: usize = 2 * 1024;

/// A FILE frame as far as it has come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The names are not all there.
    Head(Vec<u8>),
    /// The content goes to the disk.
    Content { name: String, partial: Partial, have: u64 },
    /// The rest is of no use.
    Skipped,
}

impl Incoming {
    /// A frame begins.
    pub(super) fn new() -> Self {
        Self::Head(Vec::new())
    }

    /// Takes the next piece; `left` bytes follow it.
    pub(super) fn take(
        self,
        bytes: &[u8],
        left: u64,
        session: &mut ClassicSession,
        begin: impl FnOnce() -> Result<Partial, Failure>,
        now: Now,
    ) -> Self {
        match self {
            Self::Skipped => self,
            Self::Content { name, partial, have } => write(name, partial, have, bytes, session, now),
            Self::Head(mut head) => {
                let before = head.len();
                head.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD)]);
                let Some((from, name, len)) = names(&head) else {
                    if head.len() >= MAX_HEAD || left == 0 {
                        session.handle_nameless_file();
                        return Self::Skipped;
                    }
                    return Self::Head(head);
                };
                let content = &bytes[len.saturating_sub(before)..];
                let size = content.len() as u64 + left;
                let (Ok(from), Ok(name)) = (std::str::from_utf8(from), std::str::from_utf8(name)) else {
                    session.handle_nameless_file();
                    return Self::Skipped;
                };
                if !session.handle_download_begun(from, name, size, now) {
                    return Self::Skipped;
                }
                match begin() {
                    Ok(partial) => write(name.to_owned(), partial, 0, content, session, now),
                    Err(failure) => {
                        session.handle_downloaded(Err(failure), now);
                        Self::Skipped
                    }
                }
            }
        }
    }

    /// The frame is over.
    pub(super) fn finish(self, session: &mut ClassicSession, now: Now) {
        if let Self::Content { name, partial, .. } = self {
            session.handle_downloaded(partial.keep(&name), now);
        }
    }
}

fn write(
    name: String,
    mut partial: Partial,
    have: u64,
    bytes: &[u8],
    session: &mut ClassicSession,
    now: Now,
) -> Incoming {
    if let Err(failure) = partial.write(bytes) {
        session.handle_downloaded(Err(failure), now);
        return Incoming::Skipped;
    }
    let have = have + bytes.len() as u64;
    session.handle_downloading(have, now);
    Incoming::Content { name, partial, have }
}

/// The two names at the front, and how long they are with their separators.
fn names(head: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let from = find(head)?;
    let rest = &head[from + SEPARATOR.len()..];
    let name = find(rest)?;
    Some((&head[..from], &rest[..name], from + name + 2 * SEPARATOR.len()))
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR.as_bytes())
}
