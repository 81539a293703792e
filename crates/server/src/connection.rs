//! A connection's own task: it reads for as long as the hub keeps up, and writes when nobody else can.

use crate::clock::Clock;
use crate::config::Plaintext;
use crate::conn::{BUNDLES, Conn, ConnId, Held, Pause};
use crate::files::{
    ClassicFile, Contents, FileSystem, SenderSpace, classic_head, receive_classic, serve_bulk,
};
use crate::half_frames::{HalfFrames, Share};
use crate::inbound::{Bundle, Dialect, Event, Login, Refusal};
use crate::inbox::Inbox;
use crate::lanes::Lanes;
use crate::limits::Limits;
use crate::log::View;
use crate::origin::Origin;
use crate::outlet::{Drained, Lag};
use crate::places::Place;
use crate::store::Store;
use crate::turned_away::say_at_once;
use crate::turns::{Pace, Turns};
use crate::voice;
use bytes::{Bytes, BytesMut};
use protocol::code::Code;
use protocol::id::Seq;
use protocol::limits::requests::REQUEST_SHARE;
use protocol::limits::{FIRST_FRAME_MS, MAX_CLASSIC_FILE};
use protocol::message::{Range, ServerMsg, TrimReason};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long the last words of a connection may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a peer may take to see the end, so that what we said last is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of entries that are read from the store for one lagging reader at once.
const STORE_READ: usize = 48 * 1024;

/// Bytes of a file that are read for one classic reader at once.
const FILE_READ: usize = 64 * 1024;

/// What all connections of a server share.
#[derive(Debug)]
pub struct Shared<St, F> {
    /// Where lagging readers read.
    pub store: St,
    /// Where files are.
    pub contents: Contents<F>,
    /// The largest file that is taken, in bytes.
    pub max_file: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to the hub.
    pub events: Lanes,
    /// Bytes of posts that may await their commit.
    pub awaiting: Arc<Semaphore>,
    /// From where plaintext is taken.
    pub plaintext: Plaintext,
    /// What is taken from clients.
    pub limits: Arc<Limits>,
    /// The turns of new people.
    pub turns: Arc<Turns>,
    /// The room for frames that are not complete.
    pub half_frames: Arc<HalfFrames>,
    /// Where new people are served, if not where everybody is.
    pub new_people: Option<Handle>,
}

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// Serves one connection until it ends, or until it has turned out to be of somebody new who is to be served elsewhere:
/// then what serves it from there on is given back.
///
/// A task is as large as the largest thing that it may ever wait for, and nearly all connections do nothing but wait
/// for news: what is rare, or done once for many frames, is boxed, here and below.
pub async fn serve<St: Store, F: FileSystem, W: AsyncWrite + Unpin + Send + 'static>(
    id: ConnId,
    peer: SocketAddr,
    read: impl AsyncRead + Unpin + Send + 'static,
    write: W,
    bound_unacknowledged: fn(&W),
    place: Place,
    shared: Arc<Shared<St, F>>,
) -> Option<Moved> {
    let (place, moves) = (Arc::new(place), shared.new_people.is_some());
    let parts = ConnParts { id, peer, place: place.clone(), bound_unacknowledged };
    // What was needed for the first frame is given back before the rest begins.
    let rest = Box::pin(serve_first_frame(read, write, parts, shared)).await?;
    Moved { rest, place }.go_on(moves).await
}

/// A connection behind its first frame, which may go on on other threads.
pub struct Moved {
    rest: Rest,
    place: Arc<Place>,
}

impl Moved {
    /// Serves it until it ends, or until it has turned out to be of somebody new, if it moves then.
    pub async fn go_on(mut self, moves: bool) -> Option<Self> {
        // The first word after that wakes it.
        let end = poll_fn(|cx| {
            if moves && self.place.is_new() {
                Poll::Ready(true)
            } else {
                self.rest.as_mut().poll(cx).map(|()| false)
            }
        });
        let is_left = tokio::select! {
            biased;
            is_left = end => is_left,
            // Only a stranger is asked: nothing that is logged in is cut off.
            () = self.place.asked_to_leave() => false,
        };
        is_left.then_some(self)
    }
}

