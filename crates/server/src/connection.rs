//! A connection's own task: it reads for as long as the hub keeps up, and writes when nobody else can.

use crate::clock::Clock;
use crate::config::Plaintext;
use crate::conn::{BUNDLES, Conn, ConnId, Held};
use crate::inbound::{Bundle, Dialect, Event, Login, Refusal, first_frame};
use crate::log::View;
use crate::outlet::{Drained, Lag};
use crate::store::Store;
use crate::voice;
use bytes::{Bytes, BytesMut};
use protocol::code::Code;
use protocol::frame::{Deframer, FrameError};
use protocol::id::Seq;
use protocol::limits::{FIRST_FRAME_MS, MAX_FRAME_BEFORE_LOGIN};
use protocol::message::{Range, ServerMsg, TrimReason};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Bytes of one read: a full window of small posts.
const READ: usize = 64 * 1024;

/// How long the last words of a connection may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a peer may take to see the end, so that what we said last is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of entries that are read from the store for one lagging reader at once.
const STORE_READ: usize = 48 * 1024;

/// Aligned, because a copy out of the kernel into memory that is not takes up to ten times as long.
#[repr(align(64))]
struct Scratch([u8; READ]);

thread_local! {
    /// What is read lands here first, so that an idle connection has no buffer of its own.
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch([0; READ])));
}

/// What all connections of a server share.
#[derive(Debug)]
pub struct Shared<St> {
    /// Where lagging readers read.
    pub store: St,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to the hub.
    pub events: mpsc::Sender<Event>,
    /// Bytes of posts that may await their commit.
    pub awaiting: Arc<Semaphore>,
    /// From where plaintext is taken.
    pub plaintext: Plaintext,
}

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// Serves one connection until it ends.
pub async fn serve<St: Store>(
    id: ConnId,
    peer: SocketAddr,
    read: impl AsyncRead + Unpin + Send,
    write: impl AsyncWrite + Send + 'static,
    shared: Arc<Shared<St>>,
) {
    let conn = Arc::new(Conn::new(id, peer, Box::pin(write), shared.clock.now()));
    let mut inbox = Inbox {
        read,
        deframer: Deframer::new(MAX_FRAME_BEFORE_LOGIN),
        carry: Vec::new(),
        taken: 0,
    };
    let first = timeout(Duration::from_millis(FIRST_FRAME_MS), inbox.login(&conn, &shared)).await;
    let login = match first.unwrap_or_else(|_| Err(Some(Refusal::of(Code::LoginTimeout).encode_closing()))) {
        Ok(login) => login,
        Err(None) => return,
        Err(Some(last_words)) => {
            tracing::debug!(conn = %id, %peer, "no login");
            conn.outlet().push_control(last_words);
            conn.close();
            return finish(&conn, &shared.store, &mut inbox).await;
        }
    };
    let dialect = if matches!(login, Login::Classic(_)) {
        Dialect::Classic
    } else {
        Dialect::Native
    };
    inbox.deframer.set_limit(dialect.limit());
    let Ok(permit) = conn.bundles.clone().acquire_owned().await else {
        return;
    };
    if shared
        .events
        .send(Event::Login {
            conn: conn.clone(),
            login,
            permit,
        })
        .await
        .is_err()
    {
        return;
    }
    {
        let mut writes = pin!(drive_writes(&conn, &shared.store));
        let mut reads = pin!(drive_reads(&conn, &mut inbox, dialect, &shared));
        tokio::select! {
            biased;
            () = &mut reads => {}
            () = &mut writes => {}
        }
    }
    // The hub may have ended the session itself; then it does not mind to hear it again.
    let _ = shared.events.send(Event::Gone { conn: id }).await;
    conn.close();
    finish(&conn, &shared.store, &mut inbox).await;
}

