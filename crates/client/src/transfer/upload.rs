//! Attempts to send a file: each goes on where the one before it broke off, under the server's credit, in bounded
//! memory, and no byte is hashed twice.

use super::fault::Stop;
use super::hashed::{Hashed, PIECE};
use super::link::{Heard, Link};
use super::{Failure, Opened, Source, Step, Trouble};
use crate::files::Files;
use crate::session::event::Loss;
use protocol::blocks::hash_of_first;
use protocol::code::Code;
use protocol::id::{ContentHash, Req};
use protocol::limits::BLOCK;
use protocol::message::{ClientMsg, FileBody, Limits, ServerMsg, Target};
use tokio::io::{AsyncRead, AsyncWrite};

/// The one transfer of a connection at a time.
const REQ: Req = Req(1);

/// Attempts that may end with the same wrong block.
const TRIES: u32 = 3;

/// Where the server wants a file to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PutAt {
    pub(super) offset: u64,
    pub(super) credit: u64,
    likely: bool,
}

/// A file as far as it has gone.
#[derive(Debug)]
pub(super) struct Outgoing<'a, F> {
    source: Source,
    opened: Opened,
    target: Target,
    first: ContentHash,
    hashed: Hashed<'a, F>,
    buffer: Vec<u8>,
    /// Bytes that this process sent.
    sent: u64,
    /// The server found wrong what it has.
    suspect: bool,
    /// Where it did so last, and how often there.
    wrong: (u64, u32),
    /// An attempt has begun to send before.
    again: bool,
    /// Something was added to it meanwhile, and that was told.
    grew: bool,
}

impl<'a, F: Files> Outgoing<'a, F> {
    /// A file of which nothing may have gone.
    pub(super) fn new(
        mut source: Source,
        opened: Opened,
        target: Target,
        mut hashed: Hashed<'a, F>,
    ) -> Result<Self, Failure> {
        let probe = usize::try_from(opened.size.min(BLOCK)).unwrap_or(0);
        let mut buffer = vec![0; PIECE.max(probe)];
        source.read_at(0, &mut buffer[..probe])?;
        let first = hash_of_first(&buffer[..probe]);
        let opened = Opened { first: Some(first), ..opened };
        hashed.feed(0, &buffer[..probe]);
        buffer.truncate(PIECE);
        let (wrong, again) = ((u64::MAX, 0), hashed.len() > BLOCK);
        Ok(Self {
            source,
            opened,
            target,
            first,
            hashed,
            buffer,
            sent: 0,
            suspect: false,
            wrong,
            again,
            grew: false,
        })
    }

