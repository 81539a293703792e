//! Downloads on a bulk connection.

use super::{Bulk, DEAD, End, SIGN_OF_LIFE, done_msg, read_frame};
use crate::files::{FileSystem, Growth, Reading};
use crate::inbound::{Event, Follow, Refusal};
use bytes::{BufMut, BytesMut};
use protocol::blocks::values_of;
use protocol::code::Code;
use protocol::id::{ContentHash, Req};
use protocol::limits::{BLOCK, HEADER, MAX_CHUNK};
use protocol::message::{ClientMsg, ServerMsg, Source, ty};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// Bytes of a file in one `Data` frame.
const DATA: u64 = MAX_CHUNK as u64;

/// Bytes in front of a file's bytes in a `Data` frame: header, request, offset and length.
const DATA_HEAD: usize = HEADER + 4 + 8 + 4;

/// A download under way.
struct Cursor {
    req: Req,
    offset: u64,
    /// Bytes that may be sent.
    credit: u64,
    /// The one buffer that it has.
    frame: Vec<u8>,
}

/// How a download goes on.
enum Step {
    /// It may send this many bytes.
    Send(u64),
    /// It is at the end of the whole.
    End(Option<ContentHash>),
    /// It was given up by whoever reads.
    Dropped,
    /// The upload that it follows was given up.
    Gone,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, St, F: FileSystem> Bulk<'_, R, W, St, F> {
    /// Sends a content, or an upload while it grows.
    pub(super) async fn send(
        &mut self,
        req: Req,
        source: Source,
        offset: u64,
        credit: u32,
    ) -> Result<(), End> {
        let refusal = |code| Refusal::about(code, ty::GET, u64::from(req.0));
        let (reading, hash) = match self.open(&source).await? {
            Ok(opened) => opened,
            Err(code) => return self.refuse(refusal(code)).await,
        };
        let size = reading.size;
        if offset > size {
            return self.refuse(refusal(Code::BadNumber).with(size)).await;
        }
        let cursor = Cursor { req, offset, credit: u64::from(credit), frame: Vec::new() };
        self.drive(cursor, reading, hash).await
    }

    async fn open(
        &mut self,
        source: &Source,
    ) -> Result<Result<(Reading<F>, Option<ContentHash>), Code>, End> {
        let person = self.person;
        let hash = match *source {
            Source::Content { hash } => {
                let may = self.ask(|answer| Event::MayRead { person, hash, answer }).await?;
                if !may {
                    return Ok(Err(Code::NoSuchFile));
                }
                hash
            }
            Source::Transfer { transfer } => {
                match self.ask(|answer| Event::Follow { person, transfer, answer }).await? {
                    Follow::Nothing => return Ok(Err(Code::NoSuchTransfer)),
                    Follow::Whole(hash) => hash,
                    Follow::Growing => {
                        let reading = self.shared.contents.follow(transfer).await?;
                        return Ok(reading.map(|reading| (reading, None)).ok_or(Code::NoSuchTransfer));
                    }
                }
            }
        };
        let reading = self.shared.contents.read(hash).await?;
        Ok(reading.map(|reading| (reading, Some(hash))).ok_or(Code::NoSuchFile))
    }

    async fn drive(
        &mut self,
        mut cursor: Cursor,
        mut reading: Reading<F>,
        hash: Option<ContentHash>,
    ) -> Result<(), End> {
        let (req, size) = (cursor.req, reading.size);
        loop {
            match self.step(&mut cursor, &mut reading).await? {
                Step::Send(most) => self.send_piece(&mut cursor, &reading, most).await?,
                Step::Dropped => return self.tell(&done_msg(req)).await,
                Step::Gone => {
                    return self
                        .refuse(Refusal::about(Code::NoSuchTransfer, ty::GET, u64::from(req.0)))
                        .await;
                }
                Step::End(known) => {
                    let hash = known.or(hash).ok_or(End::Gone)?;
                    return self.tell(&ServerMsg::End { req, size, hash }).await;
                }
            }
        }
    }

    /// Waits until something can be sent, and hears what the reader says meanwhile.
    async fn step(&mut self, cursor: &mut Cursor, reading: &mut Reading<F>) -> Result<Step, End> {
        let (mut dead, mut sign) = (Instant::now() + DEAD, Instant::now() + SIGN_OF_LIFE);
        loop {
            let growth = reading.growth();
            let there = match growth {
                Growth::Gone => return Ok(Step::Gone),
                Growth::Whole(hash) if cursor.offset == reading.size => return Ok(Step::End(hash)),
                Growth::Whole(_) => reading.size,
                Growth::Growing(settled) => settled,
            };
            let border = (cursor.offset / BLOCK + 1) * BLOCK;
            let most = there.min(border).saturating_sub(cursor.offset).min(cursor.credit).min(DATA);
            let frame = tokio::select! {
                biased;
                frame = self.inbox.next_frame_or_part(read_frame) => frame.ok_or_else(|| self.ended())?,
                () = std::future::ready(()), if most > 0 => return Ok(Step::Send(most)),
                () = reading.grows() => continue,
                () = sleep_until(sign) => {
                    // A reader without credit has to say something itself.
                    self.tell(&ServerMsg::Credit { req: cursor.req, bytes: 0 }).await?;
                    sign = Instant::now() + SIGN_OF_LIFE;
                    continue;
                }
                () = sleep_until(dead) => return Err(End::Refused(Refusal::of(Code::Stalled))),
            };
            dead = Instant::now() + DEAD;
            let Some(frame) = frame else { continue };
            match self.take(frame).await? {
                Some(ClientMsg::Grant { req: of, bytes }) if of == cursor.req => {
                    cursor.credit = cursor.credit.saturating_add(u64::from(bytes));
                }
                Some(ClientMsg::Drop { req: of }) if of == cursor.req => return Ok(Step::Dropped),
                Some(other) => self.answer_aside(&other).await?,
                None => {}
            }
        }
    }

    /// Sends one piece, and the value of its block if it ends there and more follows.
    async fn send_piece(&mut self, cursor: &mut Cursor, reading: &Reading<F>, most: u64) -> Result<(), End> {
        let mut frame = std::mem::take(&mut cursor.frame);
        let bytes = usize::try_from(most).expect("at most DATA");
        self.wait_for_turn(bytes).await;
        frame.resize(DATA_HEAD + bytes, 0);
        let (mut frame, n) = reading.read_at(cursor.offset, frame, DATA_HEAD).await?;
        if n == 0 {
            return Err(End::Gone);
        }
        put_data_head(&mut frame, cursor.req, cursor.offset, n);
        self.put(&frame[..DATA_HEAD + n]).await?;
        cursor.frame = frame;
        cursor.offset += n as u64;
        cursor.credit -= n as u64;
        let index = cursor.offset / BLOCK;
        if cursor.offset.is_multiple_of(BLOCK) && index <= values_of(reading.size) {
            let value = reading.value(index - 1).await?;
            self.tell(&ServerMsg::Check { req: cursor.req, index: index - 1, value }).await?;
        }
        Ok(())
    }
}

/// Lays out everything of a `Data` frame but the bytes, which are in their place already.
fn put_data_head(frame: &mut [u8], req: Req, offset: u64, n: usize) {
    let mut head = BytesMut::with_capacity(DATA_HEAD);
    let n = u32::try_from(n).expect("at most DATA");
    head.put_u32(1 + 4 + 8 + 4 + n);
    head.put_u8(ty::DATA);
    head.put_u32(req.0);
    head.put_u64(offset);
    head.put_u32(n);
    frame[..DATA_HEAD].copy_from_slice(&head);
}
