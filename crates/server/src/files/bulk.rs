//! Bulk connections: uploads and downloads, one after another, each under a window of credit.

mod receive;
mod send;

use super::{FileSystem, UploadError};
use crate::connection::Shared;
use crate::inbound::{BulkPlace, Dialect, Event, Hello, Refusal, code_of, peek_request, request_of};
use crate::inbox::Inbox;
use crate::places::Place;
use protocol::code::{Code, Fate};
use protocol::frame::{FrameError, OwnedItem};
use protocol::id::{PersonId, Req};
use protocol::limits::{BULK_IDLE_MS, DEAD_AFTER_MS, MAX_BULK_FRAME, PING_AFTER_MS};
use protocol::message::{ClientMsg, Reply, ServerMsg, ty};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a connection may have no transfer. A `Ping` shows that its client is there, not what it is there for.
const IDLE: Duration = Duration::from_millis(BULK_IDLE_MS);

/// How long the other side of a transfer may be silent. What was checked stays.
const DEAD: Duration = Duration::from_millis(DEAD_AFTER_MS);

/// How often a client that waits is shown that it does not wait in vain.
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

/// A bulk connection.
struct Bulk<'a, R, W, St, F> {
    person: PersonId,
    /// From where somebody new uses it; they wait for turns.
    new_from: Option<IpAddr>,
    inbox: &'a mut Inbox<R>,
    write: &'a mut W,
    shared: &'a Shared<St, F>,
}

