//! Bulk connections: uploads and downloads, one after another, each under a window of credit.

use super::{FileSystem, Upload, UploadError};
use crate::connection::Shared;
use crate::inbound::{Dialect, Event, Hello, Refusal, code_of};
use crate::inbox::Inbox;
use bytes::{BufMut, BytesMut};
use protocol::code::{Code, Fate};
use protocol::frame::{FrameError, Item};
use protocol::id::{ContentHash, PersonId, Req};
use protocol::limits::{HEADER, MAX_BULK_FRAME, PING_AFTER_MS};
use protocol::message::{ClientMsg, Reply, ServerMsg, Source, ty};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Bytes of an upload that may be under way: enough for any link, little enough to hold.
const CREDIT: u32 = 1024 * 1024;

/// Bytes of a file in one `Data` frame.
const DATA: usize = 128 * 1024;

/// Bytes in front of a file's bytes in a `Data` frame: header, request, offset and length.
const DATA_HEAD: usize = HEADER + 4 + 8 + 4;

/// How long a transfer may stand still. It can be begun again where it stopped.
const PROGRESS: Duration = Duration::from_secs(60);

/// How often a client that waits for the disk is shown that it does not wait in vain.
const SIGN_OF_LIFE: Duration = Duration::from_millis(PING_AFTER_MS);

/// Why a bulk connection ends.
enum End {
    /// It is gone, or stood still.
    Gone,
    /// It is told why.
    Refused(Refusal),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// An upload that was announced.
struct Announced {
    req: Req,
    size: u64,
}

/// A bulk connection.
struct Bulk<'a, R, W, St, F> {
    person: PersonId,
    inbox: &'a mut Inbox<R>,
    write: &'a mut W,
    shared: &'a Shared<St, F>,
}

