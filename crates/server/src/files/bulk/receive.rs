//! Uploads on a bulk connection.

use super::{Bulk, DEAD, End, SIGN_OF_LIFE, done_msg, upload_code};
use crate::files::{Begun, FileSystem, Header, Upload, UploadError};
use crate::inbound::{Admitted, Event, Refusal};
use protocol::code::Code;
use protocol::id::{ContentHash, Req, TransferId};
use protocol::limits::UNKNOWN_SIZE;
use protocol::message::{ClientMsg, ServerMsg, ty};
use protocol::window::Window;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Bytes of an upload that may be under way at most: enough for any link, little enough for its socket to hold.
const MOST: u32 = 1024 * 1024;

/// What may be under way of an upload.
struct Flow {
    window: Window,
    /// When the first of it was asked for.
    begun: Instant,
}

impl Flow {
    fn begin() -> Self {
        Self { window: Window::new(MOST), begun: Instant::now() }
    }
}

/// How an upload stops on a connection.
enum Stop {
    /// It is complete and on the disk.
    Whole(ContentHash),
    /// It was given up.
    Dropped,
    /// Something about it was wrong: this is said of a frame of this type.
    Failed(UploadError, u8),
    /// More came than was allowed.
    TooFast,
    /// There is no space for what comes. An upload whose size is not known is given up.
    Full { left: u64 },
    /// The connection ends.
    Connection(End),
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::Connection(end)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, St, F: FileSystem> Bulk<'_, R, W, St, F> {
    /// Receives an upload, or what is left of it.
    pub(super) async fn receive(&mut self, put: ClientMsg) -> Result<(), End> {
        let ClientMsg::Put { req, transfer, target, size, first, name } = put else { return Ok(()) };
        let refusal = |code, ty| Refusal::about(code, ty, u64::from(req.0));
        if size > self.shared.max_file && size != UNKNOWN_SIZE {
            return self.refuse(refusal(Code::FileTooLarge, ty::PUT).with(self.shared.max_file)).await;
        }
        let header = Header { transfer, person: Some(self.person), target, size, first, name };
        let asked = header.clone();
        let taken = match self.ask(|answer| Event::Put { header: asked, answer }).await? {
            Ok(Admitted::Going { likely }) => self.take_upload(req, header, likely).await,
            Ok(Admitted::Whole(hash)) => self.confirm(req, self.size_of(size, hash), hash).await,
            Err((code, detail)) => return self.refuse(refusal(code, ty::PUT).with(detail)).await,
        };
        let stop = match taken {
            Ok(stop) | Err(stop) => stop,
        };
        let (code, detail, about) = match stop {
            Stop::Whole(hash) => {
                if self.ask(|answer| Event::Uploaded { transfer, hash, answer }).await? {
                    let size = self.size_of(size, hash);
                    return self.tell(&ServerMsg::End { req, size, hash }).await;
                }
                return self.refuse(refusal(Code::NoSuchTransfer, ty::DONE)).await;
            }
            Stop::Dropped => {
                self.tell_hub(Event::GivenUp { transfer }).await?;
                return self.tell(&done_msg(req)).await;
            }
            Stop::Failed(error, about) => {
                let (code, detail) = upload_code(&error);
                (code, detail, about)
            }
            Stop::TooFast => (Code::TooFast, 0, ty::CHUNK),
            Stop::Full { left } if size == UNKNOWN_SIZE => {
                self.tell_hub(Event::GivenUp { transfer }).await?;
                return self.refuse(refusal(Code::Quota, ty::CHUNK).with(left)).await;
            }
            // What came stays: there may be space again.
            Stop::Full { left } => (Code::Quota, left, ty::CHUNK),
            Stop::Connection(end) => {
                self.tell_hub(Event::Left { transfer }).await?;
                return Err(end);
            }
        };
        self.tell_hub(Event::Left { transfer }).await?;
        self.refuse(refusal(code, about).with(detail)).await
    }

    async fn take_upload(&mut self, req: Req, header: Header, likely: bool) -> Result<Stop, Stop> {
        let (transfer, size) = (header.transfer, header.size);
        self.wait_to_make_file().await;
        let begun = self.shared.contents.begin(header).await;
        let mut upload = match begun.map_err(|error| Stop::Failed(error, ty::PUT))? {
            Begun::Going(upload) => upload,
            Begun::Whole(hash) => return self.confirm(req, self.size_of(size, hash), hash).await,
        };
        let offset = upload.len();
        let mut flow = Flow::begin();
        let credit = flow.window.size();
        self.tell(&ServerMsg::PutAt { req, offset, credit, likely }).await?;
        if likely {
            match self.next(DEAD).await? {
                ClientMsg::Done { req: of, hash } if of == req => {
                    if self.ask(|answer| Event::Claim { transfer, hash, answer }).await? {
                        drop(upload);
                        self.shared.contents.give_up(transfer);
                        return Ok(Stop::Whole(hash));
                    }
                    flow = Flow::begin();
                    let credit = flow.window.size();
                    self.tell(&ServerMsg::PutAt { req, offset, credit, likely: false }).await?;
                    return self.take_pieces((req, transfer), &mut upload, flow, None).await;
                }
                other => return self.take_pieces((req, transfer), &mut upload, flow, Some(other)).await,
            }
        }
        self.take_pieces((req, transfer), &mut upload, flow, None).await
    }

