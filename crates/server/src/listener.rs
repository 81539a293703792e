//! The listener: takes connections in, within limits.

use crate::clock::Steady;
use crate::conn::ConnId;
use crate::connection::{Shared, serve};
use crate::files::FileSystem;
use crate::inbound::Refusal;
use crate::origin::Origin;
use crate::places::Places;
use crate::rate::{Patience, Payers, Rates};
use crate::refusals::Refusals;
use crate::store::Store;
use protocol::code::Code;
use protocol::limits::rates::Bucket;
use socket2::{SockRef, TcpKeepalive};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections that are turned away and get time to hear why. Those beyond it are closed behind the reason at once, which
/// they may then miss.
const TURNED_AWAY: usize = 64;

/// Bytes of each of them that are read.
const HEARD: u64 = 64 * 1_024;

/// How long that may take.
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// Connections each second that are told why they are turned away. In a flood the others are only closed.
const TOLD_A_SECOND: u32 = 200;

/// How often it is looked whether refusals are to be counted in the log.
const COUNT_REFUSALS: Duration = Duration::from_secs(1);

/// How long to wait when the machine has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);

/// How long bytes of a classic connection may be unacknowledged, or find its peer's window closed, before the kernel
/// gives it up: keepalive says nothing while bytes are on their way. Longer than a terminal that is stopped for a moment.
/// Native clients have heartbeats, and a slow reader among them is never dropped for being slow.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How long connections may take to end once the server stops: the hub's drain comes first.
const ENDING: Duration = Duration::from_millis(2_300);

/// Something that connections come out of: TCP here, a simulated network elsewhere.
pub trait Listen: Send {
    /// The half of a connection that is read.
    type Read: AsyncRead + Unpin + Send + 'static;
    /// The half of a connection that is written.
    type Write: AsyncWrite + Unpin + Send + 'static;

    /// The next connection and where it comes from.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Read, Self::Write, SocketAddr)>> + Send;

    /// Makes a connection ready that is taken in. Nothing by default.
    fn prepare(_write: &Self::Write) {}

    /// Closes a connection of which nothing was read.
    fn close(read: Self::Read, write: Self::Write) {
        drop((read, write));
    }

    /// Ends a connection whose peer takes nothing for long: one without heartbeats, whose peer may be gone. Nothing by
    /// default: a simulated network does that itself.
    fn bound_unacknowledged(_write: &Self::Write) {}
}

impl Listen for TcpListener {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
    }

    fn prepare(write: &OwnedWriteHalf) {
        if let Err(error) = set_options(write.as_ref()) {
            // Its peer is gone already, most likely: whoever reads from it finds out.
            tracing::debug!(%error, "a socket without its options");
        }
    }

    fn close(read: OwnedReadHalf, write: OwnedWriteHalf) {
        // To end the stream in order first costs as much again.
        write.forget();
        drop(read);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn bound_unacknowledged(write: &OwnedWriteHalf) {
        if let Err(error) = SockRef::from(write.as_ref()).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
            tracing::debug!(%error, "a socket without its options");
        }
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // We gather what there is to write ourselves; waiting for more only delays it.
    stream.set_nodelay(true)?;
    // Classic clients have no heartbeat: the kernel finds out that they are gone.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Whether an error of `accept` is about one connection, which ended while it waited or was not let through: the next
/// one can be taken at once. All others are taken for a lack of descriptors or memory.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
    )
}

/// Takes connections in until `stop` turns true, then waits a moment for those that are left.
pub async fn accept_all<L: Listen, St: Store, F: FileSystem>(
    mut listener: L,
    shared: Arc<Shared<St, F>>,
    places: Arc<Places>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut rates = Rates::new(shared.limits.rates.clone());
    let mut refusals = Refusals::of("connections");
    let (mut last, mut told) = (0, 0);
    let mut count_refusals = tokio::time::interval(COUNT_REFUSALS);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                report_panic(ended);
                continue;
            }
            _ = count_refusals.tick() => {
                told = 0;
                log_refusals(refusals.line(shared.clock.now().steady));
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (read, write, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was taken in");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken in");
                tokio::time::sleep(NO_SOCKETS).await;
                continue;
            }
        };
        let is_exempt = shared.limits.local.is_exempt(peer.ip());
        let entered = places.enter(Origin::of(peer.ip()), is_exempt);
        let entered = entered.and_then(|place| Ok((place, hold_of(&mut rates, peer, &shared)?)));
        let (place, hold) = match entered {
            Ok(entered) => entered,
            Err(code) => {
                tracing::debug!(%peer, code = code.name(), "a connection was turned away");
                log_refusals(refusals.add(code, shared.clock.now().steady));
                told += 1;
                if told > TOLD_A_SECOND {
                    L::close(read, write);
                    continue;
                }
                turn_away(read, write, code, &turned_away).await;
                continue;
            }
        };
        L::prepare(&write);
        last += 1;
        let served = serve(ConnId(last), peer, read, write, L::bound_unacknowledged, place, shared.clone());
        if hold.is_zero() {
            // A task that could wait would be larger, for all.
            connections.spawn(served);
        } else {
            connections.spawn(async move {
                // Nothing of it is read until then: whoever connects again and again waits for themself.
                tokio::time::sleep(hold).await;
                served.await;
            });
        }
    }
    log_refusals(refusals.line(Steady(u64::MAX)));
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(ENDING, ended).await;
}