/// Writes what is left, says that this was all, and waits a moment for the peer to see it.
async fn finish<St: Store>(conn: &Conn, store: &St, inbox: &mut Inbox<impl AsyncRead + Unpin>) {
    let _ = timeout(LAST_WORDS, drive_writes(conn, store)).await;
    let _ = timeout(LAST_WORDS, poll_fn(|cx| conn.outlet().poll_shutdown(cx))).await;
    conn.outlet().abandon();
    let _ = timeout(LINGER, inbox.discard()).await;
}

/// Reads frames and hands them to the hub, no faster than it takes them.
async fn drive_reads<St: Store>(
    conn: &Arc<Conn>,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    dialect: Dialect,
    shared: &Shared<St>,
) {
    loop {
        while !conn.takes_answers() {
            conn.set_paused(true, shared.clock.now());
            conn.drained.notified().await;
        }
        conn.set_paused(false, shared.clock.now());
        let Some(bundle) = inbox.next_bundle(conn, dialect, &*shared.clock).await else {
            return;
        };
        conn.set_paused(true, shared.clock.now());
        let fatal = bundle.fatal;
        if hand_over(conn, bundle, shared).await.is_err() {
            return;
        }
        if fatal {
            // The hub answers and closes; nothing that follows is of any use.
            return std::future::pending().await;
        }
    }
}

async fn hand_over<St: Store>(conn: &Arc<Conn>, mut bundle: Bundle, shared: &Shared<St>) -> Result<(), ()> {
    if let Some(held) = Held::acquire(conn, &shared.awaiting, bundle.posts()).await {
        for post in bundle
            .inbound
            .iter_mut()
            .filter(|inbound| inbound.post_bytes().is_some())
        {
            post.set_held(held.clone());
        }
    }
    // A bundle with a large answer goes alone, so that answers are bounded before the next one is asked for.
    let alone = if bundle.heavy { BUNDLES } else { 1 };
    let permit = conn
        .bundles
        .clone()
        .acquire_many_owned(alone)
        .await
        .map_err(|_| ())?;
    let event = Event::Bundle {
        conn: conn.id,
        inbound: bundle.inbound,
        permit,
    };
    shared.events.send(event).await.map_err(|_| ())?;
    if bundle.heavy {
        drop(conn.bundles.acquire_many(BUNDLES).await);
    }
    Ok(())
}

/// Writes whenever the outlet is left to this task; ends when the connection is to end.
async fn drive_writes<St: Store>(conn: &Conn, store: &St) {
    loop {
        let drained = poll_fn(|cx| {
            let mut outlet = conn.outlet();
            let polled = outlet.poll_drain(cx);
            if outlet.control_bytes() < protocol::limits::MAX_CONTROL {
                conn.drained.notify_one();
            }
            polled
        });
        match drained.await {
            Ok(Drained::CaughtUp) if conn.outlet().is_closing() => return,
            Ok(Drained::CaughtUp) => conn.kick.notified().await,
            Ok(Drained::Lagging(lag)) => {
                let Some((bytes, next)) = read_lagging(store, &lag).await else {
                    return;
                };
                conn.outlet().put_stored(&lag, bytes, next);
            }
            Err(error) => {
                tracing::debug!(conn = %conn.id, %error, "the socket broke");
                return;
            }
        }
    }
}

/// Frames for a reader whose next entry is no longer in memory, and the entry after them.
pub async fn read_lagging<St: Store>(store: &St, lag: &Lag) -> Option<(Bytes, Seq)> {
    let range = Range::After {
        seq: lag.next.before(),
    };
    let read = match store.read(lag.log.room, range, usize::MAX, STORE_READ).await {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, "a reader could not be served");
            return None;
        }
    };
    let first = read.entries.first().map_or(read.oldest, |entry| entry.seq);
    let next = read.entries.last().map_or(first, |entry| entry.seq.next());
    let mut bytes = BytesMut::new();
    if first > lag.next {
        bytes.extend_from_slice(&trimmed(lag, first));
    }
    for block in crate::block::Block::encode(lag.log.room, &read.entries) {
        match lag.view {
            View::Native => bytes.extend_from_slice(&block.native_from(block.first)),
            View::Classic { me, current } => {
                let pieces = block.classic_from(block.first, me, &lag.log.label, current);
                pieces
                    .iter()
                    .for_each(|(piece, _)| bytes.extend_from_slice(piece));
            }
        }
    }
    Some((bytes.freeze(), next))
}