    /// The upload is complete already: only its hash is missing.
    async fn confirm(&mut self, req: Req, size: u64, hash: ContentHash) -> Result<Stop, Stop> {
        self.tell(&ServerMsg::PutAt { req, offset: size, credit: 0, likely: false }).await?;
        loop {
            match self.next(DEAD).await? {
                ClientMsg::Done { req: of, hash: said } if of == req && said == hash => {
                    return Ok(Stop::Whole(hash));
                }
                ClientMsg::Done { req: of, .. } if of == req => {
                    return Err(Stop::Failed(UploadError::Wrong, ty::DONE));
                }
                ClientMsg::Drop { req: of } if of == req => return Ok(Stop::Dropped),
                other => self.answer_aside(&other).await?,
            }
        }
    }

    /// Takes pieces until the upload is complete or dropped.
    async fn take_pieces(
        &mut self,
        (req, transfer): (Req, TransferId),
        upload: &mut Upload<F>,
        mut flow: Flow,
        mut first: Option<ClientMsg>,
    ) -> Result<Stop, Stop> {
        let mut turn = upload.turn();
        loop {
            let msg = match first.take() {
                Some(msg) => msg,
                None => tokio::select! {
                    biased;
                    // Whoever told it is gone only with the upload.
                    _ = turn.changed() => return Err(Stop::Failed(UploadError::Elsewhere, ty::PUT)),
                    msg = self.next(DEAD) => msg?,
                },
            };
            match msg {
                ClientMsg::Chunk { req: of, offset, data } if of == req => {
                    let len = u32::try_from(data.0.len()).unwrap_or(u32::MAX);
                    if len > flow.window.outstanding() {
                        return Err(Stop::TooFast);
                    }
                    let end = offset.saturating_add(u64::from(len));
                    self.reserve(upload, transfer, end).await?;
                    let written = upload.write(offset, data.0).await;
                    written.map_err(|error| Stop::Failed(error, ty::CHUNK))?;
                    if let Some(bytes) = flow.window.arrive(len, flow.begun.elapsed()) {
                        self.tell(&ServerMsg::Credit { req, bytes }).await?;
                    }
                }
                ClientMsg::Check { req: of, index, value } if of == req => {
                    let checked = upload.check(index, value).await;
                    checked.map_err(|error| Stop::Failed(error, ty::CHECK))?;
                }
                ClientMsg::Done { req: of, hash } if of == req => {
                    return self.finish(req, upload, hash).await;
                }
                ClientMsg::Drop { req: of } if of == req => return Ok(Stop::Dropped),
                other => self.answer_aside(&other).await?,
            }
        }
    }

    /// The size of a content, which its upload may not have told before.
    fn size_of(&self, told: u64, hash: ContentHash) -> u64 {
        if told == UNKNOWN_SIZE { self.shared.contents.size(hash).unwrap_or(told) } else { told }
    }

    /// Reserves space for what ends there of an upload: some ahead or, if so much is not left, what is needed.
    async fn reserve(&mut self, upload: &Upload<F>, transfer: TransferId, end: u64) -> Result<(), Stop> {
        let Some((least, most)) = upload.missing(end) else { return Ok(()) };
        if end > self.shared.max_file {
            return Err(Stop::Full { left: self.shared.max_file });
        }
        for bytes in [most, least] {
            let left = match upload.reserve(bytes) {
                Ok(()) => match self.ask(|answer| Event::Reserve { transfer, bytes, answer }).await? {
                    Ok(()) => return Ok(()),
                    Err((Code::Quota, left)) => {
                        upload.give_back(bytes);
                        left
                    }
                    Err(_) => return Err(Stop::Failed(UploadError::Elsewhere, ty::CHUNK)),
                },
                Err(left) => left,
            };
            if bytes == least {
                return Err(Stop::Full { left });
            }
        }
        Ok(())
    }

    /// Puts an upload on the disk. A large one takes a while, in which the client is shown that this side is alive.
    async fn finish(&mut self, req: Req, upload: &mut Upload<F>, hash: ContentHash) -> Result<Stop, Stop> {
        let mut finishing = pin!(upload.finish(hash));
        loop {
            tokio::select! {
                biased;
                finished = &mut finishing => {
                    finished.map_err(|error| Stop::Failed(error, ty::DONE))?;
                    return Ok(Stop::Whole(hash));
                }
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    self.tell(&ServerMsg::Credit { req, bytes: 0 }).await?;
                }
            }
        }
    }
}