/// Reads the first frame, and gives back what serves the connection from there on; `None` if it has to leave.
async fn serve_first_frame<St: Store, F: FileSystem, W: AsyncWrite + Unpin + Send + 'static>(
    read: impl AsyncRead + Unpin + Send + 'static,
    mut write: W,
    parts: ConnParts<W>,
    shared: Arc<Shared<St, F>>,
) -> Option<Rest> {
    let ip = parts.peer.ip();
    let mut inbox = Inbox::new(
        read,
        Share::new(shared.half_frames.clone(), Origin::of(ip)),
        Pace::new(shared.turns.clone(), ip),
    );
    let first = tokio::select! {
        biased;
        first = timeout(Duration::from_millis(FIRST_FRAME_MS), inbox.login()) => first,
        () = parts.place.asked_to_leave() => {
            say_at_once(&mut write, &Refusal::of(Code::ServerFull).encode_closing()).await;
            return None;
        }
    };
    let first = first.unwrap_or_else(|_| Err(Some(Refusal::of(Code::LoginTimeout).encode_closing())));
    let login = first.and_then(|login| {
        shared.plaintext.check(ip, &login).map_err(Some)?;
        Ok(Box::new(login))
    });
    serve_login(login, parts, inbox, write, shared)
}

/// What serves a connection behind its first frame.
type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection is made of, beside its socket.
struct ConnParts<W> {
    id: ConnId,
    peer: SocketAddr,
    place: Arc<Place>,
    bound_unacknowledged: fn(&W),
}

/// What serves a connection from its first frame on; nothing if it ended before that.
///
/// This is no `async fn`, since one keeps a second place for everything that is handed to it.
fn serve_login<St: Store, F: FileSystem, W: AsyncWrite + Unpin + Send + 'static>(
    login: Result<Box<Login>, Option<Bytes>>,
    parts: ConnParts<W>,
    mut inbox: Inbox<impl AsyncRead + Unpin + Send + 'static>,
    mut write: W,
    shared: Arc<Shared<St, F>>,
) -> Option<Rest> {
    let ConnParts { id, peer, place, bound_unacknowledged } = parts;
    match login {
        Err(None) => None,
        Err(Some(last_words)) => {
            tracing::debug!(conn = %id, %peer, "no login");
            Some(Box::pin(async move {
                let said = async {
                    write.write_all(&last_words).await?;
                    write.shutdown().await
                };
                let _ = timeout(LAST_WORDS, said).await;
                let _ = timeout(LINGER, inbox.discard()).await;
            }))
        }
        Ok(login) if login.is_bulk() => Some(Box::pin(async move {
            if let Login::Native(hello) = *login {
                Box::pin(serve_bulk(hello, peer, &place, &mut inbox, &mut write, &shared)).await;
            }
            place.linger();
            let _ = timeout(LAST_WORDS, write.shutdown()).await;
            let _ = timeout(LINGER, inbox.discard()).await;
        })),
        Ok(login) => {
            if matches!(*login, Login::Classic(_)) {
                bound_unacknowledged(&write);
            }
            let now = shared.clock.now().steady;
            let conn = Arc::new(Conn::new(id, peer, Box::pin(write), &shared.limits, now).in_place(place));
            Some(Box::pin(async move { serve_chat(&conn, login, &mut inbox, &shared).await }))
        }
    }
}

/// Serves a connection for chat, of either dialect.
async fn serve_chat<St: Store, F: FileSystem>(
    conn: &Arc<Conn>,
    login: Box<Login>,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    shared: &Shared<St, F>,
) {
    let dialect = if matches!(*login, Login::Classic(_)) { Dialect::Classic } else { Dialect::Native };
    inbox.set_limit(dialect.limit(), dialect);
    // Nothing else of the connection is handed to the hub before its login was taken.
    let Ok(permit) = conn.bundles.clone().acquire_many_owned(BUNDLES).await else { return };
    let event = Event::Login { conn: conn.clone(), login: *login, permit };
    if Box::pin(shared.events.logins().send(event)).await.is_err() {
        return;
    }
    {
        let mut writes = pin!(drive_writes(conn, shared));
        let mut reads = pin!(drive_reads(conn, inbox, dialect, shared));
        tokio::select! {
            biased;
            () = &mut reads => {}
            () = &mut writes => {}
            () = conn.closing.notified() => Box::pin(end_writes(conn, writes)).await,
        }
    }
    // The end must not overtake the login, which has a lane of its own.
    drop(conn.bundles.acquire().await);
    // The hub may have ended the session itself; then it does not mind to hear it again.
    let lane = shared.events.of(conn.is_in_new_lane());
    let _ = Box::pin(lane.send(Event::Gone { conn: conn.id })).await;
    conn.linger();
    conn.close();
    Box::pin(finish(conn, inbox, shared)).await;
}