/// For how long nothing is read of a connection that just came, since too many came from there.
///
/// # Errors
/// [`Code::Busy`] if that is too long.
fn hold_of<St, F>(rates: &mut Rates, peer: SocketAddr, shared: &Shared<St, F>) -> Result<Duration, Code> {
    let Some(payers) = Payers::of(None, peer.ip(), shared.limits.local) else { return Ok(Duration::ZERO) };
    let (payers, patience) = (payers.who_are_new(true), Patience::Ms(shared.limits.max_hold_ms));
    let taken = rates.take(Bucket::Connections, payers, 1, patience, shared.clock.now().steady);
    taken.map(Duration::from_millis).map_err(|_| Code::Busy)
}

fn log_refusals(line: Option<String>) {
    if let Some(line) = line {
        tracing::info!("{line}");
    }
}

/// Tells a connection why it is not taken, before anything of it is read. Nothing waits for a peer that takes no word:
/// what its socket does not take at once is lost.
async fn turn_away(
    read: impl AsyncRead + Unpin + Send + 'static,
    mut write: impl AsyncWrite + Unpin + Send + 'static,
    code: Code,
    turned_away: &Arc<Semaphore>,
) {
    say_at_once(&mut write, &Refusal::of(code).encode_closing()).await;
    let Ok(permit) = turned_away.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        // What the peer sends meanwhile is taken off the socket: a close with bytes unread would throw the reason away.
        let heard = async {
            write.shutdown().await?;
            tokio::io::copy(&mut read.take(HEARD), &mut tokio::io::sink()).await
        };
        let _ = timeout(TURNING_AWAY, heard).await;
        drop(permit);
    });
}

/// Writes what a socket takes of this without waiting.
pub async fn say_at_once(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let attempt = poll_fn(|cx| Poll::Ready(Pin::new(&mut *write).poll_write(cx, bytes)));
    // A fresh socket has room for a frame, but could seem full where this task has done much in one go. Who is gone already
    // does not need it.
    let _ = tokio::task::unconstrained(attempt).await;
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ended_early_is_no_lack_of_descriptors() {
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(24)), "EMFILE");
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn bytes_that_nobody_acknowledges_end_a_classic_connection() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (read, write, _) = Listen::accept(&mut listener).await.unwrap();
        let socket = SockRef::from(read.as_ref());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None, "native readers may be slow");
        <TcpListener as Listen>::bound_unacknowledged(&write);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}

#[cfg(test)]
mod refusals {
    use super::*;
    use protocol::message::ServerMsg;
    use tokio::io::{AsyncReadExt, duplex, split};

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_before_it_has_said_anything() {
        let turned_away = Arc::new(Semaphore::new(1));
        // The second finds nobody who waits for it.
        for _ in 0..2 {
            let (ours, mut theirs) = duplex(1_024);
            let (read, write) = split(ours);
            turn_away(read, write, Code::AddressFull, &turned_away).await;
            let mut heard = vec![0; Refusal::of(Code::AddressFull).encode_closing().len()];
            theirs.read_exact(&mut heard).await.unwrap();
            let msg = ServerMsg::decode(heard[4], &heard[5..]).unwrap().unwrap();
            assert!(
                matches!(msg, ServerMsg::Error { code: 116, close: true, about: 0, req: 0, .. }),
                "{msg:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_holds_nothing_for_long() {
        let turned_away = Arc::new(Semaphore::new(1));
        let (ours, _theirs) = duplex(1);
        let (read, write) = split(ours);
        turn_away(read, write, Code::ServerFull, &turned_away).await;
        assert_eq!(turned_away.available_permits(), 0);
        tokio::time::sleep(2 * TURNING_AWAY).await;
        assert_eq!(turned_away.available_permits(), 1);
    }
}