fn trimmed(lag: &Lag, first: Seq) -> Bytes {
    match lag.view {
        View::Native => ServerMsg::Trimmed {
            room: lag.log.room,
            reason: TrimReason::Trimmed,
            first,
        }
        .encode(),
        View::Classic { .. } => voice::server_line("Some lines before this are not kept any more."),
    }
}

/// The reading half: bytes become bundles.
struct Inbox<R> {
    read: R,
    deframer: Deframer,
    /// Bytes of the last read that a full bundle left over. Invariant: taken <= carry.len().
    carry: Vec<u8>,
    taken: usize,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    /// The first frame.
    ///
    /// # Errors
    /// The last words to a peer that can't log in; `None` if it is gone.
    async fn login<St>(&mut self, conn: &Conn, shared: &Shared<St>) -> Result<Login, Option<Bytes>> {
        let mut is_first = true;
        loop {
            let step = |deframer: &mut Deframer, input: &mut &[u8]| {
                if std::mem::take(&mut is_first) {
                    check_first_byte(input[0])?;
                }
                match deframer.next(input) {
                    Ok(None) => Ok(None),
                    Ok(Some(item)) => first_frame(item).map(Some),
                    Err(FrameError::Empty) => Err(Refusal::of(Code::EmptyFrame).encode_closing()),
                }
            };
            let login = self.read_once(step).await.ok_or(None)?;
            conn.hear(shared.clock.now(), false);
            if let Some(login) = login.map_err(Some)? {
                return shared
                    .plaintext
                    .check(conn.peer.ip(), &login)
                    .map(|()| login)
                    .map_err(Some);
            }
        }
    }

    /// The next frames; `None` at the end of the stream.
    async fn next_bundle(&mut self, conn: &Conn, dialect: Dialect, clock: &dyn Clock) -> Option<Bundle> {
        let mut bundle = Bundle::default();
        let mut carried = &self.carry[self.taken..];
        bundle.fill(dialect, &mut self.deframer, &mut carried);
        self.taken = self.carry.len() - carried.len();
        if carried.is_empty() {
            (self.carry, self.taken) = (Vec::new(), 0);
        }
        while bundle.inbound.is_empty() {
            let step = |deframer: &mut Deframer, input: &mut &[u8]| bundle.fill(dialect, deframer, input);
            self.read_once(step).await?;
            conn.hear(clock.now(), self.deframer.is_mid_frame());
        }
        Some(bundle)
    }

    /// One read, handed to `step`; what that leaves over is carried. `None` at the end of the stream.
    async fn read_once<T>(&mut self, mut step: impl FnMut(&mut Deframer, &mut &[u8]) -> T) -> Option<T> {
        debug_assert!(
            self.carry.is_empty(),
            "what is left over is taken before more is read"
        );
        poll_fn(|cx| self.poll_read_once(cx, &mut step)).await
    }

    fn poll_read_once<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: &mut impl FnMut(&mut Deframer, &mut &[u8]) -> T,
    ) -> Poll<Option<T>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch.0);
            let read = ready!(Pin::new(&mut self.read).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            let mut input = buf.filled();
            let result = step(&mut self.deframer, &mut input);
            self.carry.extend_from_slice(input);
            Poll::Ready(Some(result))
        })
    }

    /// Reads to the end without looking.
    async fn discard(&mut self) {
        while self.read_once(|_, input| *input = &[]).await.is_some() {
            self.carry.clear();
        }
    }
}

/// Tells plain frames from TLS and from everything else.
fn check_first_byte(byte: u8) -> Result<(), Bytes> {
    match byte {
        0x00 => Ok(()),
        0x16 => Err(Refusal::of(Code::NoTls).encode_closing()),
        _ => Err(Refusal::of(Code::BadFirstByte).encode_closing()),
    }
}