    /// What it is.
    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Sends the rest; it is on the server's disk then.
    pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        limits: &Limits,
        tell: impl AsyncFn(Step),
    ) -> Result<Step, Stop> {
        match limits.file {
            0 => return Err(Failure::NoFiles.into()),
            limit if self.opened.size > limit => {
                return Err(Failure::TooLarge { size: self.opened.size, limit }.into());
            }
            _ => {}
        }
        match self.try_to_send(link, limits, &tell).await {
            Err(Stop::Failed(Failure::Refused(refusal))) if refusal.known() == Some(Code::WrongContent) => {
                self.suspect = true;
                Err(Trouble::Refused(refusal).into_passing())
            }
            Err(Stop::Failed(failure)) => {
                // The connection ends anyway, which says the same.
                let _ = link.send(&ClientMsg::Drop { req: REQ }).await;
                Err(failure.into())
            }
            other => other,
        }
    }

    async fn try_to_send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        limits: &Limits,
        tell: &impl AsyncFn(Step),
    ) -> Result<Step, Stop> {
        link.send(&self.put()).await?;
        let mut at = put_at(link).await?;
        if at.likely {
            self.hash_up_to(link, self.opened.size, tell).await?;
            match self.finish(link).await? {
                Ended::Stored(file) => return Ok(Step::Uploaded { file, sent: self.sent }),
                Ended::Unknown(really) => at = really,
            }
        }
        tell(Step::Accepted).await;
        self.judge(at.offset)?;
        if self.again && at.offset < self.opened.size {
            tell(Step::Resumed(at.offset)).await;
        }
        self.again = true;
        self.hash_up_to(link, at.offset, tell).await?;
        let piece = (limits.chunk as usize).clamp(1, PIECE);
        self.send_from(link, at, piece, tell).await?;
        if self.source.check_whole()? && !std::mem::replace(&mut self.grew, true) {
            tell(Step::Grew).await;
        }
        self.hash_up_to(link, self.opened.size, tell).await?;
        match self.finish(link).await? {
            Ended::Stored(file) => Ok(Step::Uploaded { file, sent: self.sent }),
            Ended::Unknown(_) => Err(Trouble::Lost(Loss::Garbled).into()),
        }
    }

    /// Begins or resumes it at the server.
    pub(super) fn put(&self) -> ClientMsg {
        let Opened { transfer, name, size, .. } = self.opened.clone();
        ClientMsg::Put { req: REQ, transfer, target: self.target.clone(), size, name, first: self.first }
    }

    /// Where the server wants it to go on tells what it found wrong.
    fn judge(&mut self, offset: u64) -> Result<(), Stop> {
        if offset > self.opened.size {
            return Err(Trouble::Lost(Loss::Garbled).into());
        }
        if !std::mem::take(&mut self.suspect) {
            return Ok(());
        }
        self.wrong = if self.wrong.0 == offset { (offset, self.wrong.1 + 1) } else { (offset, 1) };
        if self.wrong.1 >= TRIES {
            return Err(Failure::WrongContent.into());
        }
        // What was wrong may have been what an earlier process left.
        self.hashed.forget(if offset < self.opened.size { offset } else { 0 });
        Ok(())
    }

    /// Hashes what has not been hashed, up to there.
    async fn hash_up_to<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        end: u64,
        tell: &impl AsyncFn(Step),
    ) -> Result<(), Stop> {
        while self.hashed.advance(&mut self.source, &mut self.buffer, end)? {
            tell(Step::Hashing(self.hashed.len())).await;
            link.keep_alive().await?;
        }
        Ok(())
    }

    async fn send_from<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        at: PutAt,
        piece: usize,
        tell: &impl AsyncFn(Step),
    ) -> Result<(), Stop> {
        let PutAt { mut offset, mut credit, .. } = at;
        while offset < self.opened.size {
            while let Some(heard) = link.heard()? {
                credit += granted(&heard);
            }
            if credit == 0 {
                credit += granted(&link.hear().await?);
                continue;
            }
            let block = BLOCK - offset % BLOCK;
            let most = (self.opened.size - offset).min(credit).min(block).min(piece as u64);
            let most = usize::try_from(most).expect("at most a piece, which is a usize");
            self.source.read_at(offset, &mut self.buffer[..most])?;
            self.hashed.feed(offset, &self.buffer[..most]);
            link.send_chunk(REQ.0, offset, &self.buffer[..most]).await?;
            let sent = most as u64;
            (offset, credit, self.sent) = (offset + sent, credit - sent, self.sent + sent);
            if offset.is_multiple_of(BLOCK) && offset < self.opened.size {
                let index = offset / BLOCK - 1;
                if let Some(value) = self.hashed.value(index) {
                    link.send(&ClientMsg::Check { req: REQ, index, value }).await?;
                }
            }
            tell(Step::Moved(offset)).await;
        }
        Ok(())
    }

    /// Says that this is all, and hears what the server makes of it.
    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(&mut self, link: &mut Link<S>) -> Result<Ended, Stop> {
        let Opened { name, size, shape, .. } = self.opened.clone();
        let hash = self.hashed.hash(size).ok_or(Failure::Changed)?;
        link.send(&ClientMsg::Done { req: REQ, hash }).await?;
        loop {
            // While it puts the file on its disk the server says now and then that it is alive.
            match link.hear().await? {
                Heard::Said(ServerMsg::End { hash: stored, size: length, .. }) => {
                    let same = (stored, length) == (hash, size);
                    self.hashed.clear();
                    let file = FileBody { hash, size, name, shape };
                    return if same { Ok(Ended::Stored(file)) } else { Err(Failure::WrongContent.into()) };
                }
                Heard::Said(ServerMsg::PutAt { offset, credit, likely: false, .. }) => {
                    return Ok(Ended::Unknown(PutAt { offset, credit: u64::from(credit), likely: false }));
                }
                _ => {}
            }
        }
    }
}

/// What the server makes of `Done`.
enum Ended {
    /// It has the file.
    Stored(FileBody),
    /// It only looked as if it had.
    Unknown(PutAt),
}

pub(super) fn granted(heard: &Heard) -> u64 {
    match heard {
        Heard::Said(ServerMsg::Credit { bytes, .. }) => u64::from(*bytes),
        _ => 0,
    }
}

/// Where the server wants the file to go on, and the first credit.
pub(super) async fn put_at<S: AsyncRead + AsyncWrite + Unpin>(link: &mut Link<S>) -> Result<PutAt, Trouble> {
    loop {
        if let Heard::Said(ServerMsg::PutAt { offset, credit, likely, .. }) = link.hear().await? {
            return Ok(PutAt { offset, credit: u64::from(credit), likely });
        }
    }
}

/// What the server was told of an upload that an earlier process began; `None` if it was not told of it.
pub(super) fn put_of(opened: &Opened, target: &Target) -> Option<ClientMsg> {
    let Opened { transfer, name, size, .. } = opened.clone();
    Some(ClientMsg::Put { req: REQ, transfer, target: target.clone(), size, name, first: opened.first? })
}

/// Tells the server that a file does not come.
pub(super) async fn give_up<S: AsyncRead + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    put: &ClientMsg,
) -> Result<(), Trouble> {
    link.send(put).await?;
    put_at(link).await?;
    link.send(&ClientMsg::Drop { req: REQ }).await?;
    loop {
        if let Heard::Said(ServerMsg::Answer { .. }) = link.hear().await? {
            return Ok(());
        }
    }
}
