//! Attempts to receive a file: each goes on at the block in which the one before it broke off.

use super::arriving::Arriving;
use super::fault::Stop;
use super::link::{Heard, Link};
use super::{Download, Failure, Step, Trouble};
use crate::session::event::Loss;
use protocol::blocks::BlockHasher;
use protocol::id::{BlockValue, ContentHash, Req};
use protocol::limits::BLOCK;
use protocol::message::{ClientMsg, ServerMsg, Source};
use protocol::window::Window;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// The one transfer of a connection at a time.
const REQ: Req = Req(1);

/// Bytes that may be under way at most: enough for any link, little enough for the server's patience.
const MOST: u32 = 2 * 1024 * 1024;

/// Times that the same block may be wrong.
const TRIES: u32 = 3;

/// A file as far as it has come.
#[derive(Debug)]
pub(super) struct Incoming {
    job: Download,
    arriving: Arriving,
    hasher: BlockHasher,
    /// The block that was wrong last, and how often.
    wrong: (u64, u32),
    /// An attempt has received something before.
    again: bool,
}

impl Incoming {
    /// A file of which something may be here.
    pub(super) fn new(job: Download, arriving: Arriving) -> Self {
        let hasher = BlockHasher::after(arriving.values().iter().copied().collect());
        let again = !arriving.values().is_empty();
        Self { job, arriving, hasher, wrong: (0, 0), again }
    }

    /// All of the content has this hash.
    pub(super) fn set_hash(&mut self, hash: ContentHash) {
        self.job.origin.hash = Some(hash);
    }

    /// Receives the rest. It is whole then, and what it should be.
    pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        tell: impl AsyncFn(Step),
    ) -> Result<(), Stop> {
        if self.hasher.value().is_some() && self.hasher.len() < self.job.size {
            // It came whole, but not what it should be, which is not said again.
            self.hasher.restart_block();
        }
        let offset = self.hasher.len();
        if std::mem::replace(&mut self.again, true) {
            tell(Step::Resumed(offset)).await;
        }
        let source = self.source()?;
        let (mut window, begun) = (Window::new(MOST), Instant::now());
        link.send(&ClientMsg::Get { req: REQ, source, offset, credit: window.size() }).await?;
        loop {
            match link.hear().await? {
                Heard::Data { offset, at } => {
                    let bytes = link.bytes(at);
                    self.take(offset, bytes)?;
                    let came = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                    if let Some(bytes) = window.arrive(came, begun.elapsed()) {
                        link.send(&ClientMsg::Grant { req: REQ, bytes }).await?;
                    }
                    tell(Step::Moved(self.hasher.len())).await;
                }
                Heard::Said(ServerMsg::Check { index, value, .. }) => self.check(index, value)?,
                Heard::Said(ServerMsg::Credit { .. }) => {
                    // The server has no more of it yet, and shows that it is there.
                    link.send(&ClientMsg::Ping { nonce: 0 }).await?;
                    tell(Step::Waiting).await;
                }
                Heard::Said(ServerMsg::End { size, hash, .. }) => return self.end(size, hash),
                Heard::Said(_) => {}
            }
        }
    }

    fn source(&self) -> Result<Source, Failure> {
        match (self.job.origin.hash, self.job.origin.transfer) {
            (Some(hash), _) => Ok(Source::Content { hash }),
            (None, Some(transfer)) => Ok(Source::Transfer { transfer }),
            (None, None) => Err(Failure::WrongContent),
        }
    }

    fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        let have = self.hasher.len();
        if offset != have || bytes.len() as u64 > self.job.size - have {
            return Err(Trouble::Lost(Loss::Garbled).into());
        }
        self.arriving.write(offset, bytes)?;
        let arriving = &mut self.arriving;
        let mut kept = Ok(());
        self.hasher.update(bytes, |index, value| {
            // The server need not say what a block's value is: then the hash of the whole decides.
            if kept.is_ok() && index == arriving.values().len() as u64 {
                kept = arriving.note_verified(value);
            }
        });
        Ok(kept?)
    }

    /// The server says what the value of the block is that has come.
    fn check(&mut self, index: u64, value: BlockValue) -> Result<(), Stop> {
        if index != self.hasher.index() || self.hasher.value() != Some(value) {
            return self.handle_wrong();
        }
        if index == self.arriving.values().len() as u64 {
            self.arriving.note_verified(value)?;
        }
        Ok(())
    }

    /// The block under way is not what it should be: it is fetched anew, a few times.
    fn handle_wrong(&mut self) -> Result<(), Stop> {
        let index = self.hasher.index();
        self.hasher.restart_block();
        self.wrong = if self.wrong.0 == index { (index, self.wrong.1 + 1) } else { (index, 1) };
        if self.wrong.1 < TRIES { Err(Trouble::WrongBlock.into()) } else { Err(Failure::WrongContent.into()) }
    }

    fn end(&mut self, size: u64, hash: ContentHash) -> Result<(), Stop> {
        let right = self.job.origin.hash.unwrap_or(hash);
        if size != self.job.size {
            return Err(Failure::WrongContent.into());
        }
        if self.hasher.len() == size && self.hasher.hash() == Some(right) && hash == right {
            return Ok(());
        }
        let wrong = self.handle_wrong();
        if self.wrong.1 + 1 == TRIES {
            // Not the last block, then: something that an earlier process left.
            self.arriving.begin_anew(&self.job)?;
            self.hasher = BlockHasher::default();
            self.wrong.0 = self.job.size.saturating_sub(1) / BLOCK;
        }
        wrong
    }

    /// What came, to be kept or discarded.
    pub(super) fn into_arriving(self) -> (Download, Arriving) {
        (self.job, self.arriving)
    }
}