/// Serves a connection for files until it ends.
pub async fn serve_bulk<St, F: FileSystem>(
    hello: Hello,
    peer: SocketAddr,
    place: &Place,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    write: &mut (impl AsyncWrite + Unpin),
    shared: &Shared<St, F>,
) {
    let (answer, answered) = oneshot::channel();
    if shared.events.logins().send(Event::BulkLogin { hello, answer }).await.is_err() {
        return;
    }
    let last_words = match answered.await {
        Err(_) => return,
        Ok(Err(code)) => Refusal::about(code, ty::HELLO, 0).encode_closing(),
        // It had to give its place away meanwhile.
        Ok(Ok(_)) if !place.admit() => return,
        Ok(Ok(BulkPlace { person, is_new, welcome, counted: _counted })) => {
            inbox.set_limit(MAX_BULK_FRAME, Dialect::Native);
            tracing::debug!(%peer, %person, "bulk");
            inbox.pace.set_new(is_new);
            place.set_new(is_new);
            let new_from = is_new.then_some(peer.ip());
            let mut bulk = Bulk { person, new_from, inbox, write, shared };
            let served = match bulk.put(&welcome).await {
                Ok(()) => bulk.serve().await,
                Err(end) => Err(end),
            };
            match served {
                Ok(()) | Err(End::Gone) => return,
                Err(End::Refused(refusal)) => refusal.encode_closing(),
            }
        }
    };
    let _ = timeout(DEAD, write.write_all(&last_words)).await;
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, St, F: FileSystem> Bulk<'_, R, W, St, F> {
    async fn serve(&mut self) -> Result<(), End> {
        let mut idle = Instant::now() + IDLE;
        loop {
            let next = timeout_at(idle, self.next(IDLE)).await;
            match next.map_err(|_| End::Refused(Refusal::of(Code::Stalled)))?? {
                put @ ClientMsg::Put { .. } => Box::pin(self.receive(put)).await?,
                ClientMsg::Get { req, source, offset, credit } => {
                    Box::pin(self.send(req, source, offset, credit)).await?;
                }
                ClientMsg::Fetched { req, room, seq } => {
                    let person = self.person;
                    let done = self.ask(|answer| Event::Fetched { person, room, seq, answer }).await?;
                    match done {
                        Ok(()) => self.tell(&done_msg(req)).await?,
                        Err(code) => {
                            self.refuse(Refusal::about(code, ty::FETCHED, u64::from(req.0))).await?;
                        }
                    }
                }
                ClientMsg::Bye {} => return Ok(()),
                other => {
                    self.answer_aside(&other).await?;
                    continue;
                }
            }
            idle = Instant::now() + IDLE;
        }
    }

    /// The next message that is not a `Ping`, as long as something of it comes within this time again and again.
    async fn next(&mut self, patience: Duration) -> Result<ClientMsg, End> {
        loop {
            let next = self.inbox.next_frame_or_part(read_frame);
            let next = timeout(patience, next).await.map_err(|_| End::Refused(Refusal::of(Code::Stalled)))?;
            if let Some(next) = next.ok_or_else(|| self.ended())?
                && let Some(msg) = self.take(next).await?
            {
                return Ok(msg);
            }
        }
    }

    /// Why nothing more comes.
    fn ended(&self) -> End {
        if self.inbox.is_over() { End::Refused(Refusal::of(Code::Stalled)) } else { End::Gone }
    }

    /// A frame, unless it is answered at once.
    async fn take(&mut self, frame: Result<Option<ClientMsg>, Refusal>) -> Result<Option<ClientMsg>, End> {
        self.inbox.pace.note_frames(1);
        match frame {
            Ok(Some(ClientMsg::Ping { nonce })) => {
                let time = self.shared.clock.now().wall;
                self.tell(&ServerMsg::Pong { nonce, time }).await?;
                Ok(None)
            }
            Ok(msg) => Ok(msg),
            Err(refusal) => self.refuse(refusal).await.map(|()| None),
        }
    }

    /// Waits for the turns of a file that is made, if somebody new uses the connection.
    async fn wait_to_make_file(&mut self) {
        if let Some(address) = self.new_from {
            self.shared.turns.wait_for_file(address).await;
        }
    }

    /// Waits for the turns of a piece that is sent, if somebody new uses the connection.
    async fn wait_for_turn(&mut self, bytes: usize) {
        if let Some(address) = self.new_from {
            self.shared.turns.wait_for_bytes(address, bytes).await;
        }
    }

    async fn tell(&mut self, msg: &ServerMsg) -> Result<(), End> {
        self.put(&msg.encode()).await
    }

    /// Writes all of it, as long as the other side takes some of it again and again.
    async fn put(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            let n = timeout(DEAD, self.write.write(bytes)).await.map_err(|_| End::Gone)??;
            if n == 0 {
                return Err(End::Gone);
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        if refusal.code.fate() == Fate::Close {
            return Err(End::Refused(refusal));
        }
        self.put(&refusal.encode()).await
    }

    /// What the hub answers.
    async fn ask<T>(&mut self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, End> {
        let (answer, answered) = oneshot::channel();
        self.tell_hub(event(answer)).await?;
        answered.await.map_err(|_| End::Gone)
    }

    async fn tell_hub(&mut self, event: Event) -> Result<(), End> {
        let lane = self.shared.events.of(self.new_from.is_some());
        lane.send(event).await.map_err(|_| End::Gone)
    }

    /// Something that has no place here: late frames of a transfer that ended, or chat.
    async fn answer_aside(&mut self, msg: &ClientMsg) -> Result<(), End> {
        let code = match msg {
            ClientMsg::Grant { .. } | ClientMsg::Chunk { .. } | ClientMsg::Check { .. } => return Ok(()),
            ClientMsg::Done { .. } | ClientMsg::Drop { .. } => Code::NoSuchTransfer,
            ClientMsg::Hello { .. } => Code::AlreadyLoggedIn,
            _ => Code::WrongPurpose,
        };
        self.refuse(Refusal::about(code, msg.ty(), request_of(msg))).await
    }
}

fn done_msg(req: Req) -> ServerMsg {
    ServerMsg::Answer { req, more: false, reply: Reply::Done }
}

fn read_frame(item: Result<OwnedItem, FrameError>) -> Result<Option<ClientMsg>, Refusal> {
    match item {
        Err(FrameError::Empty) => Err(Refusal::of(Code::EmptyFrame)),
        Ok(OwnedItem::Oversized { ty, .. }) => {
            Err(Refusal::about(Code::FrameTooLarge, ty, 0).with(u64::from(MAX_BULK_FRAME)))
        }
        Ok(OwnedItem::Frame { ty, payload }) => {
            let refusal = |error| Refusal::about(code_of(error), ty, peek_request(ty, &payload));
            ClientMsg::decode_owned(ty, &payload).map_err(refusal)
        }
    }
}

/// The code that tells why an upload does not go on, and the number that goes with it.
fn upload_code(error: &UploadError) -> (Code, u64) {
    match error {
        UploadError::Wrong => (Code::WrongContent, 0),
        UploadError::Full { left } => (Code::Quota, *left),
        UploadError::Elsewhere => (Code::NoSuchTransfer, 0),
        UploadError::Io(source) => {
            tracing::error!(error = %source, "a file could not be stored");
            (Code::DiskFull, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::Plaintext;
    use crate::files::{Contents, Disk};
    use crate::half_frames::{HalfFrames, Share};
    use crate::lanes::lanes;
    use crate::limits::Limits;
    use crate::origin::Origin;
    use crate::turns::{Pace, Turns};
    use std::sync::Arc;
    use tokio::io::{duplex, split};
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_no_transfer_and_only_pings_is_closed() {
        let (ours, mut theirs) = duplex(64 * 1_024);
        let (read, mut write) = split(ours);
        let (events, _hub) = lanes(1);
        let half_frames = Arc::new(HalfFrames::new(1, 1, Arc::new(SystemClock::start())));
        let shared = Shared {
            store: (),
            contents: Contents::new(Disk, "/nowhere".into(), 0),
            max_file: 1,
            clock: Arc::new(SystemClock::start()),
            events,
            awaiting: Arc::new(Semaphore::new(1)),
            plaintext: Plaintext::Loopback,
            turns: Arc::new(Turns::new(&Limits::default(), Arc::new(SystemClock::start()))),
            limits: Arc::default(),
            half_frames: half_frames.clone(),
            new_people: None,
        };
        let mut inbox =
            Inbox::new(read, Share::new(half_frames, Origin::of([127, 0, 0, 1].into())), Pace::unbounded());
        let (inbox, write, begun) = (&mut inbox, &mut write, Instant::now());
        let mut bulk = Bulk { person: PersonId::FIRST, new_from: None, inbox, write, shared: &shared };
        let pings = async {
            // What is out of place is no transfer either.
            for msg in [ClientMsg::Ping { nonce: 7 }, ClientMsg::Drop { req: Req(1) }].iter().cycle() {
                theirs.write_all(&msg.encode()).await.unwrap();
                tokio::time::sleep(SIGN_OF_LIFE).await;
            }
        };
        let end = tokio::select! {
            end = bulk.serve() => end,
            () = pings => Ok(()),
            () = tokio::time::sleep(2 * IDLE) => Ok(()),
        };
        assert!(matches!(end, Err(End::Refused(refusal)) if refusal.code == Code::Stalled));
        assert_eq!(begun.elapsed(), IDLE);
    }
}