/// Serves a connection for files until it ends.
pub async fn serve_bulk<St, F: FileSystem>(
    hello: Hello,
    peer: SocketAddr,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    write: &mut (impl AsyncWrite + Unpin),
    shared: &Shared<St, F>,
) {
    let (answer, answered) = oneshot::channel();
    if shared.events.send(Event::BulkLogin { hello, answer }).await.is_err() {
        return;
    }
    let last_words = match answered.await {
        Err(_) => return,
        Ok(Err(code)) => Refusal::about(code, ty::HELLO, 0).encode_closing(),
        Ok(Ok((person, welcome))) => {
            inbox.set_limit(MAX_BULK_FRAME, Dialect::Native);
            tracing::debug!(%peer, %person, "bulk");
            if write.write_all(&welcome).await.is_err() {
                return;
            }
            match (Bulk { person, inbox, write, shared }).serve().await {
                Ok(()) | Err(End::Gone) => return,
                Err(End::Refused(refusal)) => refusal.encode_closing(),
            }
        }
    };
    let _ = timeout(PROGRESS, write.write_all(&last_words)).await;
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, St, F: FileSystem> Bulk<'_, R, W, St, F> {
    async fn serve(&mut self) -> Result<(), End> {
        loop {
            match self.next().await? {
                ClientMsg::Put { req, size, .. } => self.receive(Announced { req, size }).await?,
                ClientMsg::Get { req, source: Source::Content { hash }, offset, credit } => {
                    self.send(req, hash, offset, credit).await?;
                }
                ClientMsg::Get { req, .. } => {
                    self.refuse(Refusal::about(Code::NoSuchTransfer, ty::GET, u64::from(req.0))).await?;
                }
                ClientMsg::Bye {} => return Ok(()),
                other => self.answer_aside(&other).await?,
            }
        }
    }

    /// The next message that is not a `Ping`.
    async fn next(&mut self) -> Result<ClientMsg, End> {
        loop {
            let next = self.inbox.next_frame(read_frame);
            let next = timeout(PROGRESS, next).await.map_err(|_| End::Refused(Refusal::of(Code::Stalled)))?;
            match next.ok_or(End::Gone)? {
                Ok(Some(ClientMsg::Ping { nonce })) => {
                    let time = self.shared.clock.now();
                    self.tell(&ServerMsg::Pong { nonce, time }).await?;
                }
                Ok(Some(msg)) => return Ok(msg),
                Ok(None) => {}
                Err(refusal) => self.refuse(refusal).await?,
            }
        }
    }

    async fn tell(&mut self, msg: &ServerMsg) -> Result<(), End> {
        timeout(PROGRESS, self.write.write_all(&msg.encode())).await.map_err(|_| End::Gone)??;
        Ok(())
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        if refusal.code.fate() == Fate::Close {
            return Err(End::Refused(refusal));
        }
        timeout(PROGRESS, self.write.write_all(&refusal.encode())).await.map_err(|_| End::Gone)??;
        Ok(())
    }

    /// Something that has no place here: late frames of a transfer that ended, or chat.
    async fn answer_aside(&mut self, msg: &ClientMsg) -> Result<(), End> {
        let (code, req) = match msg {
            ClientMsg::Grant { .. } | ClientMsg::Chunk { .. } | ClientMsg::Check { .. } => return Ok(()),
            ClientMsg::Done { req, .. } | ClientMsg::Drop { req } => (Code::NoSuchTransfer, u64::from(req.0)),
            ClientMsg::Hello { .. } => (Code::AlreadyLoggedIn, 0),
            ClientMsg::Post { counter, .. } => (Code::WrongPurpose, counter.value()),
            _ => (Code::WrongPurpose, 0),
        };
        self.refuse(Refusal::about(code, msg.ty(), req)).await
    }

    async fn receive(&mut self, Announced { req, size }: Announced) -> Result<(), End> {
        let refusal = |code| Refusal::about(code, ty::PUT, u64::from(req.0));
        if size > self.shared.max_file {
            return self.refuse(refusal(Code::FileTooLarge).with(self.shared.max_file)).await;
        }
        let mut upload = match self.shared.contents.begin(size).await {
            Ok(upload) => upload,
            Err(error) => return self.refuse(refusal(upload_code(&error))).await,
        };
        let ended = self.receive_chunks(req, &mut upload).await;
        match ended {
            Ok(Some(hash)) if upload.size() == size && upload.hash() == hash => {}
            Ok(Some(_)) => {
                return self.refuse(refusal(Code::WrongContent)).await;
            }
            Ok(None) => {
                return self.tell(&ServerMsg::Answer { req, more: false, reply: Reply::Done }).await;
            }
            Err(ended) => {
                return match ended {
                    UploadEnd::Code(code) => self.refuse(refusal(code)).await,
                    UploadEnd::Connection(end) => Err(end),
                };
            }
        }
        let (hash, size) = match self.finish(req, upload).await? {
            Ok(finished) => finished,
            Err(error) => return self.refuse(refusal(upload_code(&error))).await,
        };
        let stored = Event::Uploaded { person: self.person, hash };
        self.shared.events.send(stored).await.map_err(|_| End::Gone)?;
        self.tell(&ServerMsg::End { req, size, hash }).await
    }

    /// Puts an upload on the disk. A large one takes a while, in which the client is shown that this side is alive.
    async fn finish(
        &mut self,
        req: Req,
        upload: Upload<F>,
    ) -> Result<Result<(ContentHash, u64), UploadError>, End> {
        let mut finishing = pin!(upload.finish());
        loop {
            tokio::select! {
                biased;
                finished = &mut finishing => return Ok(finished),
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    self.tell(&ServerMsg::Credit { req, bytes: 0 }).await?;
                }
            }
        }
    }

    /// Takes chunks until the upload is complete (its hash) or dropped (`None`).
    async fn receive_chunks(
        &mut self,
        req: Req,
        upload: &mut Upload<F>,
    ) -> Result<Option<ContentHash>, UploadEnd> {
        self.tell(&ServerMsg::PutAt { req, offset: 0, credit: CREDIT, likely: false }).await?;
        loop {
            match self.next().await? {
                ClientMsg::Chunk { req: of, offset, data } if of == req => {
                    if offset != upload.size() {
                        return Err(UploadEnd::Code(Code::WrongContent));
                    }
                    upload.write(&data.0).await.map_err(|error| UploadEnd::Code(upload_code(&error)))?;
                    let bytes = u32::try_from(data.0.len()).unwrap_or(u32::MAX);
                    self.tell(&ServerMsg::Credit { req, bytes }).await?;
                }
                ClientMsg::Done { req: of, hash } if of == req => return Ok(Some(hash)),
                ClientMsg::Drop { req: of } if of == req => return Ok(None),
                other => self.answer_aside(&other).await?,
            }
        }
    }

    async fn send(&mut self, req: Req, hash: ContentHash, mut offset: u64, credit: u32) -> Result<(), End> {
        let missing = Refusal::about(Code::NoSuchFile, ty::GET, u64::from(req.0));
        let (answer, answered) = oneshot::channel();
        let asked = Event::MayRead { person: self.person, hash, answer };
        self.shared.events.send(asked).await.map_err(|_| End::Gone)?;
        if !answered.await.unwrap_or(false) {
            return self.refuse(missing).await;
        }
        let Some(mut reading) = self.shared.contents.read(hash).await? else {
            return self.refuse(missing).await;
        };
        let size = reading.size;
        if offset > size {
            return self.refuse(Refusal { code: Code::BadNumber, ..missing }.with(size)).await;
        }
        let mut credit = u64::from(credit);
        let mut frame = vec![0; DATA_HEAD + DATA];
        while offset < size {
            while credit == 0 {
                match self.next().await? {
                    ClientMsg::Grant { req: of, bytes } if of == req => credit += u64::from(bytes),
                    ClientMsg::Drop { req: of } if of == req => {
                        return self.tell(&ServerMsg::Answer { req, more: false, reply: Reply::Done }).await;
                    }
                    other => self.answer_aside(&other).await?,
                }
            }
            let most = usize::try_from(credit).unwrap_or(DATA).min(DATA);
            let n = reading.read_at(offset, &mut frame[DATA_HEAD..DATA_HEAD + most]).await?;
            if n == 0 {
                return Err(End::Gone);
            }
            put_data_head(&mut frame, req, offset, n);
            let write = self.write.write_all(&frame[..DATA_HEAD + n]);
            timeout(PROGRESS, write).await.map_err(|_| End::Gone)??;
            offset += n as u64;
            credit -= n as u64;
        }
        self.tell(&ServerMsg::End { req, size, hash }).await
    }
}

/// Why an upload broke off.
enum UploadEnd {
    Code(Code),
    Connection(End),
}

impl From<End> for UploadEnd {
    fn from(end: End) -> Self {
        Self::Connection(end)
    }
}

fn read_frame(item: Result<Item<'_>, FrameError>) -> Result<Option<ClientMsg>, Refusal> {
    match item {
        Err(FrameError::Empty) => Err(Refusal::of(Code::EmptyFrame)),
        Ok(Item::Oversized { ty, .. }) => {
            Err(Refusal::about(Code::FrameTooLarge, ty, 0).with(u64::from(MAX_BULK_FRAME)))
        }
        Ok(Item::Frame(frame)) => ClientMsg::decode(frame.ty, frame.payload)
            .map_err(|error| Refusal::about(code_of(error), frame.ty, 0)),
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

fn upload_code(error: &UploadError) -> Code {
    match error {
        UploadError::TooLarge { .. } => Code::FileTooLarge,
        UploadError::Full => Code::Quota,
        UploadError::Io(source) => {
            tracing::error!(error = %source, "a file could not be stored");
            Code::DiskFull
        }
    }
}