/// Lets what is queued be written for as long as the peer takes some of it. One that is gone without a word, with its
/// socket full, would be waited for until the system's own patience ends.
async fn end_writes(conn: &Conn, mut writes: Pin<&mut impl Future<Output = ()>>) {
    let mut before = conn.outlet().written();
    while timeout(LAST_WORDS, writes.as_mut()).await.is_err() {
        let written = conn.outlet().written();
        if written == before {
            return conn.outlet().abandon();
        }
        before = written;
    }
}

/// Writes what is left, says that this was all, and waits a moment for the peer to see it.
async fn finish<St: Store, F: FileSystem>(
    conn: &Conn,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    shared: &Shared<St, F>,
) {
    let _ = timeout(LAST_WORDS, drive_writes(conn, shared)).await;
    let _ = timeout(LAST_WORDS, poll_fn(|cx| conn.outlet().poll_shutdown(cx))).await;
    conn.outlet().abandon();
    let _ = timeout(LINGER, inbox.discard()).await;
}

/// Reads frames and hands them to the hub, no faster than it takes them.
async fn drive_reads<St: Store, F: FileSystem>(
    conn: &Arc<Conn>,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    dialect: Dialect,
    shared: &Shared<St, F>,
) {
    loop {
        while !conn.takes_answers() {
            conn.set_paused(Pause::Answers, shared.clock.now().steady);
            conn.drained.notified().await;
        }
        conn.set_reading(shared.clock.now().steady);
        let Some(bundle) = inbox.next_bundle(conn, dialect, &*shared.clock).await else { return };
        conn.set_paused(Pause::Server, shared.clock.now().steady);
        let (fatal, file, frames) = (bundle.fatal, bundle.file, bundle.inbound.len());
        if Box::pin(hand_over(conn, bundle, shared)).await.is_err() {
            return;
        }
        if fatal {
            // The hub answers and closes; nothing that follows is of any use.
            return std::future::pending().await;
        }
        inbox.pace.set_new(conn.is_new());
        inbox.pace.note_frames(frames);
        inbox.pace.wait().await;
        if let Some(len) = file
            && Box::pin(receive_file(conn, inbox, len, shared)).await.is_err()
        {
            return;
        }
    }
}

async fn hand_over<St, F>(conn: &Arc<Conn>, mut bundle: Bundle, shared: &Shared<St, F>) -> Result<(), ()> {
    if bundle.inbound.is_empty() {
        return Ok(());
    }
    // Whoever has to wait has nothing of what all share.
    wait_while_held(conn, shared).await;
    if let Some(held) = Held::acquire(conn, &shared.awaiting, bundle.shares()).await {
        for inbound in bundle.inbound.iter_mut().filter(|inbound| inbound.share().is_some()) {
            inbound.set_held(held.clone());
        }
    }
    let lane = shared.events.of(conn.is_in_new_lane());
    // A bundle with a large answer goes alone, so that answers are bounded before the next one is asked for.
    let alone = if bundle.heavy { BUNDLES } else { 1 };
    let permit = conn.bundles.clone().acquire_many_owned(alone).await.map_err(|_| ())?;
    let event = Event::Bundle { conn: conn.id, inbound: bundle.inbound, permit };
    lane.send(event).await.map_err(|_| ())?;
    if bundle.heavy {
        drop(conn.bundles.acquire_many(BUNDLES).await);
    }
    Ok(())
}

/// Waits for as long as a sender that was too fast is held. It is not read meanwhile, so that it goes slower by itself.
async fn wait_while_held<St, F>(conn: &Conn, shared: &Shared<St, F>) {
    while let Some(until) = conn.held_until() {
        match until.since(shared.clock.now().steady) {
            0 => return,
            ms => Box::pin(tokio::time::sleep(Duration::from_millis(ms))).await,
        }
    }
}

/// Takes the payload of a classic FILE frame to the disk.
async fn receive_file<St, F: FileSystem>(
    conn: &Conn,
    inbox: &mut Inbox<impl AsyncRead + Unpin>,
    len: u32,
    shared: &Shared<St, F>,
) -> Result<(), ()> {
    let cap = u64::from(MAX_CLASSIC_FILE).min(shared.max_file);
    let heard = || {
        conn.hear(shared.clock.now().steady, true);
        conn.set_reading(shared.clock.now().steady);
    };
    let turns = conn.is_new().then(|| (&*shared.turns, conn.peer.ip()));
    let space = SenderSpace { events: shared.events.of(conn.is_in_new_lane()), conn: conn.id, turns };
    let received = receive_classic(len, cap, &shared.contents, inbox, &space, heard);
    let received = received.await;
    // The frame is whole: its sender may be silent again for as long as they like.
    conn.hear(shared.clock.now().steady, false);
    let file = match received {
        Ok(file) => Ok(file),
        Err(Some(sentence)) => Err(sentence),
        Err(None) => return Err(()),
    };
    wait_while_held(conn, shared).await;
    let share = Held::acquire(conn, &shared.awaiting, std::iter::once(REQUEST_SHARE)).await;
    let lane = shared.events.of(conn.is_in_new_lane());
    let permit = conn.bundles.clone().acquire_owned().await.map_err(|_| ())?;
    lane.send(Event::ClassicFile { conn: conn.id, file, share, permit }).await.map_err(|_| ())
}

