//! Attempts to send what a program writes: each goes on where the server says.

use super::fault::Stop;
use super::link::{Heard, Link};
use super::piped::{Piped, Tail};
use super::upload::{granted, put_at};
use super::{Failure, Step, Trouble};
use crate::session::event::Loss;
use protocol::code::Code;
use protocol::id::{ContentHash, Req, TransferId};
use protocol::limits::{BLOCK, PING_AFTER_MS, UNKNOWN_SIZE};
use protocol::message::{ClientMsg, FileBody, Limits, ServerMsg, Shape, Target};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// The one transfer of a connection at a time.
const REQ: Req = Req(1);

/// A program that writes nothing for so long does not make the connection look dead.
const QUIET: Duration = Duration::from_millis(PING_AFTER_MS);

/// What a program writes, as far as it was sent.
pub(super) struct Stream {
    piped: Option<Piped>,
    tail: Option<Tail>,
    name: String,
    transfer: TransferId,
    target: Target,
}

impl Stream {
    pub(super) fn new(piped: Piped, name: String, transfer: TransferId, target: Target) -> Self {
        Self { piped: Some(piped), tail: None, name, transfer, target }
    }

    /// Gives back what was never read.
    pub(super) fn into_piped(self) -> Option<Piped> {
        self.piped
    }

    /// Begins or resumes it at the server.
    pub(super) fn put(&self) -> ClientMsg {
        let (first, name) = (ContentHash([0; 32]), self.name.clone());
        let (transfer, target) = (self.transfer, self.target.clone());
        ClientMsg::Put { req: REQ, transfer, target, size: UNKNOWN_SIZE, first, name }
    }

    /// Sends the rest; it is on the server's disk then.
    pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        limits: &Limits,
        tell: impl AsyncFn(Step),
    ) -> Result<Step, Stop> {
        if limits.file == 0 {
            return Err(Failure::NoFiles.into());
        }
        link.send(&self.put()).await?;
        let at = put_at(link).await?;
        // Now it is known that it is taken, and how much of it.
        let piped = self.piped.take();
        let tail = self.tail.get_or_insert_with(|| {
            let most = limits.file.saturating_add(1);
            let nothing = || tokio::sync::mpsc::channel(1).1;
            Tail::new(piped.map_or_else(nothing, |piped| (piped.open)(most)))
        });
        let sent = send_from(tail, link, (at.offset, at.credit), limits, &tell).await;
        if let Err(Stop::Failed(_)) = &sent {
            // The connection ends anyway, which says the same.
            let _ = link.send(&ClientMsg::Drop { req: REQ }).await;
        }
        sent?;
        let hash = tail.hash().ok_or(Failure::WrongContent)?;
        let (size, name) = (tail.read(), self.name.clone());
        link.send(&ClientMsg::Done { req: REQ, hash }).await?;
        loop {
            if let Heard::Said(ServerMsg::End { hash: stored, size: length, .. }) = link.hear().await? {
                if (stored, length) != (hash, size) {
                    return Err(Failure::WrongContent.into());
                }
                let file = FileBody { hash, size, name, shape: Shape::File };
                return Ok(Step::Uploaded { file, sent: size });
            }
        }
    }
}

/// Sends all from there on.
async fn send_from<S: AsyncRead + AsyncWrite + Unpin>(
    tail: &mut Tail,
    link: &mut Link<S>,
    (mut offset, mut credit): (u64, u64),
    limits: &Limits,
    tell: &impl AsyncFn(Step),
) -> Result<(), Stop> {
    // The value of the block that ends here is to be told when more follows.
    let mut unchecked = None;
    loop {
        while offset == tail.read() && !tail.is_ended() {
            match timeout(QUIET, tail.read_on()).await {
                Ok(read) => read?,
                Err(_) => show_life(link).await?,
            }
            if tail.read() > limits.file {
                return Err(Failure::TooLarge { size: tail.read(), limit: limits.file }.into());
            }
        }
        if offset >= tail.read() {
            return if offset == tail.read() { Ok(()) } else { Err(Trouble::Lost(Loss::Garbled).into()) };
        }
        if let Some(index) = unchecked.take()
            && let Some(value) = tail.value(index)
        {
            link.send(&ClientMsg::Check { req: REQ, index, value }).await?;
        }
        while let Some(heard) = link.heard()? {
            credit += granted(&heard);
        }
        if credit == 0 {
            credit += granted(&link.hear().await?);
            continue;
        }
        let most = (BLOCK - offset % BLOCK).min(credit).min(u64::from(limits.chunk)).max(1);
        let piece = tail.at(offset, usize::try_from(most).unwrap_or(usize::MAX)).ok_or(Failure::CutOff)?;
        link.send_chunk(REQ.0, offset, piece).await?;
        let sent = piece.len() as u64;
        (offset, credit) = (offset + sent, credit - sent);
        if offset.is_multiple_of(BLOCK) {
            unchecked = Some(offset / BLOCK - 1);
        }
        tell(Step::Moved(offset)).await;
    }
}

/// Shows that this side is there, and hears that the other one is.
async fn show_life<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>) -> Result<(), Trouble> {
    link.send(&ClientMsg::Ping { nonce: 0 }).await?;
    loop {
        if let Heard::Said(ServerMsg::Pong { .. }) = link.hear().await? {
            return Ok(());
        }
    }
}

/// Whether the server gave it up because there is no space for more.
pub(super) fn is_full(stop: &Stop) -> bool {
    matches!(stop, Stop::Failed(Failure::Refused(refusal)) if refusal.known() == Some(Code::Quota))
}