/// Writes whenever the outlet is left to this task; ends when the connection is to end.
async fn drive_writes<St: Store, F: FileSystem>(conn: &Conn, shared: &Shared<St, F>) {
    loop {
        match drain(conn).await {
            Ok(Drained::CaughtUp) if conn.outlet().is_closing() => return,
            Ok(Drained::CaughtUp) => conn.kick.notified().await,
            Ok(Drained::Lagging(lag)) => {
                let Some((bytes, next)) = Box::pin(read_lagging(&shared.store, &lag)).await else { return };
                conn.outlet().put_stored(&lag, bytes, next);
            }
            Ok(Drained::File(file)) => {
                if let Err(error) = Box::pin(send_file(conn, &file, shared)).await {
                    tracing::warn!(conn = %conn.id, %error, "a file broke off");
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(conn = %conn.id, %error, "the socket broke");
                return;
            }
        }
    }
}

/// Writes until there is nothing more that the outlet has.
async fn drain(conn: &Conn) -> io::Result<Drained> {
    poll_fn(|cx| {
        let mut outlet = conn.outlet();
        let polled = outlet.poll_drain(cx);
        if conn.takes_more(&outlet) {
            conn.drained.notify_one();
        }
        polled
    })
    .await
}

/// Waits for the turns of a piece of a file, if it comes from somebody new or goes to them.
async fn wait_for_turn<St, F>(conn: &Conn, bytes: usize, shared: &Shared<St, F>) {
    if conn.is_new() {
        shared.turns.wait_for_bytes(conn.peer.ip(), bytes).await;
    }
}

/// Writes a whole FILE frame, a piece at a time: nothing else may come between. It goes on where another one was stopped,
/// as happens when the peer says nothing more while it is still read to.
async fn send_file<St, F: FileSystem>(
    conn: &Conn,
    file: &ClassicFile,
    shared: &Shared<St, F>,
) -> io::Result<()> {
    let head = classic_head(&file.from, &file.name, file.size);
    let reading = shared.contents.read(file.hash).await?;
    let begun = conn.outlet().file_at();
    let (head, reading) = match (head, reading) {
        (Some(head), Some(reading)) => (head, reading),
        _ if begun.is_some() => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ => {
            conn.outlet().end_file(voice::server_line("That file is not kept any more."));
            return Ok(());
        }
    };
    if begun.is_none() {
        conn.outlet().put_file(head, 0);
    }
    let mut offset = begun.unwrap_or(0);
    while offset < file.size {
        match drain(conn).await? {
            Drained::File(_) => {}
            Drained::CaughtUp | Drained::Lagging(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        wait_for_turn(conn, FILE_READ, shared).await;
        let (mut buffer, n) = reading.read_at(offset, vec![0; FILE_READ], 0).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(n);
        offset += n as u64;
        conn.outlet().put_file(buffer.into(), offset);
    }
    conn.outlet().end_file(Bytes::new());
    Ok(())
}

/// Frames for a reader whose next entry is no longer in memory, and the entry after them.
pub async fn read_lagging<St: Store>(store: &St, lag: &Lag) -> Option<(Bytes, Seq)> {
    let range = Range::After { seq: lag.next.before() };
    let mut read = match store.read(lag.log.room, range, usize::MAX, STORE_READ).await {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, "a reader could not be served");
            return None;
        }
    };
    // The store may have what the room does not show yet: that comes from the room, behind its acknowledgement.
    let head = lag.log.head();
    read.entries.retain(|entry| Some(entry.seq) <= head);
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
                // A reader who lags this far is told of a file, and not sent it.
                pieces.iter().for_each(|piece| bytes.extend_from_slice(&piece.bytes));
            }
        }
    }
    Some((bytes.freeze(), next))
}

fn trimmed(lag: &Lag, first: Seq) -> Bytes {
    match lag.view {
        View::Native => {
            ServerMsg::Trimmed { room: lag.log.room, reason: TrimReason::Trimmed, first }.encode()
        }
        View::Classic { .. } => voice::server_line("Some lines before this are not kept any more."),
    }
}
